# SPDX-License-Identifier: MIT
"""What a crash leaves behind when it comes upon stock qemu-img.

    qemu_img.py COWTIP [--only TEXT] [--states N] [--readme FILE]

Records each operation of operations() on a small image, has `cowtip check` judge every crash state, and
shows the states themselves to `qemu-img check -r all` and `qemu-img convert`. Prints the table of
workloads/qemu/README.md; with --readme compares with the one that stands there.
"""
import argparse
import collections
import dataclasses
import hashlib
import json
import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import time

import trace_reader
from stock_qemu import SKIPPED, run

CREATE = ["qemu-img", "create", "-q", "-f", "qcow2"]
DISK = 192 << 10
MEMORY = "/dev/shm"
OUTCOMES = ["clean", "leaks", "errors", "not repaired"]
STATES = 2  # the column that says how many there are
FIRST_SEEN = 6  # from this column on, what qemu-img says of single states
REFUSED = re.compile(r"cannot judge '.*': (.*)$")
UNJUDGED = {"old-or-new": "contents", "leak-bounded": "leaks", "no-alias": "before the first flush"}


@dataclasses.dataclass
class View:
    """Guest data that the operation must not lose: of an image, or of a snapshot in it."""
    image: str
    may_become_new: bool = False
    snapshot: str = None

    def read(self, folder):
        """What the guest reads; None: nothing can be read."""
        names = ["-l", f"snapshot.name={self.snapshot}"] if self.snapshot else []
        done = subprocess.run(["qemu-img", "convert", "-f", "qcow2", *names, "-O", "raw", self.image,
                               "view.raw"], cwd=folder, check=False, capture_output=True)
        if done.returncode:
            return None
        with open(os.path.join(folder, "view.raw"), "rb") as file:
            return file.read()

    def is_kept(self, found, old, new):
        """Is every sector as before, or as in the end if that is allowed? The size may be either."""
        if found is None or len(found) not in (len(old), len(new)):
            return False
        common = min(len(old), len(new))
        if found[:common] == old[:common]:
            return True
        return self.may_become_new and all(
            found[at:at + 512] in (old[at:at + 512], new[at:at + 512])
            for at in range(0, common, 512))


@dataclasses.dataclass
class Operation:
    name: str
    prepare: list  # functions of a folder
    command: list  # of qemu-img
    views: list
    guest: str = None  # for cowtip check --guest


# What images are made of: functions that make a function of a folder.

def command(*words):
    return lambda folder: run(folder, *words)


def stamps(name, size, hole=(0, 0)):
    """A raw file without two equal sectors, with a hole."""
    def make(folder):
        data = bytearray(random.Random(name).randbytes(size))
        data[hole[0]:hole[1]] = bytes(hole[1] - hole[0])
        with open(os.path.join(folder, name), "wb") as file:
            file.write(data)
    return make


def image(name, size=DISK, options="cluster_size=1k", backing=None):
    below = ["-b", backing, "-F", "qcow2"] if backing else []
    return command(*CREATE, "-o", options, *below, name, str(size))


def write(name, source, *places):
    """Bytes of the file `source` at each (offset, length)."""
    words = [word for offset, length in places
             for word in ("-c", f"write -q -s {source} {offset} {length}")]
    return command("qemu-io", "-f", "qcow2", *words, name)


def filled(name, source, options="cluster_size=1k"):
    """An image that holds `source`, from a raw file."""
    return command("qemu-img", "convert", "-m", "1", "-f", "raw", "-O", "qcow2", "-o", options,
                   source, name)


def header(name):
    with open(name, "rb") as file:
        fields = struct.unpack(">4sIQIIQIIQQII", file.read(64))
    return {"cluster": 1 << fields[4], "reftable": fields[9]}


def damaged(name):
    """Refcounts: of two clusters in use 0, of two that nobody uses 1."""
    def damage(folder):
        path = os.path.join(folder, name)
        facts = header(path)
        size = os.path.getsize(path)
        last = size // facts["cluster"]
        with open(path, "r+b") as file:
            file.seek(facts["reftable"])
            block = struct.unpack(">Q", file.read(8))[0]
            for cluster, count in ((10, 0), (11, 0), (last, 1), (last + 1, 1)):
                file.seek(block + 2 * cluster)
                file.write(struct.pack(">H", count))
            file.truncate((last + 2) * facts["cluster"])
    return damage


def killed(name):
    """A dirty image: lazy refcounts, and qemu-io dies."""
    return lambda folder: run(folder, "qemu-io", "-f", "qcow2", "-c", "write -q -P 9 50k 9k", "-c",
                              "flush", "-c", "sigraise 9", name, statuses=(-9,))


