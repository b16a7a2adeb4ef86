# SPDX-License-Identifier: MIT
"""Random mixed workloads for stock qemu-io, and what it is known to do wrong: shared by the tests that
judge recordings of it. Run K of seed S is the same everywhere."""
import json
import os
import random
import subprocess

SKIPPED = 77
CLUSTERS = [512, 1024, 2048, 4096, 16384, 65536]


def run(folder, *command, statuses=(0,)):
    """Run a command that must end with one of `statuses`. Returns it with its output."""
    done = subprocess.run(command, cwd=folder, check=False, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode not in statuses:
        raise RuntimeError(f"{' '.join(command)}: exit status {done.returncode}\n"
                           f"{done.stdout}{done.stderr}")
    return done


class Workload:
    """An image disk.qcow2 in `folder`, and a qemu-io command line for it."""

    def __init__(self, folder, seed, number):
        self.rng = random.Random(f"{seed}/{number}")
        self.folder = folder
        self.cluster = self.rng.choice(CLUSTERS)
        small = self.cluster < 16384
        self.size = self.cluster * self.rng.choice([64, 200, 300] if small else [24, 64])
        self.cache = self.rng.choice(["writeback", "writeback", "writethrough"])
        self.unmap = self.rng.choice(["unmap", "ignore"])
        self._make_image()
        self.commands = [self._command() for _ in range(self.rng.randrange(6, 40))]
        if self.rng.random() < 0.5:
            self.commands += ["aio_flush", "flush"]

    def __str__(self):
        return f"{self.image} -t {self.cache} -d {self.unmap}"

    def _make_image(self):
        """Images of {version, lazy refcounts, refcount width, backing file, snapshot}."""
        rng = self.rng
        options = [f"cluster_size={self.cluster}", f"compat={rng.choice(['1.1'] * 3 + ['0.10'])}"]
        backing = rng.choice(["none", "none", "raw", "qcow2"])
        snapshot = rng.random() < 0.2
        if options[1] == "compat=1.1" and rng.random() < 0.4:
            options.append("lazy_refcounts=on")
        if options[1] == "compat=1.1" and rng.random() < 0.2:
            options.append(f"refcount_bits={rng.choice([8, 64] if snapshot else [1, 4, 64])}")
        command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", ",".join(options)]
        if backing == "raw":
            with open(os.path.join(self.folder, "base"), "wb") as file:
                file.write(bytes(rng.randrange(256) for _ in range(512)) * (self.size // 512))
        elif backing == "qcow2":
            self.run("qemu-img", "create", "-q", "-f", "qcow2", "base", str(self.size))
            self.run("qemu-io", "-f", "qcow2", "-c", f"write -P 99 0 {self.size // 2}", "base")
        if backing != "none":
            command += ["-b", "base", "-F", backing]
        self.run(*command, "disk.qcow2", str(self.size))
        if snapshot:
            self.run("qemu-io", "-f", "qcow2", "-c", f"write -P 77 0 {self.size // 3}",
                     "disk.qcow2")
            self.run("qemu-img", "snapshot", "-c", "before", "disk.qcow2")
        self.image = f"{','.join(options)} backing={backing} size={self.size} snapshot={snapshot}"

    def _place(self):
        """A range of whole sectors: often inside a cluster, sometimes across several."""
        rng, cluster = self.rng, self.cluster
        length = rng.choice([512, 1024, cluster // 2, cluster, cluster + 512, 3 * cluster,
                             rng.randrange(1, 9) * 512])
        length = max(512, min(length // 512 * 512, self.size // 2))
        return rng.randrange(0, (self.size - length) // 512 + 1) * 512, length

    def _command(self):
        offset, length = self._place()
        pattern = self.rng.randrange(1, 256)
        return self.rng.choice([
            f"write -P {pattern} {offset} {length}",
            f"aio_write -P {pattern} {offset} {length}",
            f"aio_write -P {pattern} {offset} {length}",
            f"write -z {offset} {length}",
            f"write -z -u {offset} {length}",
            f"aio_write -z {offset} {length}",
            f"discard {offset} {length}",
            f"write -c {offset // self.cluster * self.cluster} {self.cluster}",
            f"read {offset} {length}",
            f"aio_read {offset} {length}",
            "aio_flush",
            "flush",
        ])

    def run(self, *command, statuses=(0,)):
        return run(self.folder, *command, statuses=statuses)

    def qemu_io(self, *image):
        """The command line that does it all to `image`."""
        command = ["qemu-io", "-d", self.unmap, "-t", self.cache]
        for text in self.commands:
            command += ["-c", text]
        return command + list(image)

    def record(self, cowtip):
        """Do it all under `cowtip record`. Returns the trace's path in the folder."""
        self.run(cowtip, "record", "--quiet", "--out", "out", "--",
                 *self.qemu_io("-f", "qcow2", "disk.qcow2"))
        return "out/qemu-io-1.trace.zst"


def writes_compressed(workload):
    return any(command.startswith("write -c") for command in workload.commands)


def is_reused_compressed_cluster(violation, violations, workload):
    """A compressed write is packed behind the last one, into what is left of its cluster. qemu-io
    7.2 goes on doing so after that cluster was freed and given to somebody else: to guest data, that
    is overwritten by it. The cluster then has a second reference, and COPIED in the first."""
    aliases = [other["host_offset"] for other in violations if other["rule"] == "no-alias" and
               "guest data and compressed data" in other["message"]]
    return writes_compressed(workload) and violation["host_offset"] in aliases and \
        violation["rule"] in ("no-alias", "copied-exact")


def is_reused_compressed_cluster_noticed(violation, _, workload):
    """The same, but the cluster was given to a table: QEMU notices, fails the write, and marks the
    image corrupt."""
    return writes_compressed(workload) and violation["rule"] == "opens" and \
        violation["message"].endswith("the corrupt bit is set")


def is_reused_before_it_was_unlinked(violation, _, workload):
    """With lazy refcounts nothing orders the L2 table that gives a cluster up before the L2 table
    that uses it again: between the two a crash leaves both entries."""
    return violation["rule"] == "no-alias" and "lazy_refcounts=on" in workload.image and \
        violation["message"].endswith("is guest data for 2 entries at the same time")


def is_linked_before_its_data(violation, _, workload):
    """The L2 entry of a compressed write is there first. Another write's flush may make it durable
    before the data are written: they would lie behind the end of the file."""
    return writes_compressed(workload) and violation["rule"] == "no-alias" and \
        "is compressed data and lies beyond the end of the file" in violation["message"]


def check_names_the_cluster(workload, violation):
    """Does `qemu-img check` find that very cluster wrong in the crash state?"""
    offset = violation["host_offset"]
    done = workload.run("qemu-img", "check", "-f", "qcow2", "crash.img", statuses=(2,))
    found = done.stdout + done.stderr
    return f"ERROR cluster {offset // workload.cluster} refcount=" in found or \
        f"ERROR OFLAG_COPIED data cluster: l2_entry={1 << 63 | offset:x} " in found


def info_says_corrupt(workload, _):
    done = workload.run("qemu-img", "info", "--output=json", "-f", "qcow2", "crash.img")
    return json.loads(done.stdout)["format-specific"]["data"]["corrupt"]


def reads_behind_the_end(workload, violation):
    """Does `qemu-img check` find the image to go on behind its file, over that very place, and does
    a read of the disk fail?"""
    done = workload.run("qemu-img", "check", "--output=json", "-f", "qcow2", "crash.img",
                        statuses=(0, 2, 3))
    end = json.loads(done.stdout)["image-end-offset"]
    size = os.path.getsize(os.path.join(workload.folder, "crash.img"))
    read = workload.run("qemu-io", "-r", "-f", "qcow2", "-c", f"read 0 {workload.size}",
                        "crash.img", statuses=(0, 1))
    return size <= violation["host_offset"] < end and \
        "read failed: Input/output error" in read.stdout + read.stderr


# What is really there, and how the reference tools see it in that very crash state.
EXPLAINED = [
    (is_reused_compressed_cluster, check_names_the_cluster),
    (is_reused_compressed_cluster_noticed, info_says_corrupt),
    (is_reused_before_it_was_unlinked, check_names_the_cluster),
    (is_linked_before_its_data, reads_behind_the_end),
]


def explanation(cowtip, workload, arguments, violation, violations):
    """The name of the reason, confirmed by the reference tools; None: there is none."""
    crash = violation["crash"]
    place = f"{crash['operation']}" + (f"+{crash['sector']}" if crash["sector"] else "")
    for reason, confirm in EXPLAINED:
        if reason(violation, violations, workload):
            workload.run(cowtip, "show", "--quiet", *arguments, "--image-at", place, "--output",
                         "crash.img")
            return reason.__name__ if confirm(workload, violation) else None
    return None


def judge(cowtip, workload, *arguments):
    """Check a trace or log. Returns the report, the reasons for what is really there, and alarms."""
    report = json.loads(workload.run(cowtip, "check", "--json", *arguments,
                                     statuses=(0, 1)).stdout)
    reasons, alarms = [], []
    for violation in report["violations"]:
        reason = explanation(cowtip, workload, arguments, violation, report["violations"])
        if reason:
            reasons.append(reason)
        else:
            alarms.append(violation)
    return report, reasons, alarms


def print_alarms(number, workload, alarms):
    print(f"run {number}: {workload}")
    for violation in alarms:
        crash = violation["crash"]
        print(f"  {violation['rule']} ({violation['severity']}), {crash['model']} after operation "
              f"{crash['operation']}+{crash['sector']}: {violation['message']}")
