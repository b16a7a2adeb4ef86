# SPDX-License-Identifier: MIT
unit_test(arena LINKS engine)
unit_test(coro LINKS engine LIBS PkgConfig::unwind)
unit_test(co_queue LINKS engine)
unit_test(co_mutex LINKS engine)
unit_test(co_rwlock LINKS engine)
unit_test(sched LINKS engine)
unit_test(death LINKS engine)
