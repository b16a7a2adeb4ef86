# SPDX-License-Identifier: MIT
"""`cowtip check --guest`: what a tool that has no requests may do to the guest's data."""
import shutil
import subprocess
import unittest

import program

TRACE = "cowtip-out/qemu-io-1.trace.zst"


@unittest.skipUnless(shutil.which("qemu-io") and shutil.which("qemu-img"),
                     "qemu-utils is not installed")
class Guest(program.CommandLine):
    def record(self, *commands):
        """Record what qemu-io does to an image with data in its first half."""
        words = [word for command in commands for word in ("-c", command)]
        for prepare in (["qemu-img", "create", "-q", "-f", "qcow2", "-o", "cluster_size=4k",
                         "disk.qcow2", "64k"],
                        ["qemu-io", "-f", "qcow2", "-c", "write -q -P 1 0 32k", "disk.qcow2"]):
            subprocess.run(prepare, cwd=self.folder, check=True)
        self.run_program("record", "--quiet", "--", "qemu-io", "-f", "qcow2", *words, "disk.qcow2")

    def rules(self, *arguments, code):
        report = self.run_json("check", TRACE, *arguments, code=code)
        return {violation["rule"] for violation in report["violations"]}, report["skipped"]

    def test_without_a_word_contents_are_not_judged(self):
        self.record("write -q -P 2 1k 9k")
        rules, skipped = self.rules(code=0)
        self.assertEqual(rules, set())
        self.assertIn("old-or-new", [item["rule"] for item in skipped])

    def test_each_sector_may_be_old_or_new(self):
        self.record("write -q -P 2 1k 9k", "write -q -P 3 40k 512")
        rules, skipped = self.rules("--guest", "old-or-new", code=0)
        self.assertEqual((rules, skipped), (set(), []))

    def test_what_was_to_be_unchanged_and_changed_is_told(self):
        self.record("write -q -P 2 1k 512")
        self.assertEqual(self.rules("--guest", "unchanged", code=1)[0], {"cow-complete"})

    def test_what_is_neither_old_nor_new_is_told(self):
        self.record("write -q -P 2 1k 512", "write -q -P 3 1k 512")
        self.assertEqual(self.rules("--guest", "old-or-new", code=1)[0], {"cow-complete"})

    def test_a_larger_disk_is_unchanged(self):
        self.record("truncate 128k")
        rules, skipped = self.rules("--guest", "unchanged", code=0)
        self.assertEqual((rules, skipped), (set(), []))

    def test_what_was_not_flushed_when_the_tool_ended_is_told(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "raw", "new", "64k"], cwd=self.folder,
                       check=True)
        self.record("read -q 0 512")
        self.run_program("record", "--quiet", "--", "qemu-img", "convert", "-n", "-t", "unsafe", "-f",
                         "raw", "-O", "qcow2", "new", "disk.qcow2")
        trace = "cowtip-out/qemu-img-1.trace.zst"
        for models, code in (("prefix,torn", 0), ("reorder", 1)):
            report = self.run_json("check", trace, "--guest", "old-or-new", "--crash", models,
                                   code=code)
            rules = {violation["rule"] for violation in report["violations"]}
            self.assertEqual("flush-durable" in rules, code == 1)

    def test_mistakes(self):
        self.write("overlap.qio", program.OVERLAP)
        self.run_program("run", "overlap.qio")
        error = self.run_program("check", "--guest", "unchanged",
                                 "cowtip-out/overlap.trace.zst", code=2)[1]
        self.assertIn("--guest is for recordings without requests", error)
        error = self.run_program("check", "--guest", "older", "cowtip-out/overlap.trace.zst",
                                 code=2)[1]
        self.assertIn("--guest 'older': unchanged or old-or-new", error)


if __name__ == "__main__":
    program.main()
