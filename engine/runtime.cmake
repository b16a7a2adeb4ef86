# SPDX-License-Identifier: MIT
set(runtime_sources
  memory/arena.c
  coroutine/coro.c coroutine/coro_x86_64.S coroutine/coro_aarch64.S
  coroutine/co_queue.c coroutine/co_mutex.c coroutine/co_rwlock.c
  scheduler/sched.c scheduler/sched_report.c scheduler/sched_snapshot.c scheduler/task.c scheduler/touch.c scheduler/retry.c
  scheduler/death.c
  scheduler/death_ubsan.c)
set(runtime_headers
  memory/arena.h
  coroutine/coro.h coroutine/co_queue.h coroutine/co_mutex.h coroutine/co_rwlock.h
  scheduler/sched.h scheduler/sched_private.h scheduler/sched_snapshot.h scheduler/audit.h scheduler/touch.h
  scheduler/retry.h scheduler/death.h)
