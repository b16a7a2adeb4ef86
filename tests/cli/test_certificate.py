# SPDX-License-Identifier: MIT
"""The certificate of `sweep`: the same however the work was done; strategies; checkpoints."""
import contextlib
import json
import os
import signal
import subprocess
import time

from program import BROKEN, OVERLAP, PROGRAM, CommandLine, main

# Some hundred classes.
THREE = """\
#@ image size=16k cluster_size=4k backing=pattern
#@ policy cancel
aio_write -P 0x11 0 2k
aio_write -P 0x22 1k 2k
aio_write -P 0x33 2k 2k
aio_flush
flush
"""

# Some ten thousand classes: takes seconds.
LONG = THREE.replace("aio_flush\n", "")

# As many slices as make a difference.
SLICE = ["--no-swap", "--slice", "20"]

KEYS = {"strategy", "chosen", "points", "crash_models", "faults", "symmetry", "classes", "class_checksum",
        "completed", "blocked", "trials", "duplicates", "crash_images_built",
        "crash_images_judged", "crash_images_distinct", "crash_image_checksum", "final_states",
        "final_state_checksum", "recovery", "swap_test", "complete", "why_incomplete"}

# What does not depend on how a search was split.
SETS = ["classes", "class_checksum", "completed", "duplicates", "crash_images_distinct",
        "crash_image_checksum", "final_states", "final_state_checksum", "complete"]


def timeless(found):
    found["elapsed_seconds"] = 0
    return found


def sets(found):
    return {key: found["certificate"][key] for key in SETS}


def places(found):
    return {(item["rule"], item["severity"], item["guest_offset"]) for item in found["violations"]}


