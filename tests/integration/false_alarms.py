# SPDX-License-Identifier: MIT
"""False alarms: stock qemu-io, random mixed workloads, every crash state judged.

    false_alarms.py COWTIP [--runs N] [--seed S] [--only K] [--keep DIR]

A finding must be one of stock_qemu.EXPLAINED, which are really there, and `qemu-img` must see it in that
very crash state, too; anything else is a false alarm (or news), and fails. The reasons are in
oracle/README.md, "What stock qemu-io really shows".
"""
import argparse
import collections
import os
import shutil
import sys
import tempfile

import stock_qemu


def one_run(arguments, number, explained):
    """Record and judge. Returns the number of crash states, and of unexplained findings."""
    with tempfile.TemporaryDirectory(prefix="cowtip-alarms-") as folder:
        workload = stock_qemu.Workload(folder, arguments.seed, number)
        report, reasons, alarms = stock_qemu.judge(arguments.cowtip, workload,
                                                   workload.record(arguments.cowtip))
        explained.update(reasons)
        if alarms:
            stock_qemu.print_alarms(number, workload, alarms)
        if alarms and arguments.keep:
            shutil.copytree(folder, os.path.join(arguments.keep, f"run-{number}"))
    return report["crash_states"], len(alarms)


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
        return stock_qemu.SKIPPED
    arguments.cowtip = os.path.abspath(arguments.cowtip)
    explained = collections.Counter()
    states = alarms = 0
    numbers = range(arguments.runs) if arguments.only is None else [arguments.only]
    print(f"seed {arguments.seed}, {len(numbers)} runs")
    for number in numbers:
        more_states, more_alarms = one_run(arguments, number, explained)
        states += more_states
        alarms += more_alarms
    for reason, count in sorted(explained.items()):
        print(f"really there, {count} times: {reason}")
    print(f"{states} crash states, {alarms} false alarms")
    return 1 if alarms or not states else 0


if __name__ == "__main__":
    sys.exit(main())
