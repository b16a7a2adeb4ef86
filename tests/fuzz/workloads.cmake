# SPDX-License-Identifier: MIT
fuzz_target(language LINKS workloads)
fuzz_target(import LINKS workloads)