def bitmap(*words):
    return command("qemu-img", "bitmap", *words)


OLD, NEW = stamps("old", DISK, (40 << 10, 90 << 10)), stamps("new", DISK)
PLAIN = [OLD, NEW, filled("disk.qcow2", "old")]
SPREAD = [(0, 3 << 10), (50 << 10, 2500), (130 << 10, 7 << 10)]
SNAPSHOTS = PLAIN + [command("qemu-img", "snapshot", "-c", "first", "disk.qcow2"),
                     write("disk.qcow2", "new", *SPREAD)]
CHAIN = [OLD, NEW, filled("base.qcow2", "old"), image("disk.qcow2", backing="base.qcow2"),
         write("disk.qcow2", "new", *SPREAD)]
TWO_BASES = CHAIN + [stamps("other", DISK, (60 << 10, 170 << 10)), filled("other.qcow2", "other")]
BITMAPS = PLAIN + [bitmap("--add", "-g", "4k", "disk.qcow2", "a"),
                   write("disk.qcow2", "new", (0, 9 << 10), (100 << 10, 5 << 10)),
                   bitmap("--add", "-g", "4k", "disk.qcow2", "b"),
                   write("disk.qcow2", "new", (60 << 10, 9 << 10))]


def operations():
    disk = View("disk.qcow2")
    first = View("disk.qcow2", snapshot="first")
    replaced = View("disk.qcow2", may_become_new=True)

    def plain(name, *words, prepare=PLAIN, views=(disk,), guest="unchanged"):
        return Operation(name, prepare, list(words), list(views), guest)

    return [
        plain("snapshot -c", "snapshot", "-c", "second", "disk.qcow2", prepare=SNAPSHOTS,
              views=(disk, first)),
        plain("snapshot -a", "snapshot", "-a", "first", "disk.qcow2", prepare=SNAPSHOTS,
              views=(replaced, first), guest="old-or-new"),
        plain("snapshot -d", "snapshot", "-d", "second", "disk.qcow2",
              prepare=SNAPSHOTS + [command("qemu-img", "snapshot", "-c", "second", "disk.qcow2"),
                                   write("disk.qcow2", "old", (10 << 10, 60 << 10))],
              views=(disk, first)),
        plain("snapshot -c, extended L2", "snapshot", "-c", "first", "disk.qcow2",
              prepare=[OLD, filled("disk.qcow2", "old", "cluster_size=16k,extended_l2=on")]),
        plain("commit", "commit", "-q", "disk.qcow2", prepare=CHAIN,
              views=(disk, View("base.qcow2", may_become_new=True)), guest="old-or-new"),
        plain("rebase", "rebase", "-f", "qcow2", "-b", "other.qcow2", "-F", "qcow2", "disk.qcow2",
              prepare=TWO_BASES, guest=None),
        plain("rebase -b ''", "rebase", "-f", "qcow2", "-b", "", "disk.qcow2", prepare=TWO_BASES,
              guest=None),
        plain("rebase -u", "rebase", "-u", "-f", "qcow2", "-b", "other.qcow2", "-F", "qcow2",
              "disk.qcow2", prepare=TWO_BASES, views=(replaced,), guest=None),
        plain("resize, larger", "resize", "-q", "disk.qcow2", "20M"),
        plain("resize --shrink", "resize", "-q", "--shrink", "disk.qcow2", "100k"),
        plain("amend compat=0.10", "amend", "-o", "compat=0.10", "disk.qcow2",
              prepare=PLAIN + [command("qemu-io", "-f", "qcow2", "-c", "write -q -z 8k 20k",
                                       "disk.qcow2")]),
        plain("amend refcount_bits=64", "amend", "-o", "refcount_bits=64", "disk.qcow2"),
        plain("amend lazy_refcounts=on", "amend", "-o", "lazy_refcounts=on", "disk.qcow2"),
        plain("convert, new file", "convert", "-m", "1", "-f", "raw", "-O", "qcow2", "-o",
              "cluster_size=1k", "new", "copy.qcow2", views=(), guest=None),
        plain("convert -n", "convert", "-m", "1", "-n", "-f", "raw", "-O", "qcow2", "new",
              "disk.qcow2", views=(replaced,), guest="old-or-new"),
        plain("check -r all, wrong refcounts", "check", "-q", "-r", "all", "disk.qcow2",
              prepare=PLAIN + [damaged("disk.qcow2")]),
        plain("check -r all, dirty", "check", "-q", "-r", "all", "disk.qcow2",
              prepare=[OLD, filled("disk.qcow2", "old", "cluster_size=1k,lazy_refcounts=on"),
                       killed("disk.qcow2")]),
        plain("bitmap --add", "bitmap", "--add", "disk.qcow2", "c", prepare=BITMAPS),
        plain("bitmap --remove", "bitmap", "--remove", "disk.qcow2", "a", prepare=BITMAPS),
        plain("bitmap --clear", "bitmap", "--clear", "disk.qcow2", "a", prepare=BITMAPS),
        plain("bitmap --merge", "bitmap", "--merge", "a", "disk.qcow2", "b", prepare=BITMAPS),
        plain("bitmap --disable", "bitmap", "--disable", "disk.qcow2", "b", prepare=BITMAPS),
    ]


