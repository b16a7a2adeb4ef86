# SPDX-License-Identifier: MIT
"""Tests on the QEMU of this machine, which may not have the bugs that they look for."""
import os
import subprocess
import sys

from program import CommandLine

FOLDER = os.path.abspath(sys.argv[2])
RACE = os.path.join(FOLDER, "rewrite-discard-reuse.qio")


class StockCommandLine(CommandLine):
    def need(self, bug, cluster, *commands):
        """Skip, unless plain qemu-io itself shows the bug: a request is stopped where it would
        write its data, others overtake it, and a read finds the wrong bytes."""
        image = self.path("plain.qcow2")
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "-o", f"cluster_size={cluster}",
                        image, "1M"], check=True)
        words = ["qemu-io", "-t", "writeback", "-d", "unmap"]
        for command in commands:
            words += ["-c", command]
        done = subprocess.run([*words, f"blkdebug::{image}"], check=False, text=True,
                              capture_output=True, stdin=subprocess.DEVNULL)
        if "Pattern verification failed" not in done.stdout:
            self.skipTest(f"the QEMU of this machine does not have the bug: {bug}")

    def need_race(self):
        self.need("a write in flight lands in the next owner's data", "64k",
                  "write -P 0x11 0 64k", "break write_aio A", "aio_write -P 0x22 0 64k",
                  "wait_break A", "discard 0 64k", "write -P 0x33 128k 64k", "resume A",
                  "aio_flush", "read -P 0x33 128k 64k")

    def need_lost_zeroes(self):
        self.need("zeroes do not wait for an allocation in flight", "2k",
                  "write -P 0x77 0 2k", "discard 0 2k", "break write_aio A",
                  "aio_write -P 0x11 0 2k", "wait_break A", "write -z 0 2k", "resume A",
                  "aio_flush", "read -P 0 0 2k")
