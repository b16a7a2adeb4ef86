# SPDX-License-Identifier: MIT
"""`sweep --corpus`: what is known is run first, what is new is added, and nothing else happens.

usage: test_corpus.py PROGRAM FOLDER-OF-WORKLOADS
"""
import os
import re
import signal
import subprocess
import time
from xml.etree import ElementTree

from program import BROKEN, OVERLAP, PROGRAM, main
from stock import RACE, StockCommandLine

QEMU_IO = "qemu-io -t writeback -d unmap -f qcow2 {image}"
# Two steps of which nothing depends on an order, and a known bug that makes no difference.
PLAIN = """\
#@ image size=8k cluster_size=4k
#@ policy eager
#@ bug zero-no-wait
write -P 0x11 0 4k
flush
"""
TWO_RACES = "late-child", "--bug", "no-rwlock"


class Corpus(StockCommandLine):
    def sweep(self, *arguments, code, corpus="known"):
        """Its result, and what it says of the corpus."""
        found = self.run_json("sweep", *arguments, "--no-swap", "--corpus", corpus, code=code)
        return found, found["corpus"]

    def files(self, folder="known"):
        return sorted(os.listdir(self.path(folder)))

    def contents(self, folder="known"):
        result = {}
        for name in self.files(folder):
            with open(os.path.join(self.path(folder), name), "rb") as file:
                result[name] = file.read()
        return result

    def outcomes(self, corpus):
        return [(os.path.basename(item["trace"]), item["rule"], item["outcome"])
                for item in corpus["known"]]

    def stream(self, trace):
        return subprocess.run(["zstd", "-dcq", self.path(trace)], check=True,
                              capture_output=True).stdout

    def otherwise(self, source, old, new):
        """Write `new` for `old` (of one length) in a trace: as if it had been recorded by a program
        in which something else is wrong."""
        stream = self.stream(source)
        self.assertEqual(len(old), len(new))
        self.assertIn(old.encode(), stream)
        with open(self.path(source), "wb") as file:
            file.write(stream.replace(old.encode(), new.encode()))

    def test_what_is_found_is_added_once(self):
        found, corpus = self.sweep(*TWO_RACES, code=1)
        names = ["late-child-cow-complete-1.trace.zst", "late-child-progress-1.trace.zst"]
        self.assertEqual(self.files(), names)
        self.assertEqual((corpus["folder"], corpus["known"]), ("known", []))
        self.assertEqual([item["trace"] for item in corpus["added"]],
                         ["known/" + name for name in names])
        self.assertEqual([item["from"] for item in corpus["added"]],
                         [item["trace"] for item in found["violations"]])
        before = self.contents()
        _, corpus = self.sweep(*TWO_RACES, code=1)
        self.assertEqual(self.outcomes(corpus), [(names[0], "cow-complete", "still shows"),
                                                 (names[1], "progress", "still shows")])
        self.assertEqual((corpus["added"], corpus["duplicates"], corpus["left_out"]), ([], 2, 0))
        self.assertEqual(self.contents(), before)

    def test_what_is_added_is_small_and_holds_no_stacks(self):
        found, _ = self.sweep(*TWO_RACES, code=1)
        for kept, item in zip(self.files(), found["violations"]):
            kept = "known/" + kept
            self.assertLess(os.path.getsize(self.path(kept)),
                            os.path.getsize(self.path(item["trace"])))
            self.assertIn(PROGRAM.encode(), self.stream(item["trace"]))
            self.assertNotIn(PROGRAM.encode(), self.stream(kept))
            rules = [row["rule"] for row in self.run_json("replay", kept, code=1)["violations"]]
            self.assertIn(item["rule"], rules)

    def test_two_folders_become_equal(self):
        for folder in ["one", "two"]:
            self.sweep(*TWO_RACES, code=1, corpus=folder)
        self.assertEqual(self.contents("one"), self.contents("two"))

    def test_one_mistake_in_another_workload_is_no_news(self):
        self.write("broken.qio", BROKEN)
        self.write("other.qio", BROKEN.replace("1k 1k", "1k 512").replace("size=8k", "size=12k"))
        _, corpus = self.sweep("broken.qio", code=1)
        self.assertGreater(len(corpus["added"]), 0)
        found, corpus = self.sweep("other.qio", code=1)
        self.assertEqual(corpus["added"], [])
        self.assertEqual(corpus["duplicates"], len(found["violations"]))

    def test_a_trace_that_somebody_put_there_counts_as_well(self):
        """It lacks its critical step, which is found out when it matters."""
        found, _ = self.sweep(*TWO_RACES, code=1)
        os.makedirs(self.path("mine"))
        for number, item in enumerate(found["violations"]):
            os.rename(self.path(item["trace"]), self.path(f"mine/{number}.trace.zst"))
        _, corpus = self.sweep(*TWO_RACES, code=1, corpus="mine")
        self.assertEqual([item["outcome"] for item in corpus["known"]], ["still shows"] * 2)
        self.assertEqual((corpus["added"], corpus["duplicates"]), ([], 2))

    def test_a_known_trace_is_a_violation_whatever_is_swept(self):
        self.sweep(*TWO_RACES, code=1)
        clean = self.write("clean.qio", OVERLAP)
        found, corpus = self.sweep(clean, code=1)
        self.assertEqual((found["violations"], corpus["added"]), ([], []))
        out, err = self.run_program("sweep", clean, "--corpus", "known", code=1)
        self.assertEqual(err, "")
        self.assertEqual(re.findall(r"^known: (.*)$", out, re.M),
                         ["known/late-child-cow-complete-1.trace.zst: still shows cow-complete",
                          "known/late-child-progress-1.trace.zst: still shows progress"])
        self.assertTrue(out.startswith("known: "))
        self.assertIn("\ncorpus known: 2 known (still shows: 2); 0 of what was found added", out)
        self.assertTrue(out.endswith("nothing wrong was found but in known traces.\n"))
        short, _ = self.run_program("sweep", clean, "--corpus", "known", "--quiet", code=1)
        self.assertEqual(len(short.splitlines()), 2)

    def test_what_was_put_right_no_longer_shows(self):
        """The whole workload is searched before that is said."""
        self.write("broken.qio", BROKEN)
        self.sweep("broken.qio", code=1)
        for name in self.files():
            self.otherwise("known/" + name, "no-restore", "late-child")
        _, corpus = self.sweep(self.write("clean.qio", OVERLAP), code=0)
        for item in corpus["known"]:
            self.assertEqual((item["outcome"], item["why"]),
                             ("no longer shows", "no run of its workload does"))

    def test_what_was_put_right_once_is_news_when_it_comes_back(self):
        self.write("broken.qio", BROKEN)
        _, first = self.sweep("broken.qio", code=1)
        for name in self.files():
            self.otherwise("known/" + name, "rw/pwrite", "rw/pwrote")
        _, corpus = self.sweep("broken.qio", code=1)
        self.assertEqual({item["outcome"] for item in corpus["known"]}, {"no longer shows"})
        self.assertEqual([item["critical_step"] for item in corpus["added"]],
                         [item["critical_step"] for item in first["added"]])
        self.assertEqual(len(self.files()), 2 * len(first["added"]))

    def test_what_shows_in_another_run_still_shows(self):
        self.sweep("rewrite-in-flight", "--bug", "lost-kick", code=1)
        for name in self.files()[1:]:
            os.unlink(self.path("known/" + name))
        self.otherwise("known/" + self.files()[0], "lost-kick", "sync-kick")
        _, corpus = self.sweep(self.write("clean.qio", OVERLAP), code=1)
        item = corpus["known"][0]
        self.assertEqual(item["outcome"], "still shows")
        self.assertRegex(item["why"], r"^under another schedule, s1:\S+$")

    def test_what_shows_although_the_run_went_otherwise_still_shows(self):
        """As if a task had had another name when it was recorded."""
        self.sweep(*TWO_RACES, code=1)
        self.otherwise("known/late-child-cow-complete-1.trace.zst", "l2meta", "l3meta")
        _, corpus = self.sweep(self.write("clean.qio", OVERLAP), code=1)
        item = corpus["known"][0]
        self.assertEqual(item["outcome"], "still shows")
        self.assertRegex(item["why"], r"^diverged at step \d+: recorded '(.*)l3meta', now "
                                      r"'\1l2meta'$")

    def test_a_search_that_comes_to_no_end_says_diverged(self):
        self.write("broken.qio", BROKEN)
        self.sweep("broken.qio", code=1)
        name = self.files()[0]
        for other in self.files()[1:]:
            os.unlink(self.path("known/" + other))
        self.otherwise("known/" + name, "no-restore", "late-child")
        clean = self.write("clean.qio", OVERLAP)
        found, corpus = self.sweep(clean, "--budget", "8runs", code=4)
        (item,) = corpus["known"]
        self.assertEqual(item["outcome"], "diverged")
        self.assertRegex(item["why"], r"^diverged at step \d+: |is not found any more$")
        self.assertIs(found["complete"], False)

    def test_a_clean_trace_has_to_stay_clean(self):
        self.write("plain.qio", PLAIN)
        trace = self.run_json("run", "plain.qio", "--schedule", "s1:", "--out", "known")["trace"]
        clean = self.write("clean.qio", OVERLAP)
        self.assertEqual(self.outcomes(self.sweep(clean, code=0)[1]),
                         [("plain.trace.zst", None, "still clean")])
        self.otherwise(trace, "zero-no-wait", "l1-before-l2")
        self.assertEqual(self.outcomes(self.sweep(clean, code=1)[1]),
                         [("plain.trace.zst", "refcount-covers", "was clean, now breaks")])

    def test_known_traces_are_run_in_the_order_of_their_names(self):
        self.sweep(*TWO_RACES, code=1)
        for name in ["b", "B", "a", "10", "9"]:
            with open(self.path(f"known/{name}.trace.zst"), "wb") as file:
                file.write(self.contents()["late-child-progress-1.trace.zst"])
        _, corpus = self.sweep(self.write("clean.qio", OVERLAP), code=1)
        names = [os.path.basename(item["trace"]) for item in corpus["known"]]
        self.assertEqual(names, sorted(self.files()))

    def test_machines_are_told(self):
        self.sweep(*TWO_RACES, code=1)
        clean = self.write("clean.qio", OVERLAP)
        out, _ = self.run_program("sweep", clean, "--corpus", "known", "--tap", "--junit", "j.xml",
                                  "--no-swap", code=1)
        self.assertEqual([line for line in out.splitlines() if not line.startswith("  ")], [
            "TAP version 13", "1..3",
            "not ok 1 - known/late-child-cow-complete-1.trace.zst",
            "not ok 2 - known/late-child-progress-1.trace.zst", "ok 3 - clean"])
        suite = ElementTree.parse(self.path("j.xml")).getroot()
        self.assertEqual((suite.get("tests"), suite.get("failures")), ("3", "2"))
        self.assertEqual([(case.get("name"), [part.get("type") for part in case])
                          for case in suite],
                         [("known/late-child-cow-complete-1.trace.zst", ["cow-complete"]),
                          ("known/late-child-progress-1.trace.zst", ["progress"]),
                          ("clean", [])])

    def refused(self, message):
        """Nothing is run, nothing is written."""
        before = self.files()
        out, err = self.run_program("sweep", self.write("clean.qio", OVERLAP), "--corpus", "known",
                                    code=2)
        self.assertEqual(out, "")
        self.assertRegex(err, rf"\Acowtip: .*{message}.*\n\Z")
        self.assertEqual(self.files(), before)
        self.assertFalse(os.path.exists(self.path("cowtip-out/clean.checkpoint")))

    def test_what_is_damaged_or_does_not_belong_there_is_refused(self):
        self.sweep(*TWO_RACES, code=1)
        whole = self.contents()["late-child-progress-1.trace.zst"]
        for name, content, message in [
                ("x.trace.zst", whole[:len(whole) // 2], "x.trace.zst"),
                ("x.trace.zst", whole[:100] + b"?" + whole[101:], "x.trace.zst"),
                ("x.trace.zst", b"hello\n", "x.trace.zst"),
                ("x.trace.zst", b"", "x.trace.zst"),
                ("x.tar.zst", b"hello\n", "x.tar.zst"),
                ("notes.txt", b"hello\n",
                 "'known/notes.txt': a corpus holds traces, whose names end in .trace.zst"),
                ("image.qcow2", b"QFI\xfb", "a corpus holds traces")]:
            with open(self.path("known/" + name), "wb") as file:
                file.write(content)
            self.refused(message)
            os.unlink(self.path("known/" + name))
        os.mkdir(self.path("known/x.trace.zst"))
        self.refused("x.trace.zst")
        os.rmdir(self.path("known/x.trace.zst"))
        # A trace whose workload makes no sense is no better.
        self.otherwise("known/late-child-progress-1.trace.zst", "write", "wrote")
        self.run_program("sweep", "clean.qio", "--corpus", "known", code=2)

    def test_a_workload_that_is_not_there_is_bad_input_whatever_is_known(self):
        self.sweep(*TWO_RACES, code=1)
        _, err = self.run_program("sweep", "none.qio", "--corpus", "known", code=2)
        self.assertRegex(err, r"\Acowtip: 'none.qio' is neither .*\n\Z")

    def test_a_corpus_that_is_no_folder_is_refused(self):
        self.write("known", "hello\n")
        _, err = self.run_program("sweep", self.write("clean.qio", OVERLAP), "--corpus", "known",
                                  code=2)
        self.assertEqual(err.count("\n"), 1)
        self.assertIn("known", err)

    def test_pages_hidden_files_and_what_a_killed_sweep_left_are_passed_by(self):
        os.makedirs(self.path("known/.git"))
        for name in ["README.md", ".gitignore", "x.trace.zst.tmp", "clean.checkpoint"]:
            self.write("known/" + name, "hello\n")
        _, corpus = self.sweep(self.write("clean.qio", OVERLAP), code=0)
        self.assertEqual(corpus["known"], [])

    def test_bundles_are_traces_too(self):
        found = self.run_json("sweep", *TWO_RACES, "--no-swap", code=1)
        os.makedirs(self.path("known"))
        self.run_json("shrink", found["violations"][0]["trace"], "--bundle", "known/bug.tar.zst",
                      code=1)
        _, corpus = self.sweep(self.write("clean.qio", OVERLAP), code=1)
        self.assertEqual(self.outcomes(corpus), [("bug.tar.zst", "cow-complete", "still shows")])

    def test_a_budget_is_for_everything(self):
        self.sweep(*TWO_RACES, code=1)
        for number in range(10):
            with open(self.path(f"known/{number}.trace.zst"), "wb") as file:
                file.write(self.contents()["late-child-progress-1.trace.zst"])
        found, corpus = self.sweep("late-child", "--budget", "20runs", code=1)
        outcomes = [item["outcome"] for item in corpus["known"]]
        self.assertEqual(outcomes, ["still shows"] * 5 + ["not run"] * 7)
        self.assertEqual(corpus["known"][-1]["why"], "the budget of runs ended")
        self.assertEqual(found["interleavings"], 15)
        self.assertIs(found["complete"], False)

    def test_a_search_goes_on_with_a_corpus(self):
        self.sweep(*TWO_RACES, "--budget", "100runs", code=1)
        first = self.contents()
        found, corpus = self.sweep("--resume", "cowtip-out/late-child.checkpoint", code=1)
        self.assertIs(found["complete"], True)
        self.assertEqual(found["interleavings"], 502)
        self.assertEqual(len(corpus["known"]), len(first))
        self.assertEqual(len(corpus["added"]) + len(first), 2)
        self.assertEqual({name: self.contents()[name] for name in first}, first)

    def test_the_suite_has_a_corpus_as_well(self):
        found, corpus = self.sweep("--bug", "no-rwlock", "--budget", "6000runs", code=1)
        self.assertEqual(len(corpus["added"]) + corpus["duplicates"] + corpus["left_out"],
                         len(found["violations"]))
        self.assertGreater(corpus["duplicates"], 0)
        steps = [(item["rule"], item["critical_step"]) for item in corpus["added"]]
        self.assertEqual(len(set(steps)), len(steps))
        self.assertEqual(len(self.files()), len(steps))

    def test_whenever_it_is_killed_every_trace_is_whole(self):
        for delay in [0.02, 0.1, 0.2, 0.3, 0.5, 1]:
            running = subprocess.Popen([PROGRAM, "sweep", *TWO_RACES, "--corpus", "known",
                                        "--no-swap"], cwd=self.folder, stdout=subprocess.DEVNULL)
            time.sleep(delay)
            running.send_signal(signal.SIGKILL)
            running.wait()
            if os.path.exists(self.path("known")):
                for name in self.files():
                    if name.endswith(".trace.zst"):
                        self.run_program("replay", "known/" + name, code=1)
        self.sweep(*TWO_RACES, code=1)
        self.assertEqual(len([name for name in self.files() if name.endswith(".zst")]), 2)

    def test_findings_of_a_program_are_kept_and_need_it(self):
        self.need_race()
        found, corpus = self.sweep("--program", QEMU_IO, RACE, code=1)
        self.assertEqual(len(corpus["added"]) + corpus["duplicates"], len(found["violations"]))
        rules = sorted(item["rule"] for item in corpus["added"])
        self.assertEqual(rules, ["old-or-new", "read-linearizable"])
        _, corpus = self.sweep("--program", QEMU_IO, RACE, code=1)
        self.assertEqual([item["outcome"] for item in corpus["known"]], ["still shows"] * 2)
        self.assertEqual((corpus["added"], corpus["duplicates"]), ([], 3))
        done = subprocess.run([PROGRAM, "sweep", self.write("clean.qio", OVERLAP), "--corpus",
                               "known", "--no-swap"], cwd=self.folder, check=False, text=True,
                              capture_output=True, env={**os.environ, "PATH": "/nowhere"})
        self.assertEqual(done.returncode, 3, done.stderr)
        self.assertEqual(len(re.findall(r"^known: .*: not run: cannot run 'qemu-io'", done.stdout,
                                        re.M)), 2)


if __name__ == "__main__":
    main()
