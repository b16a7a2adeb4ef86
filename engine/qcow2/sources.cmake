# SPDX-License-Identifier: MIT
set(qcow2_sources qcow2/policy.c qcow2/file.c qcow2/vector.c qcow2/format.c qcow2/cache.c
  qcow2/refcount.c qcow2/alloc.c qcow2/map.c qcow2/l2meta.c qcow2/background.c qcow2/cow.c qcow2/read.c
  qcow2/compressed.c qcow2/write.c qcow2/zero.c qcow2/flush.c qcow2/open.c qcow2/create.c
  qcow2/truncate.c qcow2/share.c qcow2/snapshot.c qcow2/references.c
  qcow2/repair.c qcow2/known_bugs.c qcow2/events.c)
set(qcow2_headers qcow2/qcow2.h qcow2/file.h qcow2/vector.h qcow2/format.h qcow2/cache.h
  qcow2/image.h qcow2/refcount.h qcow2/alloc.h qcow2/map.h qcow2/l2meta.h qcow2/background.h qcow2/cow.h qcow2/read.h
  qcow2/snapshot.h qcow2/references.h qcow2/repair.h qcow2/known_bugs.h qcow2/events.h)
