# SPDX-License-Identifier: MIT
"""`bench`: what it reports, in sizes that take no time. How fast anything was is not looked at."""
import json
import os
import shutil
import unittest
import unittest.mock

from program import OVERLAP, CommandLine, main

SUITE = {"command", "interleavings", "executions", "classes", "crash_states", "elapsed_seconds",
         "interleavings_per_second", "executions_per_second", "classes_per_second",
         "crash_states_per_second", "judged_states_per_second", "qemu_img_checks_per_second",
         "crash_states_per_qemu_img_check", "judged_states_per_qemu_img_check"}
PARTS = {"reduction", "snapshots", "two_requests", "skeleton", "spin", "gate", "record", "recording",
         "recording_reordered"}
SEARCH = {"executions", "completed", "complete", "seconds", "executions_per_second"}
HAS_SPIN = bool(shutil.which("spin") and shutil.which("gcc"))


class Bench(CommandLine):
    def bench(self, *arguments, environment=None):
        """Without `environment` there is neither Spin nor qemu-img, which makes it quick."""
        self.write("overlap.qio", OVERLAP)
        changed = {"PATH": self.path("nowhere")} if environment is None else environment
        with unittest.mock.patch.dict(os.environ, changed):
            return self.run_program("bench", "overlap.qio", "--quiet", *arguments)[0]

    def bench_json(self, *arguments, **others):
        return json.loads(self.bench("--json", *arguments, **others))

    def test_all_figures_are_there(self):
        found = self.bench_json("--budget", "10runs")
        self.assertEqual(set(found), SUITE | PARTS)
        pairs = {"reduction": ("dpor", "dfs"), "snapshots": ("with", "without"),
                 "two_requests": ("dpor", "dfs")}
        for part, searches in pairs.items():
            self.assertEqual(set(found[part]),
                             {"workload", "executions_ratio", "seconds_ratio", *searches})
            for search in searches:
                self.assertEqual(set(found[part][search]), SEARCH)
                self.assertIn(found[part][search]["executions"], range(1, 11))

    def test_a_recording_is_judged_after_every_operation(self):
        found = self.bench_json("--budget", "10runs")
        for recording in found["recording"], found["recording_reordered"]:
            self.assertGreaterEqual(recording["operations"], 2000)
            self.assertGreater(recording["crash_states"], recording["operations"])
            self.assertEqual(recording["violations"], 0)

    @unittest.skipUnless(shutil.which("qemu-io"), "qemu-io is not installed")
    def test_a_program_at_the_gate_is_measured_beside_plain_launches(self):
        gate = self.bench_json("--budget", "10runs", environment={})["gate"]
        self.assertEqual((gate["runs"], gate["launches"]), (10, 10))
        self.assertGreater(gate["runs_per_second"], 0)
        self.assertGreater(gate["launches_per_second"], 0)
        self.assertEqual(gate["nbd_runs"], 10 if shutil.which("qemu-nbd") else 0)

    @unittest.skipUnless(shutil.which("qemu-img"), "qemu-img is not installed")
    def test_recording_is_measured_beside_the_command_as_it_is(self):
        record = self.bench_json("--budget", "10runs", environment={})["record"]
        self.assertEqual(record["requests"], 10)
        overheads = [record["cached"], record["varied"]] + [record["direct"]] * bool(record["direct"])
        for overhead in overheads:
            self.assertGreater(overhead["plain_seconds"], 0)
            self.assertGreater(overhead["recorded_seconds"], overhead["plain_seconds"] / 10)

    def test_the_workload_given_is_the_one_measured(self):
        found = self.bench_json("--budget", "10runs")
        self.assertEqual(found["reduction"]["workload"], "overlap")
        self.assertEqual(found["snapshots"]["workload"], "overlap")
        self.assertEqual(found["two_requests"]["workload"], "two-copies")

    def test_reduction_runs_fewer_and_snapshots_run_the_same(self):
        found = self.bench_json("--budget", "1000runs")
        reduction, snapshots = found["reduction"], found["snapshots"]
        self.assertIs(reduction["dpor"]["complete"], True)
        self.assertLess(reduction["dpor"]["executions"], reduction["dfs"]["executions"])
        for key in ("executions", "completed", "complete"):
            self.assertEqual(snapshots["with"][key], snapshots["without"][key])

    def test_the_skeleton_has_as_many_classes_as_the_mutex_has_orders_of_holders(self):
        for runs, writers, rounds, classes in ((2, 2, 1, 2), (6, 2, 2, 6), (90, 3, 2, 90)):
            skeleton = self.bench_json("--budget", f"{runs}runs")["skeleton"]
            self.assertEqual((skeleton["writers"], skeleton["rounds"], skeleton["classes"]),
                             (writers, rounds, classes))
            self.assertEqual(skeleton["dpor"]["completed"], classes)
            self.assertIs(skeleton["stateful"]["complete"], True)

    @unittest.skipUnless(HAS_SPIN, "spin or gcc is not installed")
    def test_spin_counts_the_states_that_the_search_visits(self):
        found = self.bench_json("--budget", "90runs", environment={})
        runs = {(run["mutex"], run["reduced"]): run for run in found["spin"]["runs"]}
        plain = runs["plain", False]
        # Spin counts ends, one for each order of holders, and the way into the first state.
        self.assertEqual(plain["states"], found["skeleton"]["states"] + 90)
        self.assertEqual(plain["transitions"], found["skeleton"]["transitions"] + 1)
        self.assertLess(runs["plain", True]["states"], plain["states"])
        self.assertGreater(runs["fifo", False]["states"], plain["states"])

    def test_without_spin_its_figures_are_null_and_the_text_says_why(self):
        self.assertIsNone(self.bench_json("--budget", "2runs")["spin"])
        out = self.bench("--budget", "2runs")
        self.assertIn("no comparison with Spin: spin is not installed (apt-get install spin)\n",
                      out)
        self.assertIn("no comparison with qemu-img: qemu-img cannot be run\n", out)

    def test_nothing_is_left_behind(self):
        self.bench("--budget", "2runs", environment={"TMPDIR": self.folder})
        self.assertEqual(os.listdir(self.folder), ["overlap.qio"])


if __name__ == "__main__":
    main()
