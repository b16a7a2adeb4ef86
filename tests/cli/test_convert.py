# SPDX-License-Identifier: MIT
"""dm-log-writes logs on the command line: `check`, `show` and `convert`, and what they refuse."""
import os
import struct
import unittest

from program import OVERLAP, CommandLine, main

FLUSH, FUA, DISCARD, MARK = 1, 2, 4, 8


def super_block(entries, version=1, sector=512):
    return struct.pack("<QQQI", 0x6A736677736872, version, entries, sector).ljust(sector, b"\0")


def entry(sector, sectors, flags=0, data=b""):
    return struct.pack("<QQQQ", sector, sectors, flags, 0).ljust(512, b"\0") + data


class Convert(CommandLine):
    def setUp(self):
        super().setUp()
        self.write("overlap.qio", OVERLAP)
        self.trace = self.run_json("run", "overlap.qio", "--out", "t")["trace"]
        self.run_program("show", self.trace, "--image-at", "0", "--output", "initial.qcow2")

    def write_bytes(self, name, content):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return name

    def log(self):
        self.run_program("convert", self.trace, "t.log")
        return "t.log"

    def test_a_trace_becomes_a_log_that_is_judged(self):
        found = self.run_json("convert", self.trace, "a.out", "--to", "dm-log-writes")
        self.assertEqual(found["format"], "dm-log-writes")
        self.assertEqual(os.path.getsize(self.path("a.out")) % 512, 0)
        self.assertFalse(os.path.exists(self.path("a.out.tmp")))
        report = self.run_json("check", "a.out", "--image", "initial.qcow2")
        self.assertEqual(report.keys(), self.run_json("check", self.trace).keys())
        self.assertEqual(report["violations"], [])
        skipped = {row["rule"] for row in report["skipped"]}
        self.assertEqual(skipped, {"cow-complete", "error-contained", "old-or-new", "flush-durable",
                                   "read-linearizable", "leak-bounded", "progress"})

    def test_a_log_says_what_is_lost(self):
        out, err = self.run_program("convert", self.trace, "t.log")
        self.assertRegex(out, r"^t\.log: \d+ entries\n")
        self.assertEqual(err, "")
        self.assertEqual(self.run_program("convert", "--quiet", self.trace, "t.log")[0], "")

    def test_a_log_becomes_a_trace_with_its_backing_file(self):
        self.run_program("convert", self.log(), "back.trace.zst", "--image", "initial.qcow2")
        out, _ = self.run_program("show", "back.trace.zst")
        self.assertIn("subject  a dm-log-writes log\n", out)
        self.assertIn("dialect  kernel\n", out)
        self.assertIn("file 1   backing.raw (raw", out)
        self.assertIn("task 1 writes", out)
        of_log, _ = self.run_program("show", "t.log", "--image", "initial.qcow2")
        self.assertEqual(of_log.split("\n\n", 1)[1], out.split("\n\n", 1)[1])

    def test_the_dialect_is_said_detected_or_guessed(self):
        log = self.write_bytes("q.log", super_block(2) + entry(0, 1, 0, bytes(512)) +
                               entry(0, 0, FLUSH))
        image = ["--image", "initial.qcow2"]
        _, err = self.run_program("show", log, *image)
        self.assertEqual(err, "cowtip: log 'q.log' does not tell whose it is: read as QEMU's "
                              "(--dialect)\n")
        for dialect in ("qemu", "kernel"):
            out, err = self.run_program("show", log, *image, "--dialect", dialect)
            self.assertIn(f"dialect  {dialect}\n", out)
            self.assertEqual(err, "")
        _, err = self.run_program("check", self.log(), *image, "--dialect", "qemu", code=2)
        self.assertIn("is not QEMU's", err)

    def test_a_log_that_holds_less_or_more_than_it_says_is_judged_as_far_as_it_goes(self):
        write = entry(100, 1, FUA, b"x" * 512)
        image = ["--image", "initial.qcow2"]
        self.write_bytes("cut.log", super_block(3) + write + write[:-1])
        _, err = self.run_program("check", "cut.log", *image)
        self.assertEqual(err, "cowtip: log 'cut.log': ends in entry 2 of 3, which begins at byte "
                              "1536: judging what is there\n")
        self.write_bytes("more.log", super_block(1) + 3 * write)
        _, err = self.run_program("check", "more.log", *image)
        self.assertEqual(err, "cowtip: log 'more.log': its super block counts 1 entries; what "
                              "looks like 2 more was not read\n")

    def test_an_empty_file_is_an_image_in_the_making(self):
        self.write_bytes("empty", b"")
        out, _ = self.run_program("check", self.log(), "--image", "empty")
        self.assertIn("the image was made in the recording", out)

    def test_what_cannot_be_read_is_one_line_and_exit_status_2(self):
        log, image = self.log(), ["--image", "initial.qcow2"]
        with open(self.path("initial.qcow2"), "rb") as file:
            initial = bytearray(file.read())
        self.write_bytes("raw", bytes(4096))
        os.mkdir(self.path("alone"))
        self.write_bytes("alone/initial.qcow2", initial)
        self.write_bytes("newer.log", super_block(0, version=2))
        self.write_bytes("odd.log", super_block(1) + entry(0, 1, 32))
        self.write_bytes("large.log", super_block(1) + entry(0, 1 << 40, 0))
        self.write_bytes("short.log", super_block(0)[:20])
        for arguments, message in [
                (["check", log],
                 "'t.log' is a dm-log-writes log: --image must name the image as it was before"),
                (["check", log, "--image", "none"], "cannot open 'none': No such file or directory"),
                (["check", log, "--image", "raw"], "'raw' is no qcow2 image"),
                (["check", log, "--image", "alone/initial.qcow2"],
                 "cannot open 'alone/backing.raw': No such file or directory"),
                (["check", log, *image, "--dialect", "cisco"],
                 "unknown dialect 'cisco': kernel, qemu or auto"),
                (["check", "newer.log", *image],
                 "log 'newer.log': format version 2, this program reads version 1"),
                (["check", "odd.log", *image],
                 "log 'odd.log': entry 1 at byte 512: unknown flags"),
                (["check", self.trace, *image],
                 f"'{self.trace}' is no dm-log-writes log: --image and --dialect are for those"),
                (["convert", self.trace, "x"],
                 "convert: what is 'x' to be? .trace.zst, .log, .dmlog, .qio, or --to "
                 "trace|dm-log-writes|workload"),
                (["convert", self.trace, "x", "--to", "tape"], None),
                (["convert", "x", "y.log"], "cannot open 'x': No such file or directory"),
                (["convert", self.trace, "no/folder/y.log"], None),
                (["convert", self.trace], "usage: cowtip convert [OPTION]... IN OUT")]:
            out, err = self.run_program(*arguments, code=2)
            self.assertEqual((out, err.count("\n")), ("", 1), err)
            if message is not None:
                self.assertEqual(err, f"cowtip: {message}\n")
        for cut_off in ("large.log", "short.log"):
            _, err = self.run_program("check", cut_off, *image, code=0)
            self.assertIn("judging what is there", err)
        self.assertFalse(os.path.exists(self.path("x")))


if __name__ == "__main__":
    main()
