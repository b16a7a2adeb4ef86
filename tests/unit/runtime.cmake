# SPDX-License-Identifier: MIT
unit_test(arena LINKS engine)
unit_test(coro LINKS engine LIBS PkgConfig::unwind)
# Parts of it say nothing under AddressSanitizer: `release` tests are run without it, too.
set_property(TEST unit.coro APPEND PROPERTY LABELS release)
unit_test(co_queue LINKS engine)
unit_test(co_mutex LINKS engine)
unit_test(co_rwlock LINKS engine)
unit_test(sched LINKS engine)
unit_test(liveness LINKS engine)
unit_test(retry LINKS engine)
unit_test(death LINKS engine)
