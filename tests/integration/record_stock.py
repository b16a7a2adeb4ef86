# SPDX-License-Identifier: MIT
"""One recording of stock qemu-io with a random workload, in the present folder.

    record_stock.py COWTIP --seed S --only K

Run K of seed S is that of false_alarms.py. Leaves the image, what backs it, and out/qemu-io-1.trace.zst.
"""
import argparse
import os

import stock_qemu


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cowtip")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", type=int, required=True)
    arguments = parser.parse_args()
    workload = stock_qemu.Workload(os.getcwd(), arguments.seed, arguments.only)
    print(f"{workload}\n{workload.record(os.path.abspath(arguments.cowtip))}")


if __name__ == "__main__":
    main()
