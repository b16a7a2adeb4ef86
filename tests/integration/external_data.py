# SPDX-License-Identifier: MIT
"""Images with an external data file: what `cowtip check` says of recordings, next to what `qemu-img` reads.

    external_data.py COWTIP [--runs N] [--seed S] [--only K]

Random writes, zeros and discards of stock qemu-io are recorded, with both files of the image. Each sector of the guest
must be what it was or what it becomes, in every crash state. The states are made here, and read by `qemu-img`: those
in the order of the writes, torn ones too, must show something wrong exactly when `check` says so; when one does with
a single operation lost that no flush of its file had covered, `check` must say so under `reorder`. What it says is
looked at in the state that it names, written by `show --image-at`.

Copied data that are not flushed before the entry that points to them must be among what is found, unless the qemu-io
of this machine orders them: then the test is skipped.
"""
import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import trace_reader

SKIPPED = 77
SECTOR, DISK, OLD, BACKING = 512, 64 << 10, 0x11, 0x77


class Recording:
    """An image with an external data file, and what a random qemu-io did to it."""

    def __init__(self, cowtip, folder, seed):
        self.cowtip, self.folder = cowtip, folder
        rng = random.Random(seed)
        cluster = rng.choice([1024, 4096])
        with open(self.path("base.raw"), "wb") as file:
            file.write(bytes([BACKING]) * DISK)
        backing = ["-b", "base.raw", "-F", "raw"] if rng.random() < 0.7 else []
        self.run("qemu-img", "create", "-q", "-f", "qcow2", "-o",
                 f"cluster_size={cluster},data_file=disk.raw", *backing, "disk.qcow2", str(DISK))
        old = [f"write -q -P {OLD} {at} {cluster}" for at in (0, cluster, 8 * cluster) if rng.random() < 0.5]
        self.qemu_io(old)
        self.old = self.guest()
        self.run(cowtip, "record", "--image", "disk.qcow2", "--image", "disk.raw", "--out", "out", "--", "qemu-io",
                 *self.words(self.commands(rng, cluster)))
        self.trace_path = self.path(os.path.join("out", os.listdir(self.path("out"))[0]))
        self.trace = trace_reader.Trace(self.trace_path)
        self.new = self.guest()

    @staticmethod
    def commands(rng, cluster):
        """Each in clusters of its own."""
        commands = []
        for i in rng.sample(range(5), rng.randint(1, 3)):
            at = 2 * i * cluster
            length = SECTOR * rng.randint(1, 2 * cluster // SECTOR)
            commands.append(rng.choice([f"write -q -P {0x20 + i} {at} {length}"] * 3 +
                                       [f"write -q -z {at} {length}", f"write -q -z -u {at} {length}",
                                        f"discard -q {at} {length}"]))
            if rng.random() < 0.4:
                commands.append("flush")
        return commands

    def path(self, name):
        return os.path.join(self.folder, name)

    def run(self, *words, folder=None):
        subprocess.run(words, cwd=folder or self.folder, check=True, stdin=subprocess.DEVNULL,
                       stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)

    @staticmethod
    def words(commands):
        return ["-t", "writeback", "-d", "unmap", "-f", "qcow2", *[word for command in commands
                                                                   for word in ("-c", command)], "disk.qcow2"]

    def qemu_io(self, commands):
        if commands:
            self.run("qemu-io", *self.words(commands))

    def guest(self, folder=None):
        self.run("qemu-img", "convert", "-f", "qcow2", "-O", "raw", "disk.qcow2", "guest.raw", folder=folder)
        with open(os.path.join(folder or self.folder, "guest.raw"), "rb") as file:
            return file.read()

    def is_wrong(self, folder):
        """Is some sector neither old nor new, in the image of that folder?"""
        guest = self.guest(folder)
        return any(guest[at:at + SECTOR] not in (self.old[at:at + SECTOR], self.new[at:at + SECTOR])
                   for at in range(0, DISK, SECTOR))

    def wrong_states(self, states):
        """Names of those in which something is wrong."""
        wrong = []
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            shutil.copy(self.path("base.raw"), folder)
            for name, contents in states:
                for path, content in zip(self.trace.paths, contents):
                    with open(os.path.join(folder, os.path.basename(path)), "wb") as file:
                        file.write(content)
                if self.is_wrong(folder):
                    wrong.append(name)
        return wrong

    def check(self, models):
        done = subprocess.run([self.cowtip, "check", self.trace_path, "--guest", "old-or-new", "--crash", models,
                               "--json"], check=False, capture_output=True, text=True)
        assert done.returncode in (0, 1), done.stderr
        return json.loads(done.stdout)["violations"]

    def confirms(self, violation):
        """Is something wrong in the crash state that it names?"""
        crash = violation["crash"]
        place = str(crash["operation"]) + (f"+{crash['sector']}" if crash["sector"] else "")
        persist = violation["message"].split("(persisted: ")[1].rstrip(")") if "(persisted: " in violation["message"] \
            else None
        with tempfile.TemporaryDirectory(dir=self.folder) as folder:
            self.run(self.cowtip, "show", self.trace_path, "--image-at", place, "--output",
                     os.path.join(folder, "disk.qcow2"), *(["--persist", persist] if persist else []))
            shutil.copy(self.path("base.raw"), folder)
            return self.is_wrong(folder)


def compare(cowtip, seed):
    """Returns how many states were read, and the rules that only reordering breaks."""
    with tempfile.TemporaryDirectory(prefix="cowtip-external-") as folder:
        recording = Recording(cowtip, folder, seed)
        in_order, lost = list(recording.trace.states(True)), list(recording.trace.one_lost())
        wrong, found = recording.wrong_states(in_order), recording.check("prefix,torn")
        assert bool(wrong) == bool(found), f"seed {seed}: in order {wrong}, and check says {found}"
        reordered = recording.check("prefix,torn,reorder")
        wrong = recording.wrong_states(lost)
        assert reordered or not wrong, f"seed {seed}: lost {wrong}, and check says nothing"
        for violation in reordered:
            assert recording.confirms(violation), f"seed {seed}: not so: {violation}"
        return len(in_order) + len(lost), [item["rule"] for item in reordered
                                           if item["crash"]["model"] == "reorder"]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cowtip")
    parser.add_argument("--runs", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    arguments = parser.parse_args()
    if not all(shutil.which(tool) for tool in ("qemu-io", "qemu-img", "zstd")):
        print("skipped: qemu-io, qemu-img or zstd is not installed")
        return SKIPPED
    states, rules = 0, []
    seeds = range(arguments.seed, arguments.seed + arguments.runs) if arguments.only is None else [arguments.only]
    for seed in seeds:
        more, found = compare(os.path.abspath(arguments.cowtip), seed)
        states += more
        rules += found
    print(f"{len(seeds)} recordings, {states} crash states read; by reordering: "
          f"{ {rule: rules.count(rule) for rule in sorted(set(rules))} }")
    if "cow-complete" in rules or arguments.only is not None:
        return 0
    print("skipped: the qemu-io of this machine orders the data before the entry")
    return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