class Certificate(CommandLine):
    def begin(self, *arguments):
        """Start the program; it runs on. A build with AddressSanitizer looks for leaks from a child
        process: one that is killed in the place of a worker would be waited for for ever."""
        environment = dict(os.environ, ASAN_OPTIONS="detect_leaks=0")
        process = subprocess.Popen([PROGRAM, *arguments], cwd=self.folder, text=True,
                                   env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def children(self, process):
        with open(f"/proc/{process.pid}/task/{process.pid}/children", encoding="ascii") as file:
            return [int(word) for word in file.read().split()]

    def wait_for_children(self, process):
        for _ in range(1000):
            if process.poll() is not None or self.children(process):
                break
            time.sleep(0.01)
        return self.children(process) if process.poll() is None else []

    def test_the_json_has_every_documented_key(self):
        self.write("overlap.qio", OVERLAP)
        found = self.run_json("sweep", "overlap.qio")
        certificate = found["certificate"]
        self.assertEqual(set(certificate), KEYS)
        self.assertRegex(certificate["class_checksum"], "^[0-9a-f]{16}$")
        self.assertEqual(certificate["classes"], certificate["completed"])
        self.assertEqual(certificate["duplicates"], 0)
        self.assertEqual(set(certificate["swap_test"]), {"pairs", "differing", "first"})
        self.assertEqual(certificate["swap_test"]["differing"], 0)
        self.assertEqual((found["points"], found["strategy"]), ("all", "dpor"))
        without = self.run_json("sweep", "overlap.qio", "--no-swap")["certificate"]
        self.assertIsNone(without["swap_test"])

    def test_what_a_neighbour_in_a_list_was_is_no_part_of_the_state(self):
        """A read and a write of zeroes hold ranges of one image: which of them was there first
        must not be left in either's stack."""
        self.write("odd.qio", "#@ image size=24k cluster_size=2k backing=pattern backing_size=10k\n"
                   "#@ prepare write -P 9 4k 3k\n"
                   "aio_write -P 1 1000 3000\naio_write -z 3k 2k\naio_discard 4k 4k\nflush\n"
                   "aio_read 0 8k\n")
        found = self.run_json("sweep", "odd.qio", "--crash", "prefix,torn,reorder", "--budget",
                              "50runs", code=3)
        self.assertEqual(found["certificate"]["swap_test"]["differing"], 0)

    def test_the_text_says_the_same(self):
        self.write("overlap.qio", OVERLAP)
        certificate = self.run_json("sweep", "overlap.qio")["certificate"]
        out, _ = self.run_program("sweep", "overlap.qio")
        self.assertIn(f"  classes        {certificate['classes']} of equivalent interleavings, "
                      f"checksum {certificate['class_checksum']}\n", out)
        self.assertIn(f"checksum {certificate['crash_image_checksum']}\n", out)
        self.assertIn("  complete       yes\n", out)
        self.assertTrue(out.endswith("complete; nothing wrong was found.\n"), out)

    def test_it_does_not_depend_on_the_number_of_processes(self):
        self.write("three.qio", THREE)
        self.write("broken.qio", BROKEN)
        for name, code in (("three.qio", 0), ("broken.qio", 1)):
            one = timeless(self.run_json("sweep", name, *SLICE, "--jobs", "1", code=code))
            self.assertTrue(one["complete"])
            for jobs in ("2", "3"):
                other = self.run_json("sweep", name, *SLICE, "--jobs", jobs, code=code)
                self.assertEqual(one, timeless(other))

    def test_other_strategies_see_the_same(self):
        self.write("broken.qio", BROKEN)
        dpor = self.run_json("sweep", "broken.qio", "--no-swap", code=1)
        dfs = self.run_json("sweep", "broken.qio", "--no-swap", "--strategy", "dfs", code=1)
        self.assertEqual(sets(dpor), sets(dfs))
        self.assertEqual(places(dpor), places(dfs))
        auto = self.run_json("sweep", "broken.qio", "--no-swap", "--strategy", "auto", code=1)
        self.assertEqual(sets(dpor), sets(auto))
        self.assertEqual(auto["certificate"]["chosen"], "dpor, which ended soon")

    def test_samplers_estimate_and_are_never_complete(self):
        self.write("overlap.qio", OVERLAP)
        every = self.run_json("sweep", "overlap.qio", "--no-swap")["certificate"]
        for strategy in ("pos", "pct", "random"):
            found = self.run_json("sweep", "overlap.qio", "--no-swap", "--strategy", strategy,
                                  "--runs", "50", "--depth", "2", code=3)["certificate"]
            self.assertFalse(found["complete"])
            self.assertEqual(found["completed"], 50)
            self.assertEqual(found["duplicates"], 50 - found["classes"])
            self.assertLessEqual(found["classes"], every["classes"])
            self.assertGreaterEqual(found["classes_at_least"], found["classes"])
            self.assertTrue(0 <= found["unseen_probability"] <= 1)

    def test_a_bound_on_deviations_is_kept(self):
        self.write("overlap.qio", OVERLAP)
        runs = [self.run_json("sweep", "overlap.qio", "--no-swap", "--strategy", "delay",
                              "--depth", depth, code=3)["interleavings"] for depth in "12"]
        self.assertLess(runs[0], runs[1])

    def test_an_interrupted_sweep_goes_on_and_ends_with_the_same(self):
        self.write("three.qio", THREE)
        whole = self.run_json("sweep", "three.qio", *SLICE)
        out, _ = self.run_program("sweep", "three.qio", *SLICE, "--budget", "70runs",
                                  "--out", "c", code=3)
        self.assertIn("\nto go on: cowtip sweep --resume c/three.checkpoint\n", out)
        part = self.run_json("sweep", "--resume", "c/three.checkpoint", "--budget", "110runs",
                             *SLICE, "--jobs", "2", "--out", "d", code=3)
        self.assertEqual(part["certificate"]["completed"], 180)
        self.assertEqual(part["checkpoint"], "d/three.checkpoint")
        self.assertEqual(part["workload"], "three")
        rest = self.run_json("sweep", "three.qio", "--resume", "d/three.checkpoint", *SLICE)
        self.assertEqual(sets(rest), sets(whole))
        self.assertIsNone(rest["checkpoint"])
        self.assertFalse([name for name in os.listdir(self.path("c")) if name.endswith(".tmp")])

    def test_findings_survive_an_interruption(self):
        self.write("broken.qio", BROKEN)
        whole = self.run_json("sweep", "broken.qio", *SLICE, code=1)
        runs = whole["interleavings"] // 2
        self.run_program("sweep", "broken.qio", "--budget", f"{runs}runs", "--out", "c", code=1)
        rest = self.run_json("sweep", "--resume", "c/broken.checkpoint", code=1)
        self.assertEqual(sets(rest), sets(whole))
        self.assertEqual({place[2] for place in places(rest)},
                         {place[2] for place in places(whole)})

    def test_a_signal_ends_a_sweep_in_good_order(self):
        self.write("long.qio", LONG)
        for jobs in ("1", "2"):
            process = self.begin("sweep", "long.qio", "--no-swap", "--jobs", jobs, "--json")
            time.sleep(0.3)
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=60)
            self.assertEqual((process.returncode, err), (3, ""), out)
            found = json.loads(out)
            self.assertEqual(found["certificate"]["why_incomplete"], "interrupted")
            more = self.run_json("sweep", "--resume", found["checkpoint"], "--no-swap",
                                 "--budget", "50runs", code=3)
            self.assertEqual(more["interleavings"], found["interleavings"] + 50)
            self.assertEqual(more["duplicates"], 0)

    def kill_workers(self, process, most):
        """Kill up to so many workers; how many were there?"""
        killed = 0
        for worker in self.wait_for_children(process)[:most]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
                killed += 1
        return killed

    def test_a_worker_that_dies_is_replaced(self):
        self.write("three.qio", THREE)
        arguments = ["sweep", "three.qio", "--no-swap", "--jobs", "2", "--slice", "2"]
        whole = self.run_json(*arguments)
        process = self.begin(*arguments, "--json")
        self.assertEqual(self.kill_workers(process, 1), 1)
        out, err = process.communicate(timeout=100)
        self.assertEqual((process.returncode, err), (0, ""), out)
        self.assertEqual(sets(json.loads(out)), sets(whole))

    def test_a_job_that_kills_its_workers_leaves_the_sweep_incomplete(self):
        self.write("long.qio", LONG)
        process = self.begin("sweep", "long.qio", "--no-swap", "--jobs", "2")
        while process.poll() is None:
            self.kill_workers(process, 2)
        out, _ = process.communicate()
        self.assertEqual(process.returncode, 3, out)
        self.assertIn("not complete: a worker died twice of one job", out)

    def test_a_checkpoint_is_verified(self):
        self.write("three.qio", THREE)
        self.write("overlap.qio", OVERLAP)
        self.run_program("sweep", "three.qio", "--budget", "100runs", "--out", "c", code=3)
        name = "c/three.checkpoint"
        for arguments, message in [
                (["--policy", "eager"], f"'{name}' was written with other settings"),
                (["--faults", "1"], f"'{name}' was written with other settings"),
                (["overlap.qio"], f"'{name}' is of another workload"),
                (["--strategy", "pos"], f"'{name}' can only go on with strategy dpor")]:
            _, err = self.run_program("sweep", "--resume", name, *arguments, code=2)
            self.assertEqual(err, f"cowtip: {message}\n")
        with open(self.path(name), "rb") as file:
            good = file.read()
        for bad in (good[:-7], good[:100] + bytes([good[100] ^ 1]) + good[101:]):
            with open(self.path(name), "wb") as file:
                file.write(bad)
            _, err = self.run_program("sweep", "--resume", name, code=2)
            self.assertEqual(err, f"cowtip: '{name}' is damaged\n")

    def test_a_suite_has_the_sums(self):
        out, _ = self.run_program("sweep", "--budget", "300runs", code=3)
        self.assertRegex(out, r"\ncertificate, sums over \d+ workloads:\n  classes  ")
        self.assertNotIn("--resume", out)
        self.assertEqual(os.listdir(self.folder), [])


if __name__ == "__main__":
    main()
