# SPDX-License-Identifier: MIT
# Seeds: small images of qemu-img behind four option bytes, and damaged ones that were found to hurt.
fuzz_target(engine_image LINKS engine injector traces)
