# SPDX-License-Identifier: MIT
"""A second reader of traces, written from traces/README.md alone: files, events, and the crash states of
a run, those of several files at a time included."""
import dataclasses
import subprocess

MAGIC = b"\x89cowtip\n"
VERSION = 4
RECORD_FILE, RECORD_INITIAL, RECORD_EVENT, RECORD_FILLED = 5, 6, 9, 13
SUBMITTED, EFFECT, COMPLETED = 3, 4, 5
WRITE, FLUSH, RESIZE, ZERO, PUNCH, ALLOCATE = 2, 3, 4, 5, 6, 7
SECTOR = 512
FIELDS = ["file", "actor", "id", "result", "place", "length", "digest", "stack"]


@dataclasses.dataclass
class Event:
    kind: int
    op: int
    data: bytes
    file: int = 0
    actor: int = 0
    id: int = 0
    result: int = 0
    place: int = 0
    length: int = 0
    digest: int = 0
    stack: int = 0

    def is_operation(self):
        """Does it change a file?"""
        if self.kind != EFFECT or self.result < 0:
            return False
        return self.op in (RESIZE, ZERO, PUNCH, ALLOCATE) or self.op == WRITE and self.result > 0


class Cursor:
    """Numbers and bytes, one after the other."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def number(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 0x7f) << shift
            if byte < 0x80:
                return value
            shift += 7

    def take(self, count):
        self.at += count
        return self.data[self.at - count:self.at]

    def rest(self):
        return self.take(len(self.data) - self.at)


def read_event(cursor, is_filled):
    kind, op, present = cursor.take(3)
    values = {name: cursor.number() for bit, name in enumerate(FIELDS) if present >> bit & 1}
    if "result" in values:
        values["result"] = (values["result"] >> 1) ^ -(values["result"] & 1)
    if is_filled:
        count = cursor.number()
        data = bytes(cursor.take(1)) * count
    else:
        data = bytes(cursor.rest())
    return Event(kind, op, data, **values)


def overwrite(content, place, data):
    if place > len(content):
        content.extend(bytes(place - len(content)))
    content[place:place + len(data)] = data


def apply(content, event, sectors=None):
    """What an operation does to a file; of a write, its first sectors only."""
    place, end = event.place, event.place + event.length
    if event.op == WRITE:
        data = event.data[:event.result]
        if sectors is not None:
            data = data[:(place // SECTOR + sectors) * SECTOR - place]
        overwrite(content, place, data)
    elif event.op == RESIZE:
        del content[place:]
        content.extend(bytes(place - len(content)))
    elif event.op == PUNCH:
        end = min(end, len(content))
        overwrite(content, min(place, end), bytes(max(0, end - place)))
    elif event.op == ZERO:
        overwrite(content, place, bytes(event.length))
    elif end > len(content):
        content.extend(bytes(end - len(content)))


class Trace:
    """Paths and initial contents of the files, and the events."""

    def __init__(self, path):
        stream = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
        if stream[:8] != MAGIC:
            raise ValueError(f"{path}: no trace")
        self.paths, self.initial, self.events = [], [], []
        cursor = Cursor(memoryview(stream))
        cursor.take(8)
        if int.from_bytes(cursor.take(2), "little") > VERSION:
            raise ValueError(f"{path}: a newer trace")
        while cursor.at < len(stream):
            kind = cursor.take(1)[0]
            self._record(kind, Cursor(cursor.take(cursor.number())))

    def _record(self, kind, cursor):
        if kind == RECORD_FILE:
            _, _, size = cursor.number(), cursor.number(), cursor.number()
            self.paths.append(bytes(cursor.rest()).decode())
            self.initial.append(bytearray(size))
        elif kind == RECORD_INITIAL:
            content = self.initial[cursor.number()]
            overwrite(content, cursor.number(), bytes(cursor.rest()))
        elif kind in (RECORD_EVENT, RECORD_FILLED):
            self.events.append(read_event(cursor, kind == RECORD_FILLED))

    def operations(self):
        return [event for event in self.events if event.is_operation()]

    def states(self, torn):
        """(name, contents of all files) of every crash state of `prefix`, and of `torn`."""
        contents = [bytearray(content) for content in self.initial]
        yield "0", list(contents)
        for count, event in enumerate(self.operations()):
            first = event.place // SECTOR
            last = (event.place + event.result - 1) // SECTOR if event.op == WRITE else first
            for sectors in range(1, last - first + 1) if torn else ():
                part = list(contents)
                part[event.file] = bytearray(contents[event.file])
                apply(part[event.file], event, sectors)
                yield f"{count}+{sectors}", part
            contents[event.file] = bytearray(contents[event.file])
            apply(contents[event.file], event)
            yield f"{count + 1}", list(contents)

    def one_lost(self):
        """(name, contents) of crash states of `reorder` in which one operation was lost that no flush
        had made durable, and all others were not."""
        durable = [bytearray(content) for content in self.initial]
        volatile, completed, flushes, count = [], set(), {}, 0
        for event in self.events:
            if event.kind == SUBMITTED and event.op == FLUSH:
                flushes[event.id] = {id(e) for e in volatile
                                     if e.id in completed and e.file == event.file}
            elif event.kind == COMPLETED and event.op == FLUSH and event.result >= 0:
                covered = flushes.pop(event.id, set())
                durable, volatile = self._settle(durable, volatile, covered)
            elif event.kind == COMPLETED:
                completed.add(event.id)
            elif event.is_operation():
                volatile.append(event)
                count += 1
                for lost in volatile[:-1]:
                    yield f"{count} without {lost.id}", self._without(durable, volatile, lost)

    @staticmethod
    def _settle(durable, volatile, covered):
        """Operations become durable in their order, up to the first of the file that is not covered:
        what lies behind it stays on the list, which leaves states out and adds none."""
        durable = [bytearray(content) for content in durable]
        kept, stuck = [], set()
        for event in volatile:
            if id(event) in covered and event.file not in stuck:
                apply(durable[event.file], event)
            else:
                kept.append(event)
                stuck.add(event.file)
        return durable, kept

    @staticmethod
    def _without(durable, volatile, lost):
        contents = [bytearray(content) for content in durable]
        for event in volatile:
            if event is not lost:
                apply(contents[event.file], event)
        return contents
