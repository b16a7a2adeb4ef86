# SPDX-License-Identifier: MIT
"""What `sweep` lists is the weakest model and the smallest cut of the whole search, however that was divided, and what
a replay of its trace lists."""
import json

from program import CommandLine, main

# Known bugs that show in several models, by the place: without a crash, in the order of the writes, reordered only;
# the last three also in the repair of a dirty image.
BUGS = [("no-final", "late-child"), ("close-no-drain", "tail-cancelled"), ("first-match", "spans-two-in-flight"),
        ("flush-forgets", "flush-fails"), ("l2-no-flush", "snapshot-cow"), ("snapshot-no-flush", "snapshot-overlap"),
        ("lazy-no-barrier", "lazy-second-link"), ("repair-keeps-leaks", "lazy-discard"),
        ("repair-no-flush", "lazy-dirty-first")]

# Small enough for every interleaving, each judged by itself; with the bytes of a cluster.
EXHAUSTED = [("flush-forgets", "flush-fails", 2048), ("l2-no-flush", "snapshot-cow", 2048),
             ("block-not-written", "refcount-block-new", 512), ("kick-not-down", "rewrite-parent", 4096),
             ("tail-from-data", "copies-both-ends", 2048)]


def items(found):
    """Everything that is said of the violations but where their traces are."""
    return [{key: value for key, value in item.items() if key != "trace"} for item in found["violations"]]


def places(found, cluster_bytes):
    """A place is a guest cluster: in which sector of it the bad ones begin is a matter of the cut that is listed."""
    return sorted((item["rule"], item["severity"], item["strict_only"], item["crash"]["model"],
                   -1 if item["guest_offset"] is None else item["guest_offset"] // cluster_bytes)
                  for item in found["violations"])


class Weakest(CommandLine):
    def sweep(self, *arguments):
        return self.run_json("sweep", *arguments, "--no-swap", code=1)

    def sweep_bug(self, bug, workload, *arguments):
        return self.sweep(workload, "--bug", bug, "--crash", "prefix,torn,reorder", *arguments)

    def test_the_list_does_not_depend_on_how_the_search_is_divided(self):
        models = set()
        for bug, workload in BUGS:
            with self.subTest(bug):
                whole = self.sweep_bug(bug, workload)
                models |= {item["crash"]["model"] for item in whole["violations"]}
                for division in (["--slice", "1"], ["--slice", "7", "--jobs", "2"], ["--jobs", "2"]):
                    self.assertEqual(items(self.sweep_bug(bug, workload, *division)), items(whole), division)
        self.assertEqual(models, {"none", "prefix", "reorder"})

    def test_nor_on_an_interruption(self):
        for bug, workload in BUGS:
            with self.subTest(bug):
                whole = self.sweep_bug(bug, workload)
                runs = whole["interleavings"]
                self.assertGreater(runs, 4)
                part = self.run_json("sweep", workload, "--bug", bug, "--crash", "prefix,torn,reorder", "--no-swap",
                                     "--slice", "5", "--budget", f"{runs // 2}runs", code=(1, 3))
                self.assertFalse(part["complete"])
                self.assertEqual(items(self.sweep("--resume", part["checkpoint"], "--slice", "3")), items(whole))

    def test_a_replay_lists_the_same(self):
        for bug, workload in BUGS:
            with self.subTest(bug):
                found = self.sweep_bug(bug, workload)
                self.assertTrue(found["violations"])
                for item in found["violations"]:
                    again = self.run_json("replay", item["trace"], code=1)
                    said = [{key: value for key, value in seen.items() if key not in ("trace", "schedule")}
                            for seen in again["violations"]]
                    wanted = {key: value for key, value in item.items() if key not in ("trace", "schedule")}
                    self.assertIn(wanted, said)

    def test_no_interleaving_shows_it_in_a_weaker_model(self):
        for bug, workload, cluster_bytes in EXHAUSTED:
            with self.subTest(bug):
                every = self.sweep_bug(bug, workload, "--strategy", "dfs", "--no-prune", "--points", "io")
                classes = self.sweep_bug(bug, workload, "--points", "io")
                self.assertEqual(places(classes, cluster_bytes), places(every, cluster_bytes))

    def test_what_shows_in_several_sectors_of_a_cluster_is_one_violation(self):
        # By the cut, COW of guest 0x200 or of guest 0x400 is missing in the first cluster.
        out, err = self.run_program("sweep", "late-child", "--bug", "no-rwlock", "--no-swap", "--json", code=1)
        self.assertEqual(err, "")
        listed = places(json.loads(out), 2048)
        self.assertIn(("cow-complete", "corruption", False, "prefix", 0), listed)
        self.assertEqual(len(set(listed)), len(listed))


if __name__ == "__main__":
    main()
