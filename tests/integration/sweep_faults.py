#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The long tests of faults: whole sweeps of the shipped workloads with the full menu, every policy.

usage: sweep_faults.py COWTIP SUITE K [SECONDS]

COWTIP is the program, SUITE the folder of the shipped workloads, K the number of faults a run may have. With K above 1
only worlds of two requests are swept (flushes do not count). A sweep that takes more than SECONDS (default 120) is cut;
the output says so, and it is no failure. Exits 1 when anything wrong is found.
"""
import glob
import os
import subprocess
import sys
import time

POLICIES = ("eager", "delayed", "cancel")


def is_request(line):
    """Is the line of a workload a request, other than a flush?"""
    words = line.split()
    if words[:2] == ["#@", "snapshot"]:
        return True
    return bool(words) and not line.startswith("#") and words[0] not in ("flush", "aio_flush", "f")


def requests(path):
    with open(path, encoding="utf-8") as text:
        return sum(is_request(line) for line in text)


def sweep(cowtip, path, faults, policy, seconds):
    """Returns the exit status, and the row of the sweep's table."""
    done = subprocess.run([cowtip, "sweep", path, "--faults", str(faults), "--fault-points", "*", "--fault-kinds", "all",
                           "--policy", policy, "--no-swap", "--budget", f"{seconds}s", "--out", "cowtip-out/faults"],
                          capture_output=True, text=True, check=False)
    rows = done.stdout.splitlines()
    if done.returncode not in (0, 3):
        print(done.stdout, done.stderr)
    return done.returncode, rows[1] if len(rows) > 1 else done.stderr.strip()


def main(cowtip, suite, faults, seconds=120):
    faults, seconds = int(faults), int(seconds)
    paths = sorted(glob.glob(os.path.join(suite, "*.qio")))
    if faults > 1:
        paths = [path for path in paths if requests(path) <= 2]
    wrong = cut = left_out = 0
    end = time.monotonic() + float(os.environ.get("COWTIP_LONG_SECONDS", "inf"))
    for path in paths:
        for policy in POLICIES:
            if time.monotonic() >= end:
                left_out += 1
                continue
            status, row = sweep(cowtip, path, faults, policy, max(1, min(seconds, int(min(end - time.monotonic(), 1e6)))))
            print(f"{policy:8} {row}", flush=True)
            wrong += status not in (0, 3)
            cut += status == 3
    print(f"{len(paths)} workloads, {len(POLICIES)} policies, at most {faults} faults a run: {wrong} wrong, {cut} cut, {left_out} left out")
    return 1 if wrong or not paths else 0


if __name__ == "__main__":
    if len(sys.argv) not in (4, 5):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