# Looking at crash states.

def store(folder, trace, contents):
    for path, content in zip(trace.paths, contents):
        with open(os.path.join(folder, os.path.basename(path)), "wb") as file:
            file.write(content)


def repair(folder, images):
    """What `qemu-img check -r all` makes of the images: of several the worst."""
    worst = 0
    for name in images:
        done = run(folder, "qemu-img", "check", "-f", "qcow2", "-r", "all", "--output=json", name,
                   statuses=range(256))
        facts = json.loads(done.stdout) if done.stdout.startswith("{") else {}
        if done.returncode or not facts:
            outcome = "not repaired"
        elif facts.get("corruptions-fixed"):
            outcome = "errors"
        else:
            outcome = "leaks" if facts.get("leaks-fixed") else "clean"
        worst = max(worst, OUTCOMES.index(outcome))
    return OUTCOMES[worst]


def distinct(states):
    """The states without repetition."""
    seen = set()
    for name, contents in states:
        digest = hashlib.sha256(b"".join(hashlib.sha256(c).digest() for c in contents)).digest()
        if digest not in seen:
            seen.add(digest)
            yield name, contents


class Looks:
    """What qemu-img said of crash states, and in how many guest data is not what it should be."""

    def __init__(self):
        self.outcomes = collections.Counter()
        self.looked = self.lost = 0

    def __str__(self):
        return ", ".join(f"{self.outcomes[name]} {name}" for name in OUTCOMES
                         if self.outcomes[name]) or "none"


