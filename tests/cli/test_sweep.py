# SPDX-License-Identifier: MIT
"""`sweep`: what it says, what it writes, and its exit status."""
import json
import os
import re
import xml.etree.ElementTree as xml

from program import BROKEN, OVERLAP, CommandLine, main

KEYS = {"command", "workload", "policy", "strategy", "points", "complete", "interleavings",
        "classes", "crash_states", "distinct_crash_states", "violations", "elapsed_seconds",
        "schedule", "trace"}


class Sweep(CommandLine):
    def test_a_clean_workload_is_complete_and_exits_0(self):
        self.write("overlap.qio", OVERLAP)
        out, err = self.run_program("sweep", "overlap.qio")
        self.assertEqual(err, "")
        self.assertRegex(out, r"overlap +\d+ +\d+  yes +clean\n")
        self.assertTrue(out.endswith("complete; nothing wrong was found.\n"), out)
        found = self.run_json("sweep", "overlap.qio")
        self.assertLessEqual(KEYS, found.keys())
        self.assertIs(found["complete"], True)
        self.assertEqual(found["violations"], [])
        self.assertGreater(found["crash_states"], found["interleavings"])
        self.assertGreater(found["distinct_crash_states"], 0)

    def test_two_sweeps_print_the_same_bytes(self):
        self.write("overlap.qio", BROKEN)
        first = self.run_program("sweep", "overlap.qio", code=1)
        self.assertEqual(first, self.run_program("sweep", "overlap.qio", code=1))

    def test_a_violation_is_told_with_story_schedule_and_trace(self):
        self.write("broken.qio", BROKEN)
        out, _ = self.run_program("sweep", "broken.qio", "--out", "a/b", "--junit", "j.xml", code=1)
        found = self.run_json("sweep", "broken.qio", "--out", "c", code=1)
        first = found["violations"][0]
        self.assertIn("cow-complete", [item["rule"] for item in found["violations"]])
        self.assertEqual(set(first), {"rule", "severity", "message", "schedule", "crash",
                                      "guest_offset", "host_offset", "strict_only", "trace"})
        self.assertEqual(set(first["crash"]), {"model", "operation", "sector"})
        self.assertEqual(first["trace"], f"c/broken-{first['rule']}-1.trace.zst")
        self.assertEqual(sorted(os.listdir(self.path("a/b"))), sorted(os.listdir(self.path("c"))))
        self.assertIn("The first of them, step by step:", out)
        self.assertIn(f"schedule {first['schedule']}\n", out)
        self.assertIn("1. data of request 2: guest 0x0+1024 -> host 0x4000", out)
        self.assertIn(f"=> cow-complete ({first['severity']}): {first['message']}\n", out)
        case = xml.parse(self.path("j.xml")).getroot().find("testcase")
        self.assertEqual(case.get("name"), "broken")
        self.assertEqual(case.find("failure").get("message"), first["message"])

    def test_the_command_line_overrides_the_workload(self):
        self.write("broken.qio", BROKEN)
        self.assertEqual(self.run_json("sweep", "broken.qio", "--bug", "none")["policy"], "cancel")
        self.assertEqual(self.run_json("sweep", "broken.qio", "--policy", "eager")["policy"],
                         "eager")

    def test_a_budget_that_ends_first_is_exit_status_3(self):
        self.write("overlap.qio", OVERLAP)
        out, _ = self.run_program("sweep", "overlap.qio", "--budget", "3runs", code=3)
        self.assertIn("not complete: the budget of runs ended", out)
        found = self.run_json("sweep", "overlap.qio", "--budget", "3runs", code=3)
        self.assertEqual((found["interleavings"], found["complete"]), (3, False))
        self.run_program("sweep", "overlap.qio", "--strategy", "random", "--runs", "5", code=3)

    def test_pruning_and_running_twice_change_no_crash_state(self):
        self.write("overlap.qio", OVERLAP)
        pruned = self.run_json("sweep", "overlap.qio")
        naive = self.run_json("sweep", "overlap.qio", "--strategy", "dfs", "--points", "io",
                              "--no-prune")
        twice = self.run_json("sweep", "overlap.qio", "--twice")
        for key in ("distinct_crash_states", "violations"):
            self.assertEqual(pruned[key], naive[key])
            self.assertEqual(pruned[key], twice[key])
        self.assertLess(pruned["interleavings"], naive["interleavings"])
        self.assertEqual(naive["certificate"]["crash_image_checksum"],
                         pruned["certificate"]["crash_image_checksum"])

    def test_it_says_how_many_reordered_states_were_decided(self):
        self.write("overlap.qio", OVERLAP)
        self.assertIsNone(self.run_json("sweep", "overlap.qio")["reorder_states_log10"])
        models = ["--crash", "prefix,torn,reorder", "--no-swap"]
        found = self.run_json("sweep", "overlap.qio", *models)
        decided = 10 ** found["reorder_states_log10"]
        self.assertGreater(decided, found["crash_states"])
        by_two = self.run_json("sweep", "overlap.qio", *models, "--jobs", "2")
        self.assertEqual(by_two["reorder_states_log10"], found["reorder_states_log10"])
        out, _ = self.run_program("sweep", "overlap.qio", *models)
        said = re.search(r"\n  reordered: decided for (\d+) states\n", out)
        self.assertAlmostEqual(int(said.group(1)) / decided, 1, places=4)
        run = self.run_json("run", "overlap.qio", *models[:2])
        self.assertLess(0, run["reorder_states_log10"])
        check = self.run_json("check", run["trace"])
        self.assertEqual(check["reorder_states_log10"], run["reorder_states_log10"])

    def test_jobs_do_not_change_the_result(self):
        def timeless(found):
            for part in [found, *found["workloads"]]:
                part["elapsed_seconds"] = 0
            return found
        bound = ["sweep", "--budget", "300runs"]
        code = 0 if self.complete_suite() else 3
        one = timeless(self.run_json(*bound, "--jobs", "1", code=code))
        self.assertEqual(one, timeless(self.run_json(*bound, "--jobs", "2", code=code)))
        self.assertEqual(one["workload"], "suite")

    def complete_suite(self):
        """Are 300 runs enough for the whole suite? Not as long as there is a workload in it."""
        return not self.run_json("list", "workloads")["workloads"]

    def test_nothing_is_left_behind_when_a_report_cannot_be_written(self):
        self.write("overlap.qio", OVERLAP)
        _, err = self.run_program("sweep", "overlap.qio", "--quiet", "--junit", "no/j.xml", code=2)
        self.assertIn("cannot create 'no/j.xml.tmp'", err)
        self.assertEqual(os.listdir(self.folder), ["overlap.qio"])

    def test_traces_are_kept_as_far_as_there_is_room_one_of_each_rule_first(self):
        words = ["sweep", "l1-grows", "--bug", "size-before-zeros", "--policy", "cancel"]
        whole = self.run_json(*words, "--out", "w", code=1)
        rules = [item["rule"] for item in whole["violations"]]
        self.assertGreater(len(rules), len(set(rules)))
        self.assertEqual(whole["traces_left_out"], 0)
        few = self.run_json(*words, "--out", "f", "--traces", str(len(set(rules))), code=1)
        kept = [item["rule"] for item in few["violations"] if item["trace"]]
        self.assertEqual(sorted(kept), sorted(set(rules)))
        self.assertEqual(few["traces_left_out"], len(rules) - len(kept))
        self.assertEqual(len(os.listdir(self.path("f"))), len(kept))
        size = os.path.getsize(self.path(whole["violations"][0]["trace"]))
        self.run_program(*words, "--out", "b", "--traces", f"{size}b", code=1)
        written = [os.path.getsize(self.path("b/" + name)) for name in os.listdir(self.path("b"))]
        self.assertTrue(written)
        self.assertLessEqual(sum(written), size)
        out, _ = self.run_program(*words, "--out", "n", "--traces", "0", code=1)
        self.assertEqual(os.listdir(self.path("n")), [])
        self.assertIn(f"{len(rules)} of {len(rules)} violations have no trace file", out)
        self.assertIn("repeat: cowtip run l1-grows --policy cancel", out)

    def test_tap_has_a_line_a_workload_and_what_is_wrong(self):
        self.write("broken.qio", BROKEN)
        out, _ = self.run_program("sweep", "broken.qio", "--tap", code=1)
        lines = out.splitlines()
        self.assertEqual(lines[:3], ["TAP version 13", "1..1", "not ok 1 - broken"])
        self.assertIn('    - rule: "cow-complete"', lines)
        self.assertEqual(lines[-1], "  ...")
        out, _ = self.run_program("sweep", "--tap", "--budget", "20runs", code=3)
        lines = out.splitlines()
        self.assertEqual(lines[1], f"1..{len(lines) - 2}")
        self.assertTrue(all(re.match(r"ok \d+ - [a-z0-9-]+( # SKIP .*)?$", line)
                            for line in lines[2:]), out)
        self.assertTrue(any("# SKIP" in line for line in lines))
        self.run_program("sweep", "broken.qio", "--tap", "--json", code=2)

    def test_github_gets_annotations_and_nobody_else(self):
        self.write("broken.qio", BROKEN)
        os.environ["GITHUB_ACTIONS"] = "true"
        try:
            out, err = self.run_program("sweep", "broken.qio", "--json", code=1)
        finally:
            del os.environ["GITHUB_ACTIONS"]
        found = json.loads(out)["violations"]
        self.assertEqual(err.count("::error file=broken.qio,title="), len(found))
        self.assertIn(f"::broken: {found[0]['message']}".replace("%", "%25"), err)
        _, err = self.run_program("sweep", "broken.qio", "--json", code=1)
        self.assertNotIn("::", err)


if __name__ == "__main__":
    main()
