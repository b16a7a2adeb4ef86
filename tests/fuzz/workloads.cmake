# SPDX-License-Identifier: MIT
fuzz_target(language LINKS workloads)
