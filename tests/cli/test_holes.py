# SPDX-License-Identifier: MIT
"""Holes of stock qemu-io that campaigns found: each shown by plain commands, then by a sweep.

usage: test_holes.py PROGRAM FOLDER-OF-WORKLOADS

When the plain commands show nothing, the qemu-io of this machine has no such hole, and its test is
skipped. The commands are those of workloads/README.md.
"""
import os
import shutil
import subprocess
import sys
import unittest

from program import CommandLine, main

FOLDER = os.path.abspath(sys.argv[2])
QEMU_IO = "qemu-io -t {cache} -d unmap -f qcow2 {image}"
BACKED = ["qemu-img create -q -f raw base.raw 64k",
          "qemu-io -f raw -c 'write -q -P 0x77 0 64k' base.raw",
          "qemu-img create -q -f qcow2 -o cluster_size=4k -b base.raw -F raw i.qcow2"]
HOLES = {
    "compressed-discard": (["old-or-new"], "Input/output error", [
        "qemu-img create -q -f qcow2 -o cluster_size=4k i.qcow2 64k",
        "qemu-io -c 'write -q -c -P 0x11 0 4k' i.qcow2",
        "qemu-io -t writeback -d unmap -c 'discard 0 4k' -c 'sigraise 9' i.qcow2",
        "qemu-io -c 'read -P 0x11 0 4k' i.qcow2"]),
    "discard-then-reuse": (["old-or-new"], "read 65536/65536 bytes at offset 0", [
        "qemu-img create -q -f qcow2 i.qcow2 1M",
        "qemu-io -c 'write -q -P 0x11 0 64k' i.qcow2",
        "qemu-io -t writeback -d unmap -c 'discard 0 64k' -c 'break l2_update A' "
        "-c 'aio_write -q -P 0x22 128k 64k' -c 'wait_break A' -c 'sigraise 9' blkdebug::i.qcow2",
        "qemu-io -c 'read -P 0x22 0 64k' i.qcow2"]),
    "compressed-during-allocation": (
        ["flush-durable", "read-linearizable"], "Pattern verification failed at offset 1024",
        BACKED + [
            "qemu-io -t writeback -d unmap -c 'break write_aio A' -c 'aio_write -q -P 0x11 0 1k' "
            "-c 'wait_break A' -c 'write -q -c -P 0x22 0 4k' -c 'resume A' -c aio_flush -c flush "
            "-c 'read -P 0x22 1k 3k' blkdebug::i.qcow2"]),
    "compressed-before-data": (["no-alias", "old-or-new"], "Input/output error", BACKED + [
        "qemu-io -t writeback -d unmap -c 'break write_compressed A' "
        "-c 'aio_write -q -P 0x11 0 4k' -c 'wait_break A' -c flush -c 'sigraise 9' --image-opts "
        "driver=compress,file.driver=qcow2,file.file.driver=blkdebug,"
        "file.file.image.driver=file,file.file.image.filename=i.qcow2",
        "qemu-io -c 'read -P 0x77 0 4k' i.qcow2"]),
}


@unittest.skipUnless(shutil.which("qemu-io") and shutil.which("qemu-img"),
                     "qemu-io or qemu-img is not installed")
class Holes(CommandLine):
    def plain(self, commands):
        """The output of the last of some shell commands."""
        said = ""
        for command in commands:
            done = subprocess.run(command, shell=True, cwd=self.folder, text=True, check=False,
                                  capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
            said = done.stdout + done.stderr
        return said

    def sweep(self, name, code=1):
        found = self.run_json("sweep", "--program", QEMU_IO, os.path.join(FOLDER, name + ".qio"),
                              "--out", "o", code=code)
        self.assertIs(found["complete"], True)
        self.assertIsNone(found["complaint"])
        return found["violations"]

    def check(self, name):
        rules, told, commands = HOLES[name]
        said = self.plain(commands)
        if told not in said or ("Pattern" in said) != ("Pattern" in told):
            self.skipTest(f"the qemu-io of this machine does not show it: {said}")
        self.assertEqual(sorted({item["rule"] for item in self.sweep(name)}), rules)

    def test_a_discarded_compressed_cluster_is_gone_before_its_entry(self):
        self.check("compressed-discard")

    def test_a_freed_cluster_is_given_away_before_its_entry_is_gone(self):
        self.check("discard-then-reuse")

    def test_a_compressed_write_does_not_wait_for_an_allocation(self):
        self.check("compressed-during-allocation")

    def test_the_entry_of_a_compressed_write_is_there_before_its_data(self):
        self.check("compressed-before-data")

    def test_lazy_refcounts_leave_data_behind_its_entry(self):
        """Its crash image, written by `show`, read by plain qemu-io: neither old nor new."""
        found = self.run_json("sweep", "--program", QEMU_IO,
                              os.path.join(FOLDER, "lazy-second-write.qio"), "--out", "o",
                              code=(0, 1))
        if not found["violations"]:
            self.skipTest("the qemu-io of this machine orders data before the entry")
        item = [item for item in found["violations"] if item["rule"] == "cow-complete"][0]
        persist = item["message"].split("(persisted: ")[1].rstrip(")")
        self.run_program("show", item["trace"], "--image-at", str(item["crash"]["operation"]),
                         "--persist", persist, "--output", "crash.qcow2")
        said = self.plain(["qemu-io -r -c 'read -P 0x22 4k 4k' -c 'read -v 4k 512' crash.qcow2"])
        self.assertIn("Pattern verification failed at offset 4096", said)
        self.assertIn("00001000:", said)
        self.assertNotIn("backing.sector", said)


if __name__ == "__main__":
    main()
