# SPDX-License-Identifier: MIT
"""`shrink`: what comes out is small, is the same each time, and is there whatever ends the search.

usage: test_shrink.py PROGRAM FOLDER-OF-WORKLOADS
"""
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import unittest

from program import BROKEN, OVERLAP, PROGRAM, CommandLine, main

FOLDER = os.path.abspath(sys.argv[2])
QEMU_IO = "qemu-io -t writeback -d unmap -f qcow2 {image}"
SIZES = ["requests", "waits", "prepared", "bytes", "disk_bytes", "unaligned", "options", "places"]
# Bystanders, a wait, and larger ranges than needed.
LARGE = """\
# The second write takes over the tail of the first one's copy, and fails
#@ image size=64k cluster_size=4k backing=pattern
#@ policy cancel
#@ faults 1 posix/io/rw/pwritev eio
#@ bug no-restore
#@ prepare write -P 0x99 40k 4k
write -P 0x11 0 1k
write -P 0x44 20k 2k
aio_write -P 0x22 1k 1k
aio_flush
read 0 4k
flush
"""


class Shrink(CommandLine):
    def find(self, *arguments, rule="cow-complete"):
        """Sweep; the trace of the first violation of the rule."""
        found = self.run_json("sweep", *arguments, "--no-swap", "--out", "found", code=1)
        return next(row["trace"] for row in found["violations"] if row["rule"] == rule)

    def find_large(self):
        return self.find(self.write("large.qio", LARGE), "--budget", "2000runs")

    def test_the_least_is_left_and_breaks_the_same_rule(self):
        trace = self.find_large()
        shrunk = self.run_json("shrink", trace, "--out", "min", code=1)
        self.assertEqual(shrunk["trace"], f"min/{os.path.basename(trace)[:-10]}.min.trace.zst")
        self.assertEqual(os.listdir(self.path("min")), [os.path.basename(shrunk["trace"])])
        self.assertTrue(shrunk["complete"])
        self.assertEqual(shrunk["before"]["requests"], 5)
        self.assertEqual(shrunk["after"]["requests"], 2)
        self.assertEqual(shrunk["after"]["prepared"], 0)
        self.assertEqual(shrunk["after"]["faults"], 1)
        self.assertLessEqual(shrunk["after"]["switches"], 2)
        fewest = shrunk["fewest_switches"]
        if fewest["decided"]:  # a build in which states can be told apart
            self.assertEqual(fewest["switches"], shrunk["after"]["switches"])
            self.assertGreater(fewest["executions"], 0)
        self.assertIn("#@ bug no-restore\n", shrunk["workload"])
        found = shrunk["violations"][0]
        self.assertEqual((found["rule"], found["severity"]), ("cow-complete", "corruption"))
        again = self.run_json("replay", shrunk["trace"], code=1)
        self.assertIn("cow-complete", [row["rule"] for row in again["violations"]])
        # What is left is a workload like any other.
        self.write("least.qio", shrunk["workload"])
        self.run_program("run", "least.qio", "--schedule", shrunk["schedule"], code=1)

    def test_the_critical_step_is_the_injected_error(self):
        trace = self.find(self.write("broken.qio", BROKEN))
        critical = self.run_json("shrink", trace, code=1)["critical_step"]
        self.assertTrue(critical["decided"] or critical["executions"] >= 1000, critical)
        self.assertLessEqual(critical["step"], critical["steps"])
        if critical["decided"]:
            self.assertRegex(critical["event"], r"write fault posix/io/rw/pwritev = -E")

    def test_people_get_a_table_a_workload_and_a_story(self):
        trace = self.find_large()
        out, err = self.run_program("shrink", trace, code=1)
        self.assertEqual(err, "")
        for line in [r"^requests +5 +2$", r"^crash model +prefix +prefix$", r"^  #@ bug no-restore$",
                     r"^  => cow-complete \(corruption\): ", r"^critical step: ",
                     r"^  repeat: cowtip replay cowtip-out/.*\.min\.trace\.zst$"]:
            self.assertRegex(out, "(?m)" + line)
        self.assertLessEqual(len(out.splitlines()), 60)
        short, _ = self.run_program("shrink", trace, "--quiet", code=1)
        self.assertLessEqual(len(short.splitlines()), 3)

    def test_the_same_comes_out_each_time(self):
        trace = self.find_large()
        results = []
        for folder in ["one", "two"]:
            shrunk = self.run_json("shrink", trace, "--out", folder, code=1)
            with open(self.path(shrunk.pop("trace")), "rb") as file:
                results.append(file.read())
            shrunk.pop("elapsed_seconds")
            shrunk["violations"][0].pop("trace")
            results.append(shrunk)
        self.assertEqual(results[:2], results[2:])

    def test_whatever_the_budget_nothing_becomes_larger(self):
        trace = self.find_large()
        last = None
        for budget in ["1runs", "20runs", "100runs", "100000runs", "1states", "60s"]:
            shrunk = self.run_json("shrink", trace, "--budget", budget, code=1)
            before, after = ([side[key] for key in SIZES]
                             for side in (shrunk["before"], shrunk["after"]))
            self.assertLessEqual(after, before, budget)
            if budget in ("1runs", "20runs", "1states"):
                self.assertFalse(shrunk["complete"])
                self.assertRegex(shrunk["why_incomplete"], r"^the budget of .* ended$")
            if budget.endswith("runs"):
                # What is found is executed once more, and once more with stacks.
                self.assertLessEqual(shrunk["executions"], int(budget[:-4]) + 4)
                self.assertLessEqual(after, last or after)
                last = after
            self.run_program("replay", shrunk["trace"], code=1)

    def test_what_was_shrunk_cannot_be_shrunk(self):
        first = self.run_json("shrink", self.find_large(), "--out", "one", code=1)
        second = self.run_json("shrink", first["trace"], "--out", "two", code=1)
        self.assertEqual(second["workload"], first["workload"])
        self.assertEqual(second["after"], first["after"])

    def test_a_request_is_exchanged_for_freedom_of_the_others(self):
        # A write that links the parent is not needed when the others need not wait.
        trace = self.find("linked-then-discarded", "--bug", "zombie", rule="read-linearizable")
        shrunk = self.run_json("shrink", trace, code=1)
        self.assertEqual((shrunk["before"]["requests"], shrunk["after"]["requests"]), (5, 4))
        self.assertIn("\naio_", shrunk["workload"])
        # Two writes become one, and the flush is not needed with another policy.
        trace = self.find("lazy-second-link", "--bug", "lazy-no-barrier", "--crash", "reorder")
        shrunk = self.run_json("shrink", trace, code=1)
        self.assertEqual((shrunk["before"]["requests"], shrunk["after"]["requests"]), (5, 2))
        self.assertIn("#@ policy eager\n", shrunk["workload"])

    def test_ctrl_c_gives_the_best_so_far(self):
        trace = self.find("linked-then-discarded", "--bug", "zombie", rule="read-linearizable")
        # The first signal may come before the program listens, the last when all is done.
        for seconds in [0.05, 0.2, 0.8, 3]:
            running = subprocess.Popen([PROGRAM, "shrink", trace, "--json"], cwd=self.folder,
                                       text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
            try:
                running.wait(timeout=seconds)
            except subprocess.TimeoutExpired:
                running.send_signal(signal.SIGINT)
            out, err = running.communicate(timeout=120)
            if running.returncode != -signal.SIGINT:
                break
        self.assertEqual(running.returncode, 1, err)
        shrunk = json.loads(out)
        if not shrunk["complete"]:
            self.assertEqual(shrunk["why_incomplete"], "interrupted")
        self.run_program("replay", shrunk["trace"], code=1)

    def test_only_what_breaks_a_rule_can_be_shrunk(self):
        clean = self.run_json("run", self.write("clean.qio", OVERLAP))["trace"]
        _, err = self.run_program("shrink", clean, code=2)
        self.assertEqual(err, "cowtip: the trace violates no rule: replay it to make sure, or sweep "
                              "its workload\n")
        self.run_program("shrink", "nothing.trace.zst", code=2)

    def bundle(self, *arguments, rule, budget="100000runs"):
        """Shrink what a sweep finds into bug.tar.zst, and unpack that."""
        trace = self.find(*arguments, rule=rule)
        self.run_json("shrink", trace, "--bundle", "bug.tar.zst", "--budget", budget, code=1)
        os.makedirs(self.path("unpacked"), exist_ok=True)
        subprocess.run(["tar", "xf", self.path("bug.tar.zst"), "-C", self.path("unpacked")],
                       check=True)
        (name,) = os.listdir(self.path("unpacked"))
        return name, os.path.join(self.path("unpacked"), name)

    def test_a_bundle_has_all_that_another_needs(self):
        name, folder = self.bundle("snapshot-cow", "--bug", "l1-no-flush", "--crash", "reorder",
                                   rule="refcount-covers")
        self.assertEqual(sorted(os.listdir(folder)),
                         sorted([f"{name}.trace.zst", "crash.qcow2", "reproduce.sh", "schedule.txt",
                                 "story.txt", "versions.txt", "workload.qio"]))
        done = subprocess.run([os.path.join(folder, "reproduce.sh"), "--quiet"], check=False,
                              env={**os.environ, "COWTIP": PROGRAM}, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("refcount-covers", done.stdout)
        with open(os.path.join(folder, "story.txt"), encoding="utf-8") as file:
            self.assertIn("=> refcount-covers (corruption)", file.read())
        with open(os.path.join(folder, "schedule.txt"), encoding="utf-8") as file:
            self.run_program("run", os.path.join(folder, "workload.qio"), "--schedule",
                             file.read().strip(), code=1)
        if shutil.which("qemu-img"):
            done = subprocess.run(["qemu-img", "check", os.path.join(folder, "crash.qcow2")],
                                  check=False, capture_output=True, text=True)
            self.assertEqual(done.returncode, 2, done)
            self.assertIn("refcount=1 reference=2", done.stdout + done.stderr)

    def test_a_bundle_can_be_replayed_and_is_the_same_each_time(self):
        self.bundle("late-child", "--bug", "no-rwlock", rule="cow-complete")
        with open(self.path("bug.tar.zst"), "rb") as file:
            first = file.read()
        again = self.run_json("replay", "bug.tar.zst", code=1)
        self.assertIn("cow-complete", [row["rule"] for row in again["violations"]])
        self.bundle("late-child", "--bug", "no-rwlock", rule="cow-complete")
        with open(self.path("bug.tar.zst"), "rb") as file:
            self.assertEqual(file.read(), first)

    def test_a_damaged_bundle_is_refused(self):
        self.bundle("late-child", "--bug", "no-rwlock", rule="cow-complete")
        with open(self.path("bug.tar.zst"), "rb") as file:
            whole = file.read()
        for count in [0, 1, 100, len(whole) // 2]:
            with open(self.path("cut.tar.zst"), "wb") as file:
                file.write(whole[:count])
            _, err = self.run_program("replay", "cut.tar.zst", code=2)
            self.assertEqual(err.count("\n"), 1, err)
        subprocess.run(["tar", "cf", self.path("other.tar"), "found"], cwd=self.folder, check=True)
        shutil.rmtree(self.path("found"))
        os.makedirs(self.path("found"))
        subprocess.run(["tar", "cf", self.path("none.tar"), "found"], cwd=self.folder, check=True)
        self.run_program("replay", "other.tar", code=1)
        _, err = self.run_program("replay", "none.tar", code=2)
        self.assertEqual(err, "cowtip: 'none.tar' is no bundle of cowtip: no trace is in it\n")

    def test_a_large_image_is_small_in_a_bundle(self):
        _, folder = self.bundle("beyond-4g", "--bug", "int32-host-offset", rule="cow-complete",
                                budget="1runs")
        image = os.stat(os.path.join(folder, "crash.qcow2"))
        self.assertGreater(image.st_size, 4 << 30)
        self.assertLess(image.st_blocks * 512, 1 << 20)
        self.assertLess(os.path.getsize(self.path("bug.tar.zst")), 1 << 16)

    def changed(self, trace, before, after):
        """The trace as a bare stream with something of the same length in another's place."""
        stream = subprocess.run(["zstd", "-dcq", self.path(trace)], check=True,
                                capture_output=True).stdout
        self.assertIn(before, stream)
        with open(self.path("changed.trace.zst"), "wb") as file:
            file.write(stream.replace(before, after))
        return "changed.trace.zst"

    def test_bisecting_skips_what_says_nothing(self):
        trace = self.find(self.write("broken.qio", BROKEN))
        self.run_program("replay", trace, "--bisect", code=1)
        # Another pattern: other events, and the rule is broken all the same.
        _, err = self.run_program("replay", self.changed(trace, b"0x22 1k", b"0x23 1k"), "--bisect",
                                  code=1)
        self.assertIn("cow-complete shows under another schedule, s1:", err)
        # As if the bug had been mended: another one that this workload does not show.
        mended = self.changed(trace, b"no-restore", b"late-child")
        _, err = self.run_program("replay", mended, "--bisect", code=0)
        self.assertIn("no schedule of the workload shows cow-complete", err)
        self.run_program("replay", mended, code=4)
        # A bug that this version does not know.
        unknown = self.changed(trace, b"no-restore", b"no-bananas")
        self.run_program("replay", unknown, "--bisect", code=125)
        self.run_program("replay", unknown, code=2)
        self.run_program("replay", "nothing.trace.zst", "--bisect", code=125)

    @unittest.skipUnless(shutil.which("qemu-io"), "qemu-io is not installed")
    def test_a_trace_of_a_program_becomes_small_too(self):
        workload = os.path.join(FOLDER, "zeroes-during-allocation.qio")
        found = self.run_json("sweep", "--program", QEMU_IO, workload, "--budget", "60runs",
                              code=(0, 1, 3))
        traces = [row["trace"] for row in found["violations"]
                  if row["rule"] == "read-linearizable"]
        if not traces:
            self.skipTest("the qemu-io of this machine does not have the bug")
        shrunk = self.run_json("shrink", traces[0], "--budget", "400runs", "--bundle",
                               "bug.tar.zst", code=1)
        self.assertEqual(shrunk["before"]["requests"], 4)
        self.assertLessEqual(shrunk["after"]["requests"], 2)
        again = self.run_json("replay", "bug.tar.zst", code=1)
        self.assertIn("read-linearizable", [row["rule"] for row in again["violations"]])
        # The same order, forced on qemu-io by itself, without and with the breakpoint.
        subprocess.run(["tar", "xf", self.path("bug.tar.zst")], cwd=self.folder, check=True)
        (script,) = glob.glob(self.path("*/plain.sh"))
        done = subprocess.run([script], check=False, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("Pattern verification failed", done.stdout)
        with open(script, encoding="utf-8") as file:
            text = file.read()
        with open(script, "w", encoding="utf-8") as file:
            file.write(re.sub(r"-c '(break|wait_break|resume) [^']*' ", "", text))
        subprocess.run([script], check=True, capture_output=True)


if __name__ == "__main__":
    main()
