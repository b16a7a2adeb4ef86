# SPDX-License-Identifier: MIT
"""`sweep --nbd` and what follows it, on the qemu-nbd of this machine.

usage: test_nbd.py PROGRAM FOLDER-OF-WORKLOADS
"""
import glob
import os
import shutil
import signal
import subprocess
import time
import unittest

from program import OVERLAP, PROGRAM, main
from stock import FOLDER, RACE, StockCommandLine

QEMU_NBD = "qemu-nbd -f qcow2 --discard=unmap --socket={socket} {image}"
STORAGE_DAEMON = ("qemu-storage-daemon --blockdev file,node-name=f,filename={image} "
                  "--blockdev qcow2,node-name=q,file=f,discard=unmap "
                  "--nbd-server addr.type=unix,addr.path={socket} "
                  "--export nbd,id=e,node-name=q,writable=on")
REPLAYS = 20
SECONDS = 20


def rules(found):
    return [item["rule"] for item in found["violations"]]


@unittest.skipUnless(shutil.which("qemu-nbd"), "qemu-nbd is not installed")
class Nbd(StockCommandLine):
    def test_the_race_of_rewrite_and_discard_is_found_and_replays_every_time(self):
        self.need_race()
        found = self.run_json("sweep", "--nbd", QEMU_NBD, RACE, "--out", "o", code=1)
        self.assertIs(found["complete"], True)
        self.assertIsNone(found["complaint"])
        self.assertEqual(found["strategy"], "dfs")
        self.assertEqual(found["certificate"]["first_found_in_run"]["old-or-new"], 1)
        first = next(item for item in found["violations"] if item["rule"] == "read-linearizable")
        self.assertEqual(first["crash"]["model"], "none")
        self.assertIn("data of request 2 for guest 0x0", first["message"])
        for _ in range(REPLAYS):
            self.assertIn("read-linearizable",
                          rules(self.run_json("replay", first["trace"], code=1)))
        out, _ = self.run_program("run", "--nbd", QEMU_NBD, RACE, "--schedule",
                                  first["schedule"], "--out", "r", code=1)
        self.assertIn("read-linearizable (corruption), without a crash", out)

    @unittest.skipUnless(shutil.which("qemu-storage-daemon"), "no qemu-storage-daemon")
    def test_a_trace_of_a_server_becomes_small_on_the_server(self):
        self.need_race()
        found = self.run_json("sweep", "--nbd", QEMU_NBD, RACE, code=1)["violations"]
        trace = [item["trace"] for item in found if item["rule"] == "old-or-new"][0]
        shrunk = self.run_json("shrink", trace, "--budget", "200runs", "--bundle", "b.tar.zst",
                               code=1)
        self.assertLess(shrunk["after"]["requests"], shrunk["before"]["requests"])
        again = self.run_json("replay", "b.tar.zst", code=1)
        self.assertIn("old-or-new", [item["rule"] for item in again["violations"]])
        subprocess.run(["tar", "xf", self.path("b.tar.zst")], cwd=self.folder, check=True)
        script, = glob.glob(self.path("*/reproduce.sh"))
        with open(script, encoding="utf-8") as file:
            self.assertIn("Needs cowtip and the program that it ran", file.read())

    def test_the_race_is_found_in_the_storage_daemon(self):
        self.need_race()
        found = self.run_json("sweep", "--nbd", STORAGE_DAEMON, RACE, "--out", "o", code=1)
        self.assertIs(found["complete"], True)
        self.assertIn("read-linearizable", rules(found))
        self.run_program("replay", found["violations"][0]["trace"], code=1)

    def test_zeroes_are_lost_and_a_freed_cluster_is_given_away_too_early(self):
        self.need_lost_zeroes()
        for name, rule in (("zeroes-during-allocation", "flush-durable"),
                           ("discard-then-reuse", "old-or-new")):
            found = self.run_json("sweep", "--nbd", QEMU_NBD, os.path.join(FOLDER, name + ".qio"),
                                  code=1)
            self.assertIs(found["complete"], True)
            self.assertIn(rule, rules(found))

    def test_the_orders_in_which_nothing_is_reused_are_clean(self):
        self.write("two.qio", OVERLAP)
        found = self.run_json("sweep", "--nbd", QEMU_NBD, "two.qio")
        self.assertIs(found["complete"], True)
        self.assertGreater(found["interleavings"], 3)
        self.assertEqual(found["violations"], [])

    def test_a_discard_that_is_ignored_promises_nothing(self):
        for command in (QEMU_NBD.replace("--discard=unmap ", ""),
                        QEMU_NBD.replace("=unmap", " ignore")):
            found = self.run_json("sweep", "--nbd", command, RACE)
            self.assertEqual((found["complete"], found["violations"]), (True, []))

    def test_two_sweeps_say_the_same(self):
        def timeless(text):
            return [line for line in text.splitlines() if "seconds" not in line]
        self.write("two.qio", OVERLAP)
        first, _ = self.run_program("sweep", "--nbd", QEMU_NBD, "two.qio", "--json")
        second, _ = self.run_program("sweep", "--nbd", QEMU_NBD, "two.qio", "--json")
        self.assertEqual(timeless(first), timeless(second))

    def test_orders_that_come_together_are_followed_once(self):
        name = os.path.join(FOLDER, "concurrent-reverse.qio")
        every = self.run_json("sweep", "--nbd", QEMU_NBD, name, "--strategy", "dfs")
        once = self.run_json("sweep", "--nbd", QEMU_NBD, name, "--strategy", "dpor")
        for found in (every, once):
            self.assertIs(found["complete"], True)
        for key in ("crash_images_distinct", "crash_image_checksum", "final_state_checksum"):
            self.assertEqual(once["certificate"][key], every["certificate"][key], key)
        self.assertEqual(rules(once), rules(every))
        self.assertLess(2 * once["interleavings"], every["interleavings"])

    def test_what_a_server_cannot_be_told_is_refused(self):
        self.write("two.qio", OVERLAP)
        self.write("grow.qio", OVERLAP + "truncate 1M\n")
        for option in (["--policy", "cancel"], ["--bug", "2012"], ["--program", "qemu-io {image}"]):
            _, err = self.run_program("sweep", "--nbd", QEMU_NBD, "two.qio", *option, code=2)
            self.assertIn("--nbd", err)
        _, err = self.run_program("sweep", "--nbd", QEMU_NBD, "grow.qio", code=2)
        self.assertIn("grow:7: a server cannot be told to resize the disk", err)
        _, err = self.run_program("sweep", "--nbd", "qemu-nbd {image}", "two.qio", code=2)
        self.assertIn("nothing says where the socket goes: {socket} is missing", err)
        _, err = self.run_program("sweep", "--nbd", QEMU_NBD + " --fork", "two.qio", code=2)
        self.assertIn("'--fork': the server must not go into the background", err)
        long = "x" * 120
        os.mkdir(self.path(long))
        _, err = self.run_program("sweep", "--nbd", QEMU_NBD, "two.qio", "--image-dir", long,
                                  code=2)
        self.assertIn("is too long: 80 bytes at most", err)

    def expect_nothing_left(self):
        """No file, and no process that has our folder among its arguments; it may take a moment."""
        mark = self.path("images").encode()
        deadline = time.monotonic() + SECONDS
        while True:
            left = os.listdir(self.path("images"))
            for process in filter(str.isdigit, os.listdir("/proc")):
                try:
                    with open(f"/proc/{process}/cmdline", "rb") as file:
                        left += [process] if mark in file.read() else []
                except OSError:
                    pass
            if not left or time.monotonic() > deadline:
                self.assertEqual(left, [])
                return
            time.sleep(0.05)

    def interrupt(self, *signals):
        """Interrupt a sweep that would take minutes, when it has begun; returns its status."""
        with subprocess.Popen([PROGRAM, "sweep", "--nbd", QEMU_NBD, "--image-dir", "images",
                               os.path.join(FOLDER, "concurrent-larger.qio")], cwd=self.folder,
                              stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as sweep:
            deadline = time.monotonic() + SECONDS
            while not any("socket" in names for _, _, names in os.walk(self.path("images"))):
                self.assertLess(time.monotonic(), deadline, "the sweep does not begin")
                time.sleep(0.01)
            for number in signals:
                sweep.send_signal(number)
            return sweep.wait(SECONDS)

    def test_nothing_is_left_behind(self):
        self.write("two.qio", OVERLAP)
        os.mkdir(self.path("images"))
        self.run_program("sweep", "--nbd", QEMU_NBD, "two.qio", "--image-dir", "images")
        self.expect_nothing_left()
        self.assertEqual(self.interrupt(signal.SIGINT), 3)
        self.expect_nothing_left()
        self.assertEqual(self.interrupt(signal.SIGKILL), -signal.SIGKILL)
        self.expect_nothing_left()


main()
