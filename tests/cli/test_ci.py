# SPDX-License-Identifier: MIT
"""The files for CI in workloads/ci: put into a project as they say, their commands run, and what they leave.

usage: test_ci.py PROGRAM WORKLOADS_CI
"""
import os
import shutil
import subprocess
import sys
import unittest
from xml.etree import ElementTree

from program import OVERLAP, PROGRAM, CommandLine, main

try:
    import yaml
except ImportError:
    yaml = None

FILES = os.path.abspath(sys.argv[2])
# More interleavings than a second's budget of a build with sanitizers has room for.
LONG = """\
# Five writes into one cluster
#@ image size=8k cluster_size=4k backing=pattern
#@ policy cancel
""" + "".join(f"aio_write -P 0x{i}1 {i * 512} 512\n" for i in range(1, 6)) + "aio_flush\nflush\n"
WRONG = "#@ bug reuse-before-unlink\n"
DISCARD = """\
# A cluster given away before its unlinking is durable
#@ image size=64k cluster_size=4k
write -P 0x11 0 4k
flush
discard 0 4k
write -P 0x22 8k 4k
"""


class Ci(CommandLine):
    def setUp(self):
        super().setUp()
        for folder in ("ci", "bin", "tests/crash"):
            os.makedirs(self.path(folder))
        os.symlink(PROGRAM, self.path("bin/cowtip"))
        shutil.copy(os.path.join(FILES, "crash-tests.sh"), self.path("ci"))
        self.write("tests/crash/overlap.qio", OVERLAP)

    def environment(self, **more):
        """Small budgets; what is ours may be found."""
        path = self.path("bin") + os.pathsep + os.environ["PATH"]
        # Sanitizers of the program would speak in other programs' output.
        return {**os.environ, "PATH": path, "COWTIP_BUDGET": "2s", **more}

    def shell(self, command, code=0, **environment):
        """What CI's shell does with one command; it stops at the first error."""
        done = subprocess.run(["sh", "-e", "-c", command], cwd=self.folder, text=True, check=False,
                              capture_output=True, env=self.environment(**environment))
        self.assertEqual(done.returncode, code, f"{command}\n{done.stdout}\n{done.stderr}")
        return done.stdout, done.stderr

    def report(self, name):
        suite = ElementTree.parse(self.path("cowtip-ci/" + name)).getroot()
        return {word: int(suite.get(word)) for word in ("tests", "failures", "errors", "skipped")}

    def check_reports(self):
        self.assertEqual(self.report("overlap.xml"),
                         {"tests": 1, "failures": 0, "errors": 0, "skipped": 0})
        self.assertEqual(self.report("campaign.xml")["failures"], 0)
        self.assertTrue(os.path.exists(self.path("cowtip-ci/campaign/journal")))

    @unittest.skipUnless(yaml, "no python3-yaml")
    def test_the_github_workflow(self):
        with open(os.path.join(FILES, "github-actions.yml"), encoding="utf-8") as file:
            workflow = yaml.safe_load(file)
        # YAML reads the key "on" as a truth value; GitHub does not.
        self.assertEqual(workflow[True], ["push", "pull_request"])
        job = workflow["jobs"]["crash-tests"]
        environment = dict(job["env"])
        self.assertEqual(environment.pop("COWTIP_SEED"), "${{ github.run_number }}")
        environment["COWTIP_BUDGET"] = "2s"
        ran = 0
        for step in job["steps"]:
            self.assertTrue(("uses" in step) != ("run" in step), step)
            if step.get("name") == "install":
                print(f"not run, needs root and a network: {step['run']}")
            elif "run" in step:
                self.shell(step["run"], COWTIP_SEED="17", **environment)
                ran += 1
            elif "path" in step.get("with", {}):
                self.assertEqual(step["with"]["path"], environment["COWTIP_OUT"])
        self.assertEqual(ran, 1)
        self.check_reports()

    @unittest.skipUnless(yaml, "no python3-yaml")
    def test_the_gitlab_job(self):
        with open(os.path.join(FILES, "gitlab-ci.yml"), encoding="utf-8") as file:
            job = yaml.safe_load(file)["crash-tests"]
        environment = {**job["variables"], "COWTIP_SEED": "17", "COWTIP_BUDGET": "2s"}
        print(f"not run, needs root and a network: {job['before_script'][0]}")
        for command in job["script"]:
            self.shell(command, **environment)
        self.check_reports()
        for folder in job["cache"]["paths"] + job["artifacts"]["paths"]:
            self.assertTrue(os.path.isdir(self.path(folder)))
        self.assertEqual(job["artifacts"]["reports"]["junit"], "cowtip-ci/*.xml")

    def test_a_violation_fails_the_job_and_leaves_its_trace(self):
        self.write("tests/crash/broken.qio", DISCARD.replace("write", WRONG + "write", 1))
        _, err = self.shell("sh ci/crash-tests.sh tests/crash/*.qio", code=1, GITHUB_ACTIONS="true",
                            COWTIP_CAMPAIGN="")
        self.assertIn("::error file=tests/crash/broken.qio,title=old-or-new::broken: ", err)
        self.assertEqual(self.report("broken.xml")["failures"], 1)
        self.assertEqual(self.report("overlap.xml")["failures"], 0)
        traces = [name for name in os.listdir(self.path("cowtip-ci")) if name.endswith(".zst")]
        self.assertIn("broken-old-or-new-1.trace.zst", traces)
        self.assertIn("broken-old-or-new-1.trace.zst",
                      os.listdir(self.path("cowtip-ci/known/broken")))
        self.shell("sh ci/crash-tests.sh tests/crash/broken.qio", code=1, COWTIP_TRACES="0",
                   COWTIP_OUT="none", COWTIP_CAMPAIGN="")
        self.assertEqual([name for name in os.listdir(self.path("none")) if "trace" in name], [])
        _, err = self.shell("sh ci/crash-tests.sh no.qio", code=2, COWTIP_CAMPAIGN="")
        self.assertIn("'no.qio' is neither a file nor a shipped workload", err)

    def test_what_was_not_finished_is_sampled_and_goes_on_the_next_time(self):
        self.write("tests/crash/long.qio", LONG)
        os.unlink(self.path("bin/cowtip"))
        self.write("bin/cowtip", f'#!/bin/sh\necho "$@" >>calls\nexec {PROGRAM} "$@"\n')
        os.chmod(self.path("bin/cowtip"), 0o755)
        resumed = []
        for turn in ("new", "resumed", "damaged"):
            if turn == "damaged":
                # A checkpoint that is good no more is no reason to fail.
                self.write("cowtip-ci/long.checkpoint", "something else\n")
            self.write("calls", "")
            _, err = self.shell("sh ci/crash-tests.sh tests/crash/long.qio", COWTIP_CAMPAIGN="",
                                COWTIP_BUDGET="1s", COWTIP_SEED="17")
            self.assertEqual("is no checkpoint" in err, turn == "damaged")
            with open(self.path("calls"), encoding="utf-8") as file:
                calls = file.read()
            resumed.append(calls.count("sweep --resume cowtip-ci/long.checkpoint"))
            self.assertEqual(calls.count("sweep tests/crash/long.qio --corpus"), turn != "resumed")
            self.assertIn("--strategy pos --seed 17", calls)
            self.assertEqual(self.report("long.xml")["skipped"], 1)
            self.assertEqual(self.report("long-samples.xml")["failures"], 0)
        self.assertEqual(resumed, [0, 1, 1])

    def test_a_campaign_begun_with_other_words_begins_anew(self):
        for words in ("--requests 1", "--requests 1 --lazy off"):
            self.shell("sh ci/crash-tests.sh", COWTIP_CAMPAIGN=words, COWTIP_BUDGET="20runs")
            with open(self.path("cowtip-ci/campaign/journal"), encoding="utf-8") as file:
                has_lazy = "lazy=off,on" in file.readline()
            self.assertEqual(has_lazy, words == "--requests 1")

    def test_ctest(self):
        shutil.copy(os.path.join(FILES, "CrashTests.cmake"), self.path("ci"))
        self.write("CMakeLists.txt", "cmake_minimum_required(VERSION 3.18)\nproject(it NONE)\n"
                   "enable_testing()\ninclude(ci/CrashTests.cmake)\n"
                   "crash_tests(WORKLOADS tests/crash/overlap.qio)\n")
        self.shell("cmake -S . -B build")
        out, _ = self.shell("cd build && ctest --output-on-failure -L crash")
        self.assertIn("100% tests passed, 0 tests failed out of 1", out)
        self.assertTrue(os.path.exists(self.path("build/crash/overlap/overlap.xml")))

    @unittest.skipUnless(shutil.which("meson") and shutil.which("ninja"), "no meson")
    def test_meson(self):
        os.makedirs(self.path("crash"))
        for name in ("meson.build", "crash-tests.sh"):
            shutil.copy(os.path.join(FILES, name), self.path("crash"))
        self.write("crash/overlap.qio", OVERLAP)
        self.write("meson.build", "project('it')\nsubdir('crash')\n")
        self.shell("meson setup build")
        out, _ = self.shell("meson test -C build --suite crash")
        self.assertRegex(out, r"Ok: +1\s")
        self.assertTrue(os.path.exists(self.path("build/crash/overlap/overlap.xml")))


if __name__ == "__main__":
    main()
