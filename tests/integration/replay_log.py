# SPDX-License-Identifier: MIT
"""A second reader of dm-log-writes logs, after the rules by which xfstests' replay-log reads them. It
shares nothing with ours: what it makes of a log is what other people's tools make of it."""
import os
import struct

MAGIC = 0x6A736677736872
FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8
GIB, DISCARD_MAX = 1 << 30, 128 << 20
BLOCK = 512


class Refused(Exception):
    """replay-log would not read this."""


def read(path, behind=False):
    """All entries of the log: (offset, length in bytes, flags, data or text). With `behind`, what
    stands behind those that the super block counts, too."""
    with open(path, "rb") as file:
        log = file.read()
    magic, version, count, sector = struct.unpack_from("<QQQI", log)
    if magic != MAGIC or version != 1:
        raise Refused("super block")
    entries, at, number = [], sector, 0
    while at < len(log) if behind else number < count:
        if at + sector > len(log):
            raise Refused(f"entry {number} is cut off")
        start, sectors, flags, text_bytes = struct.unpack_from("<QQQQ", log, at)
        if flags == 0 and sectors == 0:
            raise Refused(f"entry {number} is empty")
        if not flags & MARK and log[at + 32] != 0:
            raise Refused(f"entry {number} has bytes behind its header")
        length = sectors * sector
        data = log[at + 32:at + 32 + text_bytes] if flags & MARK else b""
        at += sector
        if not flags & (DISCARD | MARK):
            data = log[at:at + length]
            if len(data) != length:
                raise Refused(f"the data of entry {number} are cut off")
            at += length
        entries.append((start * sector, length, flags, data))
        number += 1
    if number < count:
        raise Refused("fewer entries than the super block counts")
    return entries


def is_race(entries, block, found):
    """The block at this offset should hold what the last write there put into it, and holds `found`. Is
    that what an earlier write put there, with no flush since? QEMU logs writes as they complete,
    and of two that overlap and are under way together the first to complete may be the last to reach
    the file."""
    for offset, length, flags, data in reversed(entries):
        if flags & FLUSH:
            return False
        if data and offset <= block and block + BLOCK <= offset + length and \
                data[block - offset:block - offset + BLOCK] == found:
            return True
    return False


def behind_last_write(entries, block):
    """The entries up to the last that writes to the block, without it: FLUSH entries behind it are
    no matter."""
    last = max((i for i, (offset, length, _, data) in enumerate(entries)
                if data and offset < block + BLOCK and block < offset + length), default=0)
    return entries[:last]


def races_only(entries, replayed, real):
    """Do the files differ in nothing but races?"""
    with open(replayed, "rb") as first, open(real, "rb") as second:
        for start, length in [*data_chunks(replayed), *data_chunks(real)]:
            for block in range(start // BLOCK * BLOCK, start + length, BLOCK):
                ours = os.pread(first.fileno(), BLOCK, block).ljust(BLOCK, b"\0")
                theirs = os.pread(second.fileno(), BLOCK, block).ljust(BLOCK, b"\0")
                if ours != theirs and \
                        not is_race(behind_last_write(entries, block), block, theirs):
                    return False
    return True


def replay(entries, path):
    """Apply the entries to a file, as to a device that cannot discard."""
    image = os.open(path, os.O_WRONLY)
    for offset, length, flags, data in entries:
        while flags & DISCARD and length:
            chunk = min(length, GIB)
            # Silently skipped when it is long.
            if chunk <= DISCARD_MAX:
                os.pwrite(image, bytes(chunk), offset)
            offset, length = offset + chunk, length - chunk
        if data and not flags & MARK:
            os.pwrite(image, data, offset)
    os.close(image)


def data_chunks(path):
    """(offset, length) of all data, holes left out: the images of some worlds are large."""
    with open(path, "rb") as file:
        end, at = os.fstat(file.fileno()).st_size, 0
        while at < end:
            try:
                at = os.lseek(file.fileno(), at, os.SEEK_DATA)
            except OSError:
                return
            hole = os.lseek(file.fileno(), at, os.SEEK_HOLE)
            while at < hole:
                yield at, min(1 << 20, hole - at)
                at += min(1 << 20, hole - at)


def is_same(a, b):
    """Do two files hold equal bytes, but for zeros behind the end of one?"""
    with open(a, "rb") as first, open(b, "rb") as second:
        for offset, length in [*data_chunks(a), *data_chunks(b)]:
            ours = os.pread(first.fileno(), length, offset)
            theirs = os.pread(second.fileno(), length, offset)
            if ours.ljust(length, b"\0") != theirs.ljust(length, b"\0"):
                return False
    return True
