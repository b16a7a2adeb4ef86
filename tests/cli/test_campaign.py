# SPDX-License-Identifier: MIT
"""`generate` and `campaign`: on the built-in engine, and a small one on the qemu-io of this machine.

usage: test_campaign.py PROGRAM
"""
import os
import shutil
import signal
import subprocess
import time
import unittest
from xml.etree import ElementTree

from program import PROGRAM, CommandLine, main

QEMU_IO = "qemu-io -t {cache} -d unmap -f qcow2 {image}"
# With this bug a freed cluster is given away before its unlinking is durable.
BROKEN = ["--bug", "reuse-before-unlink", "--kinds", "write,middle,discard", "--states",
          "normal,freed,backing", "--lazy", "off", "--requests", "1..3"]


class Generate(CommandLine):
    def test_every_file_is_a_workload_and_equal_calls_write_equal_files(self):
        words = ["--requests", "1..2", "--kinds", "write,span,discard,flush", "--states",
                 "backing,beyond,snapshot", "--caches", "writeback"]
        self.run_program("generate", *words, "--out", "a")
        self.run_program("generate", *words, "--out", "b")
        names = sorted(os.listdir(self.path("a")))
        self.assertEqual(names, sorted(os.listdir(self.path("b"))))
        count = self.run_json("generate", *words, "--count")
        impossible = sum(family["impossible"] for family in count["families"])
        self.assertEqual(len(names), count["workloads"] - impossible)
        self.assertGreater(impossible, 0)
        for name in names:
            with open(self.path("a/" + name), encoding="utf-8") as first, \
                    open(self.path("b/" + name), encoding="utf-8") as second:
                self.assertEqual(first.read(), second.read())
        for name in names[::29]:
            self.run_program("run", "a/" + name)

    def test_shards_and_limits_are_parts_of_one_order(self):
        words = ["--requests", "1", "--kinds", "write,discard", "--out"]
        self.run_program("generate", *words, "all", "--limit", "50")
        for i in (1, 2, 3):
            self.run_program("generate", *words, "parts", "--limit", "50", "--shard", f"{i}/3")
        self.assertEqual(len(os.listdir(self.path("all"))), 50)
        self.assertEqual(sorted(os.listdir(self.path("all"))),
                         sorted(os.listdir(self.path("parts"))))

    def test_mistakes_are_told(self):
        for words, told in ((["--states", "odd"], "--states 'odd': words of these are wanted: bac"),
                            (["--requests", "2..9"], "--requests '2..9': A..B, from 1 to 3"),
                            (["--requests", "3..2"], "--requests '3..2'"),
                            (["--shard", "4/3"], "--shard '4/3': I/N, I from 1 to N"),
                            ([], "that would be")):
            _, err = self.run_program("generate", *words, code=2)
            self.assertIn(told, err)