def look(folder, operation, trace, states, most):
    """Show crash states to qemu-img, if there are more than `most` some of them, evenly spread."""
    looks = Looks()
    images = sorted({os.path.basename(trace.paths[event.file]) for event in trace.operations()})
    whole = [contents for _, contents in trace.states(torn=False)]
    ends = []
    for contents in (whole[0], whole[-1]):
        store(folder, trace, contents)
        ends.append([view.read(folder) for view in operation.views])
    chosen = list(distinct(states))
    for _, contents in chosen[::-(-len(chosen) // most) or 1]:
        store(folder, trace, contents)
        looks.outcomes[repair(folder, images)] += 1
        looks.looked += 1
        looks.lost += not all(view.is_kept(view.read(folder), old, new)
                              for view, old, new in zip(operation.views, *ends))
    return looks


# The table.

@dataclasses.dataclass
class Row:
    operation: str
    changes: int
    states: int
    ordered: set  # rules that are broken, with their severity
    reordered: set  # the same, with `reorder` alone
    unjudged: set
    looks: Looks
    looks_lost: Looks

    def cells(self):
        lost = [f"{looks.lost} of {looks.looked}" if looks.lost else "none"
                for looks in (self.looks, self.looks_lost)]
        return [f"`{self.operation}`", str(self.changes), str(self.states), listed(self.ordered),
                listed(self.reordered), listed(self.unjudged), str(self.looks), lost[0],
                str(self.looks_lost), lost[1]]


HEAD = ["operation", "changes", "states", "`prefix`, `torn`", "`reorder` besides", "not judged",
        "`check -r all`", "data lost", "`check -r all`, one change lost", "data lost"]


def listed(names):
    return ", ".join(sorted(names)) or "none"


def line(cells):
    return "| " + " | ".join(cells) + " |"


def broken(report):
    """The rules that are broken, but for what was wrong before."""
    return {f"{violation['rule']} ({violation['severity']})" for violation in report["violations"]
            if violation["crash"]["operation"] or violation["crash"]["sector"]}


def judge(cowtip, folder, operation, models):
    """`cowtip check` on the recording."""
    guest = ["--guest", operation.guest] if operation.guest else []
    done = run(folder, cowtip, "check", "--json", "--crash", models, *guest,
               "out/qemu-img-1.trace.zst", statuses=(0, 1, 2))
    if done.returncode == 2:
        return {"violations": [], "skipped": [{"rule": "opens", "reason": done.stderr.strip()}]}
    return json.loads(done.stdout)


def examine(arguments, operation, folder):
    for step in operation.prepare:
        step(folder)
    run(folder, arguments.cowtip, "record", "--quiet", "--out", "out", "--", "qemu-img",
        *operation.command)
    trace = trace_reader.Trace(os.path.join(folder, "out/qemu-img-1.trace.zst"))
    ordered, reordered = (judge(arguments.cowtip, folder, operation, models)
                          for models in ("prefix,torn", "reorder"))
    states = list(trace.states(torn=True))
    looks = look(folder, operation, trace, states, arguments.states)
    looks_lost = look(folder, operation, trace, trace.one_lost(), arguments.states)
    unjudged = {UNJUDGED[item["rule"]] for item in ordered["skipped"] if item["rule"] in UNJUDGED}
    unjudged |= {f"anything: {found[1]}" for item in ordered["skipped"]
                 if (found := REFUSED.search(item["reason"]))}
    return Row(operation.name, len(trace.operations()), len(list(distinct(states))),
               broken(ordered), broken(reordered) - broken(ordered), unjudged, looks, looks_lost)


def read_table(path):
    """The rows of the table in the page, by operation; and whose they are."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    rows = re.findall(r"^\| (`.*`) \| (.*) \|$", text, re.MULTILINE)
    version = re.search(r"qemu-img version ([0-9.]+)", text)
    return {name: [name] + cells.split(" | ") for name, cells in rows}, version and version[1]


def outcomes_of(cell):
    return set(re.findall("|".join(OUTCOMES), cell))


def is_in(have, want):
    """Is it the page's number, or in the page's range?"""
    ends = re.fullmatch(r"(\d+) to (\d+)", want)
    return int(ends[1]) <= int(have) <= int(ends[2]) if ends else have == want


def differences(found, wanted, is_whole):
    """In what cells a row differs from the page's. Of a part of the states, or where how many there are
    depends on the run, only what must hold for a part is compared: they show nothing that all
    together do not."""
    is_whole = is_whole and wanted[STATES].isdigit()
    for column, (have, want) in enumerate(zip(found, wanted)):
        if is_whole or column < FIRST_SEEN:
            agrees = is_in(have, want)
        elif outcomes_of(want):
            agrees = outcomes_of(have) <= outcomes_of(want)
        else:
            agrees = have == "none" or want != "none"
        if not agrees:
            yield f"{found[0]}, {HEAD[column]}: '{have}', the page says '{want}'"


def is_over(started):
    """Has the time for a long test run out?"""
    most = os.environ.get("COWTIP_LONG_SECONDS")
    return most is not None and time.monotonic() - started > float(most)


def parse_arguments():
    parser = argparse.ArgumentParser()
    parser.add_argument("cowtip")
    parser.add_argument("--only", default="", help="operations with this in their name")
    parser.add_argument("--states", type=int, default=1 << 30,
                        help="show at most so many of the states to qemu-img")
    parser.add_argument("--readme", help="compare with the table that stands there")
    arguments = parser.parse_args()
    arguments.cowtip = os.path.abspath(arguments.cowtip)
    return arguments


def why_skipped(version):
    """Why nothing can be compared; None: it can."""
    if not shutil.which("qemu-img") or not shutil.which("qemu-io") or not shutil.which("zstd"):
        return "qemu-img, qemu-io or zstd is not installed"
    present = run(".", "qemu-img", "--version").stdout.split()[2]
    if not os.path.isdir(MEMORY):
        return f"there is no {MEMORY}, and on other file systems qemu-img does other things"
    if version and present != version:
        return f"the table is that of qemu-img {version}, this is {present}"
    return None


def main():
    arguments = parse_arguments()
    table, version = read_table(arguments.readme) if arguments.readme else ({}, None)
    reason = why_skipped(version)
    if reason:
        print(f"skipped: {reason}")
        return SKIPPED
    started, wrong = time.monotonic(), []
    print(line(HEAD), line(["---"] * len(HEAD)), sep="\n")
    for operation in operations():
        if arguments.only not in operation.name:
            continue
        if is_over(started):
            print(f"no time left for {operation.name}")
            continue
        with tempfile.TemporaryDirectory(prefix="cowtip-img-", dir=MEMORY) as folder:
            cells = examine(arguments, operation, folder).cells()
        print(line(cells), flush=True)
        if arguments.readme:
            wrong += differences(cells, table.get(cells[0], [cells[0]] + ["?"] * len(HEAD)),
                                 arguments.states >= 1 << 30)
    print("", *wrong, sep="\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
