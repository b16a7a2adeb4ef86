# SPDX-License-Identifier: MIT
"""False alarms: stock qemu-io, random mixed workloads, every crash state judged.

    false_alarms.py COWTIP [--runs N] [--seed S] [--only K] [--keep DIR]

Run K of seed S is the same everywhere: `--runs 1 --only K` repeats one. A finding must be one of
EXPLAINED, each of which is really there; anything else is a false alarm (or news), and fails.
oracle/README.md, "What stock qemu-io really shows", has the reasons.
"""
import argparse
import collections
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile

SKIPPED = 77
CLUSTERS = [512, 1024, 2048, 4096, 16384, 65536]

# (rule, severity, the message): what stock qemu-io is known to leave, and why it is no mistake of ours.
EXPLAINED = []


def size_of(rng, cluster):
    """Bytes of the virtual disk: several L2 tables where clusters are small."""
    return cluster * rng.choice([64, 200, 300]) if cluster < 16384 else cluster * rng.choice([24, 64])


def run(folder, *command):
    done = subprocess.run(command, cwd=folder, check=False, text=True, capture_output=True,
                          stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)}: exit status {done.returncode}\n{done.stdout}{done.stderr}")


def place(rng, size, cluster):
    """A range of whole sectors: often inside a cluster, sometimes across many."""
    length = rng.choice([512, 1024, cluster // 2, cluster, cluster + 512, 3 * cluster,
                         rng.randrange(1, 9) * 512])
    length = max(512, min(length // 512 * 512, size // 2))
    return rng.randrange(0, (size - length) // 512 + 1) * 512, length


def command_of(rng, size, cluster):
    offset, length = place(rng, size, cluster)
    pattern = rng.randrange(1, 256)
    return rng.choice([
        f"write -P {pattern} {offset} {length}",
        f"aio_write -P {pattern} {offset} {length}",
        f"aio_write -P {pattern} {offset} {length}",
        f"write -z {offset} {length}",
        f"write -z -u {offset} {length}",
        f"aio_write -z {offset} {length}",
        f"discard {offset} {length}",
        f"read {offset} {length}",
        f"aio_read {offset} {length}",
        "aio_flush",
        "flush",
    ])


def make_image(rng, folder):
    """Make disk.qcow2. Returns its size and cluster size, and what it is."""
    cluster = rng.choice(CLUSTERS)
    size = size_of(rng, cluster)
    options = [f"cluster_size={cluster}"]
    compat = rng.choice(["1.1", "1.1", "1.1", "0.10"])
    options.append(f"compat={compat}")
    if compat == "1.1" and rng.random() < 0.4:
        options.append("lazy_refcounts=on")
    backing = rng.choice(["none", "none", "raw", "qcow2"])
    command = ["qemu-img", "create", "-q", "-f", "qcow2", "-o", ",".join(options)]
    if backing == "raw":
        with open(os.path.join(folder, "base"), "wb") as file:
            file.write(bytes(rng.randrange(256) for _ in range(512)) * (size // 512))
    elif backing == "qcow2":
        run(folder, "qemu-img", "create", "-q", "-f", "qcow2", "base", str(size))
        run(folder, "qemu-io", "-f", "qcow2", "-c", f"write -P 99 0 {size // 2}", "base")
    if backing != "none":
        command += ["-b", "base", "-F", backing]
    run(folder, *command, "disk.qcow2", str(size))
    return size, cluster, f"{','.join(options)} backing={backing} size={size}"


def record(cowtip, folder, rng):
    """One recorded run. Returns its trace and what it was."""
    size, cluster, what = make_image(rng, folder)
    cache = rng.choice(["writeback", "writeback", "none", "writethrough"])
    unmap = rng.choice(["unmap", "ignore"])
    command = ["qemu-io", "-f", "qcow2", "-d", unmap]
    # Direct I/O is refused where temporary files have no disk below them.
    command += ["-t", "writeback" if cache == "none" else cache]
    for _ in range(rng.randrange(6, 40)):
        command += ["-c", command_of(rng, size, cluster)]
    if rng.random() < 0.5:
        command += ["-c", "aio_flush", "-c", "flush"]
    command.append("disk.qcow2")
    run(folder, cowtip, "record", "--quiet", "--out", "out", "--", *command)
    return os.path.join(folder, "out", "qemu-io-1.trace.zst"), f"{what} -t {cache} -d {unmap}"


def judge(cowtip, trace):
    done = subprocess.run([cowtip, "check", "--json", trace], check=False, text=True,
                          capture_output=True)
    if done.returncode not in (0, 1):
        sys.exit(f"cowtip check {trace}: exit status {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout)


def explanation(violation):
    for rule, severity, message in EXPLAINED:
        if (violation["rule"], violation["severity"]) == (rule, severity) and \
                re.search(message, violation["message"]):
            return f"{rule} ({severity}): {message}"
    return None


class Tally:
    def __init__(self):
        self.states = 0
        self.alarms = 0
        self.explained = collections.Counter()


def one_run(arguments, number, tally):
    rng = random.Random(f"{arguments.seed}/{number}")
    folder = tempfile.mkdtemp(prefix="cowtip-alarms-")
    trace, what = record(arguments.cowtip, folder, rng)
    found = judge(arguments.cowtip, trace)
    tally.states += found["crash_states"]
    unexplained = []
    for violation in found["violations"]:
        reason = explanation(violation)
        if reason is None:
            unexplained.append(violation)
        else:
            tally.explained[reason] += 1
    if unexplained:
        tally.alarms += 1
        print(f"run {number}: {what}")
        for violation in unexplained:
            crash = violation["crash"]
            print(f"  {violation['rule']} ({violation['severity']}), {crash['model']} after "
                  f"operation {crash['operation']}+{crash['sector']}: {violation['message']}")
        if arguments.keep:
            shutil.copytree(folder, os.path.join(arguments.keep, f"run-{number}"))
    shutil.rmtree(folder)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cowtip")
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int)
    parser.add_argument("--keep", help="a folder for the images and traces of false alarms")
    arguments = parser.parse_args()
    if not shutil.which("qemu-io") or not shutil.which("qemu-img"):
        print("skipped: qemu-io or qemu-img is not installed")
        return SKIPPED
    arguments.cowtip = os.path.abspath(arguments.cowtip)
    tally = Tally()
    numbers = range(arguments.runs) if arguments.only is None else [arguments.only]
    print(f"seed {arguments.seed}, runs {len(numbers)}")
    for number in numbers:
        one_run(arguments, number, tally)
    for reason, count in sorted(tally.explained.items()):
        print(f"explained, {count} times: {reason}")
    print(f"{tally.states} crash states; {tally.alarms} runs with false alarms")
    return 1 if tally.alarms or not tally.states else 0


if __name__ == "__main__":
    sys.exit(main())
