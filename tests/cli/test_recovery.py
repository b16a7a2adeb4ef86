# SPDX-License-Identifier: MIT
"""`sweep --recovery`: dirty crash states are repaired, and repairs crashed."""
from program import CommandLine, main

LAZY = """\
#@ image size=16k cluster_size=2k backing=pattern lazy_refcounts=on
#@ policy cancel
aio_write -P 0x11 0 1k
aio_write -P 0x22 512 1k
aio_discard 4k 2k
aio_flush
flush
"""

KEYS = {"depth", "images_repaired", "of_runs", "of_runs_reordered", "of_repairs", "repair_crash_states", "distinct",
        "final_images", "reordered_states", "violations"}

SWEEP = ["sweep", "lazy.qio", "--no-swap"]


class Recovery(CommandLine):
    def recovery(self, *arguments, code=0):
        return self.run_json(*SWEEP, *arguments, code=code)["certificate"]["recovery"]

    def setUp(self):
        super().setUp()
        self.write("lazy.qio", LAZY)

    def test_the_certificate_says_what_was_repaired(self):
        found = self.recovery()
        self.assertEqual(set(found), KEYS)
        self.assertEqual(found["depth"], 2)
        self.assertEqual(found["images_repaired"], found["of_runs"] + found["of_repairs"])
        self.assertGreater(found["of_runs"], 0)
        self.assertGreater(found["of_repairs"], 0)
        self.assertGreaterEqual(found["repair_crash_states"], found["of_repairs"])
        self.assertEqual(found["violations"], 0)
        out, _ = self.run_program(*SWEEP)
        self.assertIn(f"  recovery       {found['of_runs']} dirty crash states repaired", out)

    def test_depth_is_how_many_crashes_there_are(self):
        once = self.recovery("--recovery", "1")
        self.assertEqual((once["depth"], once["of_repairs"], once["repair_crash_states"]),
                         (1, 0, 0))
        self.assertEqual(once["of_runs"], self.recovery()["of_runs"])
        self.assertIsNone(self.recovery("--recovery", "0"))
        self.write("lazy.qio", LAZY.replace(" lazy_refcounts=on", ""))
        self.assertIsNone(self.recovery())
        _, err = self.run_program(*SWEEP, "--recovery", "3", code=2)
        self.assertEqual(err, "cowtip: --recovery '3': not a number in range\n")

    def test_a_disk_that_reorders_leaves_more_to_repair(self):
        plain = self.recovery()
        self.assertEqual(plain["of_runs_reordered"], 0)
        more = ["--crash", "prefix,torn,reorder"]
        found = self.recovery(*more)
        self.assertGreater(found["of_runs_reordered"], 0)
        self.assertEqual(found["of_runs"], plain["of_runs"] + found["of_runs_reordered"])
        self.assertEqual(found["violations"], 0)
        self.assertEqual(self.recovery(*more, "--jobs", "2", "--slice", "3"), found)
        self.run_program(*SWEEP, *more, "--budget", "3runs", "--out", "c", code=3)
        rest = self.run_json("sweep", "--resume", "c/lazy.checkpoint", "--no-swap")
        self.assertEqual(rest["certificate"]["recovery"], found)

    def test_the_shipped_lazy_worlds_are_repaired_reordered(self):
        out, _ = self.run_program("list", "workloads")
        lazy = [line.split()[0] for line in out.splitlines() if line.startswith("lazy-")]
        self.assertGreaterEqual(len(lazy), 5)
        for workload in lazy:
            with self.subTest(workload):
                found = self.run_json("sweep", workload, "--no-swap", "--crash", "prefix,torn,reorder")
                self.assertTrue(found["certificate"]["complete"])
                self.assertEqual(found["violations"], [])
                self.assertEqual(found["certificate"]["recovery"]["depth"], 2)
                self.assertGreater(found["certificate"]["recovery"]["of_runs_reordered"], 0)

    def test_it_does_not_depend_on_how_the_search_is_split(self):
        whole = self.recovery()
        self.assertEqual(self.recovery("--jobs", "2", "--slice", "3"), whole)
        self.run_program(*SWEEP, "--budget", "3runs", "--out", "c", code=3)
        rest = self.run_json("sweep", "--resume", "c/lazy.checkpoint", "--no-swap")
        self.assertEqual(rest["certificate"]["recovery"], whole)

    def test_what_a_repair_does_wrong_is_told_and_replayed(self):
        found = self.run_json(*SWEEP, "--bug", "repair-clean-first", "--out", "c", code=1)
        self.assertEqual({item["rule"] for item in found["violations"]}, {"repair-converges"})
        self.assertEqual(found["certificate"]["recovery"]["violations"], len(found["violations"]))
        first = found["violations"][0]
        self.assertIn("opened again", first["message"])
        self.assertEqual(first["trace"], "c/lazy-repair-converges-1.trace.zst")
        again = self.run_json("replay", first["trace"], code=1)
        self.assertIn(first["message"], [item["message"] for item in again["violations"]])
        out, _ = self.run_program("run", "lazy.qio", "--bug", "repair-clean-first", "--schedule",
                                  first["schedule"], code=1)
        self.assertIn("repair-converges (corruption)", out)
        self.run_program("run", "lazy.qio", "--bug", "repair-clean-first", "--schedule",
                         first["schedule"], "--recovery", "0")


if __name__ == "__main__":
    main()
