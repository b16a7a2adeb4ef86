# SPDX-License-Identifier: MIT
"""`sweep --program` and what follows it, on the qemu-io of this machine.

usage: test_program.py PROGRAM FOLDER-OF-WORKLOADS
"""
import os
import shutil
import unittest

from program import BROKEN, OVERLAP, main
from stock import FOLDER, RACE, StockCommandLine

QEMU_IO = "qemu-io -t writeback -d unmap -f qcow2 {image}"
REPLAYS = 20
DFS_RUNS = "600runs"
IN_PLACE_RUNS = "1200runs"

# Overlapping writes in place: the order of their effects is all that tells two ends apart.
IN_PLACE = """\
#@ image size=64k cluster_size=4k
#@ prepare write -P 0x77 0 8k
aio_write -P 0x11 0 1k
aio_write -P 0x22 512 1k
aio_write -P 0x33 4k 512
aio_write -P 0x44 6k 512
aio_flush
flush
"""


@unittest.skipUnless(shutil.which("qemu-io"), "qemu-io is not installed")
class Program(StockCommandLine):
    def find_race(self):
        self.need_race()
        found = self.run_json("sweep", "--program", QEMU_IO, RACE, "--out", "o", code=1)
        reads = [item for item in found["violations"] if item["rule"] == "read-linearizable"]
        self.assertTrue(reads, found["violations"])
        return found, reads[0]

    def test_the_race_of_rewrite_and_discard_is_found_in_stock_qemu_io(self):
        found, first = self.find_race()
        self.assertIs(found["complete"], True)
        self.assertIsNone(found["complaint"])
        self.assertEqual(found["strategy"], "dfs")
        self.assertIsNone(found["classes"])
        self.assertEqual(first["crash"]["model"], "none")
        runs = found["certificate"]["first_found_in_run"]
        self.assertLessEqual(runs["read-linearizable"], 20)
        self.assertIn("data of request 2 for guest 0x0", first["message"])
        early = self.run_json("sweep", "--program", QEMU_IO, RACE, "--budget", "20runs", code=1)
        self.assertEqual(early["interleavings"], 20)
        self.assertIn("read-linearizable", [item["rule"] for item in early["violations"]])

    def test_a_trace_of_the_race_replays_every_time(self):
        _, first = self.find_race()
        for _ in range(REPLAYS):
            again = self.run_json("replay", first["trace"], code=1)
            self.assertIn("read-linearizable", [item["rule"] for item in again["violations"]])
        out, _ = self.run_program("run", "--program", QEMU_IO, RACE, "--schedule",
                                  first["schedule"], "--out", "r", code=1)
        self.assertIn("read-linearizable (corruption), without a crash", out)

    def test_the_orders_in_which_nothing_is_reused_are_clean(self):
        self.write("two.qio", OVERLAP)
        found = self.run_json("sweep", "--program", QEMU_IO, "two.qio")
        self.assertIs(found["complete"], True)
        self.assertGreater(found["interleavings"], 3)
        self.assertEqual(found["violations"], [])

    def test_zeroes_are_lost_and_a_freed_cluster_is_given_away_too_early(self):
        self.need_lost_zeroes()
        for name, rule in (("zeroes-during-allocation", "flush-durable"),
                           ("discard-then-reuse", "old-or-new")):
            workload = os.path.join(FOLDER, name + ".qio")
            found = self.run_json("sweep", "--program", QEMU_IO, workload, code=1)
            self.assertIs(found["complete"], True)
            self.assertIn(rule, [item["rule"] for item in found["violations"]])
            # The built-in engine does not do that.
            self.assertEqual(self.run_json("sweep", workload)["violations"], [])

    def test_a_discard_that_is_ignored_promises_nothing(self):
        for say in ("-d ignore", "--discard=off"):
            command = QEMU_IO.replace("-d unmap", say)
            found = self.run_json("sweep", "--program", command, RACE)
            self.assertEqual((found["complete"], found["violations"]), (True, []))

    def test_two_sweeps_say_the_same(self):
        def timeless(text):
            return [line for line in text.splitlines() if "seconds" not in line]
        self.write("two.qio", OVERLAP)
        first, _ = self.run_program("sweep", "--program", QEMU_IO, "two.qio", "--json")
        second, _ = self.run_program("sweep", "--program", QEMU_IO, "two.qio", "--json")
        self.assertEqual(timeless(first), timeless(second))

    def test_a_schedule_of_another_workload_diverges(self):
        self.write("two.qio", OVERLAP)
        _, err = self.run_program("run", "--program", QEMU_IO, "two.qio", "--schedule", "s1:0z",
                                  code=4)
        self.assertIn("the schedule takes option 35, there are 2", err)

    def test_the_certificate_says_what_was_explored_and_assumed(self):
        self.write("two.qio", OVERLAP)
        out, _ = self.run_program("sweep", "--program", QEMU_IO, "two.qio")
        self.assertRegex(out, r"runs +\d+ of the program\n")
        self.assertIn("assumed        calls of the main thread happen at once", out)
        self.assertRegex(out, r"complete +yes\n")

    def test_orders_that_come_together_are_followed_once_and_nothing_is_lost(self):
        saved = False
        self.write("in-place.qio", IN_PLACE)
        names = [os.path.join(FOLDER, name) for name in sorted(os.listdir(FOLDER))
                 if name.endswith(".qio")]
        subject = QEMU_IO.replace("-t writeback", "-t {cache}")
        for name in [*names, "in-place.qio"]:
            budget = IN_PLACE_RUNS if name == "in-place.qio" else DFS_RUNS
            every = self.run_json("sweep", "--program", subject, name, "--strategy", "dfs",
                                  "--budget", budget, code=(0, 1, 3))
            once = self.run_json("sweep", "--program", subject, name, "--strategy", "dpor",
                                 code=(0, 1))
            self.assertIs(once["complete"], True)
            self.assertIn("along one way to the end", once["certificate"]["assumed"][-1])
            if not every["complete"]:
                continue
            for key in ("crash_images_distinct", "crash_image_checksum", "final_states",
                        "final_state_checksum"):
                self.assertEqual(once["certificate"][key], every["certificate"][key], name)
            self.assertEqual({item["rule"] for item in once["violations"]},
                             {item["rule"] for item in every["violations"]})
            self.assertLessEqual(once["interleavings"], every["interleavings"])
            saved |= 10 * once["interleavings"] < every["interleavings"]
        self.assertTrue(saved)

    def test_errors_are_injected_into_a_program_and_replayed(self):
        self.write("two.qio", OVERLAP)
        found = self.run_json("sweep", "--program", QEMU_IO, "two.qio", "--strategy", "dpor",
                              "--faults", "1", "--fault-kinds", "eio", "--budget", "60runs",
                              code=(0, 1, 3))
        self.assertEqual(found["certificate"]["faults"], 1)
        # Option 1 of the first call is EIO: the image cannot be opened.
        self.run_program("run", "--program", QEMU_IO, "two.qio", "--faults", "1", "--fault-kinds",
                         "eio", "--schedule", "s1:1", "--out", "r")
        trace = self.path(os.path.join("r", os.listdir(self.path("r"))[0]))
        events, _ = self.run_program("show", trace, "--events")
        self.assertRegex(events, r"(?i)fault")
        self.run_program("replay", trace)

    def test_options_of_the_gate_are_remembered_by_traces(self):
        self.write("two.qio", OVERLAP)
        found = self.run_json("sweep", "--program", QEMU_IO, "two.qio", "--strategy", "dpor",
                              "--gate-all", "--split-completion", "--budget", "20runs", code=3)
        self.assertNotIn("an effect and its return are one step", found["certificate"]["assumed"])
        self.assertNotIn("main thread", " ".join(found["certificate"]["assumed"]))
        self.run_program("run", "--program", QEMU_IO, "two.qio", "--split-completion", "--seed",
                         "7", "--out", "r")
        trace = self.path(os.path.join("r", os.listdir(self.path("r"))[0]))
        self.run_program("replay", trace)

    def test_images_may_live_elsewhere_and_nothing_is_left_there(self):
        self.write("two.qio", OVERLAP)
        os.mkdir(self.path("images"))
        self.run_program("sweep", "--program", QEMU_IO, "two.qio", "--image-dir", "images")
        self.assertEqual(os.listdir(self.path("images")), [])
        _, err = self.run_program("sweep", "--program", QEMU_IO, "two.qio", "--image-dir",
                                  "nowhere", code=2)
        self.assertIn("cannot make a folder in 'nowhere'", err)

    def test_what_a_program_cannot_be_told_is_refused(self):
        self.write("two.qio", OVERLAP)
        for option in (["--policy", "cancel"], ["--symmetry"], ["--bug", "2012"],
                       ["--strategy", "pos"]):
            _, err = self.run_program("sweep", "--program", QEMU_IO, "two.qio", *option, code=2)
            self.assertIn("--program", err)
        # A workload's own known bug is the engine's affair.
        self.write("broken.qio", BROKEN)
        self.assertEqual(
            self.run_json("sweep", "--program", QEMU_IO, "broken.qio")["violations"], [])

    def test_other_ways_of_io_are_refused(self):
        self.write("two.qio", OVERLAP)
        for way in ("native", "io_uring"):
            command = f"qemu-io -t none -i {way} -f qcow2 {{image}}"
            _, err = self.run_program("sweep", "--program", command, "two.qio", code=2)
            self.assertIn("ended before it", err)


main()