class Campaign(CommandLine):
    def campaign(self, *words, code=1):
        """What it says, without what depends on the clock and on where it was."""
        said = self.run_json("campaign", *words, code=code)
        for key in ("elapsed_seconds", "resumed", "folder"):
            said.pop(key)
        return said

    def listing(self, folder):
        """All files but the journal, whose lines come as workloads end."""
        return sorted(name for name in os.listdir(self.path(folder)) if name != "journal")

    def test_the_engine_is_clean_and_what_it_cannot_have_is_counted(self):
        found = self.campaign("--requests", "1..2", "--limit", "60", "--out", "o", code=0)
        self.assertEqual(found["findings"], [])
        self.assertEqual(found["workloads"]["exhausted"], 60)
        self.assertGreater(found["workloads"]["left_out"], 0)
        self.assertNotIn("compressed", found["alphabet"])
        self.assertEqual(self.listing("o"), [])

    def test_findings_are_sorted_and_their_traces_show_them_again(self):
        found = self.campaign(*BROKEN, "--limit", "250", "--out", "o")
        rules = {row["rule"] for row in found["findings"]}
        self.assertIn("old-or-new", rules)
        row = [row for row in found["findings"] if row["rule"] == "old-or-new"][0]
        self.assertEqual((row["severity"], row["crash"]), ("corruption", "crash"))
        self.assertIn("discard", row["requests"])
        again = self.run_json("replay", "o/" + row["trace"], code=1)
        self.assertIn("old-or-new", [item["rule"] for item in again["violations"]])
        self.run_program("sweep", f"o/{row['first']}.qio", "--bug", "reuse-before-unlink",
                         "--out", "s", code=1)
        kept = [row["trace"] for row in found["findings"] if row["trace"]]
        files = self.listing("o")
        self.assertEqual(sorted(name for name in files if name.endswith(".zst")), sorted(kept))
        out, _ = self.run_program("campaign", *BROKEN, "--limit", "250", "--out", "o", code=1)
        self.assertIn("0 not swept yet", out)
        self.assertIn(row["requests"], out)

    def test_junit_and_tap_have_a_case_for_the_whole_and_one_for_each_finding(self):
        words = [*BROKEN, "--limit", "160", "--out", "o"]
        found = self.campaign(*words)
        out, _ = self.run_program("campaign", *words, "--tap", "--junit", "j.xml", code=1)
        suite = ElementTree.parse(self.path("j.xml")).getroot()
        cases = suite.findall("testcase")
        rows = found["findings"]
        self.assertEqual((suite.get("name"), suite.get("tests"), suite.get("failures")),
                         ("cowtip.campaign", str(len(rows) + 1), str(len(rows))))
        for case, row in zip(cases[1:], rows):
            step = f", {row['step']}" if row["step"] else ""
            self.assertEqual(case.get("name"), f"{row['requests']}: {row['rule']}{step}")
            failure = case.find("failure")
            self.assertEqual((failure.get("type"), failure.get("message")),
                             (row["rule"], row["message"]))
            self.assertIn(f"workload {row['first']}.qio", failure.text)
        lines = out.splitlines()
        self.assertEqual(lines[:2], ["TAP version 13", f"1..{len(rows) + 1}"])
        self.assertEqual(sum(line.startswith("not ok") for line in lines), len(rows))
        clean = ["--requests", "1", "--limit", "12", "--out", "c"]
        out, _ = self.run_program("campaign", *clean, "--tap", code=0)
        self.assertRegex(out, r"^TAP version 13\n1\.\.1\nok 1 - [^#]*\n$")
        clean[-1] = "d"
        out, _ = self.run_program("campaign", *clean, "--budget", "1runs", "--tap", code=3)
        self.assertRegex(out, r"\nok 1 - .* # SKIP 1[01] of 12 workloads were not swept, 0 not")

    def test_traces_are_kept_as_far_as_there_is_room(self):
        words = [*BROKEN, "--limit", "160"]
        whole = self.campaign(*words, "--out", "whole")
        kept = [row["trace"] for row in whole["findings"] if row["trace"]]
        self.assertGreater(len(kept), 2)
        self.assertEqual(whole["traces_left_out"], 0)
        for turn in ("new", "resumed"):
            found = self.campaign(*words, "--out", "two", "--traces", "2")
            self.assertEqual([row["trace"] for row in found["findings"] if row["trace"]], kept[:2])
            self.assertEqual(found["traces_left_out"], len(kept) - 2, turn)
            files = self.listing("two")
            self.assertEqual(sorted(name for name in files if name.endswith(".zst")),
                             sorted(kept[:2]))
            self.assertEqual(sum(name.endswith(".qio") for name in files),
                             len({row["first"] for row in found["findings"] if row["trace"]}))
        out, _ = self.run_program("campaign", *words, "--out", "two", "--traces", "1b", code=1)
        self.assertIn(f"  traces of {len(kept)} of them were left out (--traces)\n", out)
        self.assertEqual(self.listing("two"), [])
        _, err = self.run_program("campaign", *words, "--traces", "many", code=2)
        self.assertEqual(err, "cowtip: --traces 'many': a number of files, or a size with a "
                              "suffix, 16M\n")

    def test_killed_and_resumed_or_shared_it_says_the_same(self):
        words = [*BROKEN, "--limit", "160"]
        whole = self.campaign(*words, "--out", "whole")
        self.assertTrue(whole["findings"])
        self.assertEqual(self.campaign(*words, "--jobs", "3", "--out", "shared"), whole)
        self.assertEqual(self.listing("shared"), self.listing("whole"))
        kills = 0
        for lines in (5, 40, 90):
            child = subprocess.Popen([PROGRAM, "campaign", *words, "--jobs", "2", "--out", "cut"],
                                     cwd=self.folder, stdout=subprocess.DEVNULL,
                                     stderr=subprocess.DEVNULL)
            journal = self.path("cut/journal")
            while child.poll() is None:
                if os.path.exists(journal):
                    with open(journal, "rb") as file:
                        if file.read().count(b"\n") > lines:
                            break
                time.sleep(0.002)
            if child.poll() is None:
                child.send_signal(signal.SIGKILL)
                kills += 1
            child.wait()
        self.assertGreater(kills, 0)
        with open(self.path("cut/journal"), "ab") as file:
            file.write(b"done\t39")
        self.assertEqual(self.campaign(*words, "--out", "cut"), whole)
        self.assertEqual(self.listing("cut"), self.listing("whole"))

    def test_a_damaged_journal_is_told_with_its_line(self):
        words = ["--requests", "1", "--limit", "9", "--out", "o"]
        self.campaign(*words, code=0)
        with open(self.path("o/journal"), encoding="utf-8") as file:
            good = file.read()
        lines = good.split("\n")
        lines[4] = lines[4].replace("exhausted", "exhaustad")
        self.write("o/journal", "\n".join(lines))
        _, err = self.run_program("campaign", *words, code=2)
        self.assertEqual(err, "cowtip: 'o/journal': line 5: damaged: its checksum is wrong\n")
        self.write("o/journal", good + good.split("\n")[3] + "\n")
        _, err = self.run_program("campaign", *words, code=2)
        self.assertIn("is not of this campaign, or there twice", err)
        self.write("o/journal", "something else\n")
        _, err = self.run_program("campaign", *words, code=2)
        self.assertIn("'o/journal': line 1: no journal of a campaign", err)

    def test_a_campaign_goes_on_with_its_own_settings_only(self):
        self.campaign("--requests", "1", "--limit", "3", "--out", "o", code=0)
        for others in (["--limit", "4"], ["--limit", "3", "--lax"]):
            _, err = self.run_program("campaign", "--requests", "1", *others, "--out", "o",
                                      code=2)
            self.assertIn("is of another campaign", err)

    def test_a_budget_that_ends_first_is_exit_status_3_and_can_be_gone_on_with(self):
        words = ["--requests", "1..2", "--limit", "40", "--out", "o"]
        found = self.campaign(*words, "--budget", "5runs", code=3)
        self.assertGreater(found["workloads"]["not_swept"], 0)
        found = self.campaign(*words, code=0)
        self.assertEqual(found["workloads"]["not_swept"], 0)
        found = self.campaign("--requests", "3", "--kinds", "middle", "--states", "backing",
                              "--each", "2", "--limit", "3", "--out", "p", code=3)
        self.assertGreater(found["workloads"]["bounded"], 0)

    def test_a_subject_that_refuses_everything_is_refused(self):
        _, err = self.run_program("campaign", "--program", "no-such-program {image}", "--requests",
                                  "1", "--out", "o", code=2)
        self.assertIn("workloads were refused: ", err)
        _, err = self.run_program("campaign", "--kinds", "compressed", "--out", "p", code=2)
        self.assertIn("the subject can have none of it", err)

    @unittest.skipUnless(shutil.which("qemu-io") and shutil.which("qemu-img"),
                         "qemu-io or qemu-img is not installed")
    def test_every_state_can_be_made_for_a_program(self):
        found = self.campaign("--program", QEMU_IO, "--requests", "1", "--kinds", "middle",
                              "--lazy", "off", "--out", "o", code=(0, 1, 3))
        counts = found["workloads"]
        self.assertEqual(counts["planned"], 20)
        self.assertEqual((counts["exhausted"] + counts["bounded"], counts["refused"]), (20, 0))
        self.assertEqual(found["reasons"], [])
        self.assertEqual([row for row in found["findings"] if row["severity"] == "hazard"], [])

    @unittest.skipUnless(shutil.which("qemu-io"), "qemu-io is not installed")
    def test_what_is_refused_is_no_success(self):
        # qemu-io does not say which of three writes of one place has failed.
        words = ["--program", QEMU_IO, "--requests", "3", "--kinds", "write", "--states", "normal",
                 "--caches", "writeback", "--lazy", "off", "--strategy", "dpor", "--faults", "1",
                 "--fault-kinds", "eio", "--fault-points", "posix/io/rw/pwrite*", "--out", "o"]
        found = self.campaign(*words, code=3)
        counts = found["workloads"]
        self.assertEqual((counts["exhausted"], counts["refused"], counts["not_swept"]), (4, 1, 0))
        self.assertEqual(found["findings"], [])
        out, _ = self.run_program("campaign", *words, code=3)
        self.assertTrue(out.endswith(
            "workloads that could not be judged: 1\n  1: a write failed (Input/output error), and it "
            "may be one of several of one offset and length\n"), out)


if __name__ == "__main__":
    main()
