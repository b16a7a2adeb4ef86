# SPDX-License-Identifier: MIT
fuzz_target(oracle_image LINKS oracle traces)
