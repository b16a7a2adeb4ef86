# SPDX-License-Identifier: MIT
"""dm-log-writes logs by the real thing, and ours for others.

    test_dm_log.py COWTIP CORPUS [--runs N] [--seed S]

Logs: random workloads of qemu-io through QEMU's blklogwrites are judged without a false alarm, and
replayed give the file that qemu-io left. Traces (committed ones, a sweep's, recordings) become logs
that an independent reader replays to the same bytes as the trace, and that come back as traces.
"""
import argparse
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import replay_log
import stock_qemu

ARGUMENTS = argparse.Namespace()
# Sector sizes of QEMU's logs: it takes any power of two from 32 on, and fails an assertion of its own
# when a discard is smaller.
SECTORS = [512, 512, 4096, 64]


class DmLog(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cowtip-dmlog-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.images = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def cowtip(self, *arguments, statuses=(0,)):
        return stock_qemu.run(self.folder, ARGUMENTS.cowtip, *arguments, statuses=statuses)

    def image_at(self, trace, operations, *more):
        """The image after so many operations, as a new file."""
        self.images += 1
        name = f"{self.images}.img"
        self.cowtip("show", "--quiet", trace, *more, "--image-at", str(operations), "--output",
                    name)
        return name

    def final_image(self, trace, *more):
        return self.image_at(trace, self.operation_count(trace, *more), *more)

    def assert_replays(self, entries, initial, final):
        """Replayed onto `initial` (which is changed), the entries give `final`."""
        replay_log.replay(entries, self.path(initial))
        self.assertTrue(replay_log.is_same(self.path(initial), self.path(final)))

    def operation_count(self, trace, *more):
        err = self.cowtip("show", trace, *more, "--image-at", str(1 << 60), "--output", "none",
                          statuses=(2,)).stderr
        return int(re.search(r"has only (\d+) operations", err).group(1))

    def check_trace_as_log(self, trace, sector):
        """A trace becomes a log, replayed to the same bytes, and comes back."""
        written = json.loads(self.cowtip("convert", "--json", "--sector", str(sector), trace,
                                         "t.dmlog").stdout)
        entries = replay_log.read(self.path("t.dmlog"))
        self.assertEqual(len(entries), written["entries"])
        self.assertEqual(entries, replay_log.read(self.path("t.dmlog"), behind=True))
        final = self.final_image(trace)
        initial = self.image_at(trace, 0)
        self.cowtip("convert", "t.dmlog", "again.trace.zst", "--image", initial)
        self.assert_replays(entries, initial, final)
        again = self.final_image("again.trace.zst")
        self.assertTrue(replay_log.is_same(self.path(again), self.path(final)), trace)
        self.cowtip("convert", "--sector", str(sector), "again.trace.zst", "again.dmlog")
        kept = [entry for entry in entries if not entry[2] & replay_log.MARK]
        back = [entry for entry in replay_log.read(self.path("again.dmlog"))
                if not entry[2] & replay_log.MARK]
        if written["promised_too_much"] == 0 and not any(entry[2] & replay_log.FUA
                                                         for entry in kept):
            self.assertEqual(back, kept)
        return len(kept)

    def test_committed_traces_become_logs(self):
        traces = sorted(glob.glob(os.path.join(ARGUMENTS.corpus, "*.trace.zst")))
        self.assertGreater(len(traces), 10)
        for trace in traces:
            for sector in (512, 4096):
                # A run may stand still before anything is written; then its log has only marks.
                least = 1 if self.operation_count(trace) else 0
                self.assertGreaterEqual(self.check_trace_as_log(trace, sector), least, trace)

    def test_traces_of_a_sweep_become_logs(self):
        for workload, bug in [("child-fails", "no-restore"), ("late-child", "no-rwlock"),
                              ("discard-overlap", "discard-no-wait"), ("l1-grows", "none")]:
            self.cowtip("sweep", workload, "--bug", bug, "--out", "t", "--budget", "2000runs",
                        statuses=(0, 1, 3))
            self.cowtip("run", workload, "--bug", bug, "--out", "t", statuses=(0, 1))
        traces = sorted(glob.glob(self.path("t/*.trace.zst")))
        self.assertGreater(len(traces), 5)
        for trace in traces:
            self.check_trace_as_log(trace, 512)

    def test_recordings_become_logs(self):
        for number in range(ARGUMENTS.runs):
            workload = stock_qemu.Workload(self.folder, ARGUMENTS.seed, f"record-{number}")
            self.cowtip("record", "--quiet", "--out", f"r{number}", "--",
                        *workload.qemu_io("-f", "qcow2", "disk.qcow2"))
            self.check_trace_as_log(f"r{number}/qemu-io-1.trace.zst", 512)

    def test_a_resized_and_snapshotted_image_becomes_a_log(self):
        stock_qemu.run(self.folder, "qemu-img", "create", "-q", "-f", "qcow2", "-o",
                       "cluster_size=4k", "disk.qcow2", "1M")
        for number, command in enumerate([
                ["qemu-io", "-f", "qcow2", "-c", "write -P 1 0 100k", "disk.qcow2"],
                ["qemu-img", "snapshot", "-c", "one", "disk.qcow2"],
                ["qemu-img", "resize", "-q", "--shrink", "disk.qcow2", "64k"],
                ["qemu-img", "create", "-q", "-f", "qcow2", "other.qcow2", "1M"]]):
            self.cowtip("record", "--quiet", "--out", f"r{number}", "--", *command)
            self.check_trace_as_log(f"r{number}/{command[0]}-1.trace.zst", 512)

    def log_of(self, workload, number):
        """Run it through blklogwrites: log `number`.log of disk.qcow2, which was initial.qcow2."""
        shutil.copy(self.path("disk.qcow2"), self.path("initial.qcow2"))
        log = f"{number}.log"
        sector = min(SECTORS[number % 4], workload.cluster)
        with open(self.path(log), "wb"):
            pass
        options = ["driver=qcow2", "file.driver=blklogwrites", "file.file.driver=file",
                   "file.file.filename=disk.qcow2", "file.log.driver=file",
                   f"file.log.filename={log}", f"file.log-sector-size={sector}"]
        done = workload.run(*workload.qemu_io("--image-opts", ",".join(options)), statuses=(0, 1))
        # A compressed write over what is there already is refused.
        self.assertTrue(done.returncode == 0 or "write failed: Input/output error" in
                        done.stdout + done.stderr, done.stderr)
        return log

    def test_logs_of_blklogwrites_are_judged_and_replayed(self):
        states = 0
        for number in range(ARGUMENTS.runs):
            workload = stock_qemu.Workload(self.folder, ARGUMENTS.seed, number)
            log = self.log_of(workload, number)
            image = ["--image", "initial.qcow2"]
            report, _, alarms = stock_qemu.judge(ARGUMENTS.cowtip, workload, log, *image)
            if alarms:
                stock_qemu.print_alarms(number, workload, alarms)
            self.assertFalse(alarms)
            states += report["crash_states"]
            self.assertIn("old-or-new", [row["rule"] for row in report["skipped"]])
            final = self.final_image(log, *image)
            entries = replay_log.read(self.path(log))
            self.assertEqual(entries, replay_log.read(self.path(log), behind=True))
            self.assert_replays(entries, self.image_at(log, 0, *image), final)
            replay_log.replay(entries, self.path("initial.qcow2"))
            self.assertTrue(replay_log.races_only(entries, self.path("initial.qcow2"),
                                                  self.path("disk.qcow2")), str(workload))
        self.assertGreater(states, 100)

    def test_a_log_is_judged_as_the_trace_that_it_was_made_of(self):
        # Between its writes `snapshot -c` leaves COPIED flags where the refcount is two already.
        stock_qemu.run(self.folder, "qemu-img", "create", "-q", "-f", "qcow2", "disk.qcow2", "1M")
        stock_qemu.run(self.folder, "qemu-io", "-f", "qcow2", "-c", "write 0 100k", "disk.qcow2")
        self.cowtip("record", "--quiet", "--out", "t", "--", "qemu-img", "snapshot", "-c", "one",
                    "disk.qcow2")
        trace = "t/qemu-img-1.trace.zst"
        self.cowtip("convert", trace, "t.log")
        initial = self.image_at(trace, 0)

        def findings(*arguments):
            report = json.loads(self.cowtip("check", "--json", *arguments, statuses=(1,)).stdout)
            return [(item["rule"], item["severity"], item["crash"], item["host_offset"])
                    for item in report["violations"]]
        of_log = findings("t.log", "--image", initial)
        self.assertEqual(of_log, findings(trace))
        self.assertIn("copied-exact", [finding[0] for finding in of_log])


class Races(unittest.TestCase):
    """The excuse for a difference between log and file holds for races and for nothing else."""

    def verdict(self, *entries, found):
        with tempfile.TemporaryDirectory() as folder:
            replayed, real = os.path.join(folder, "replayed"), os.path.join(folder, "real")
            for path in (replayed, real):
                with open(path, "wb") as file:
                    file.write(found if path == real else bytes(1024))
            replay_log.replay(entries, replayed)
            return replay_log.races_only(entries, replayed, real)

    def test_overlapping_writes_may_have_changed_places_unless_a_flush_parts_them(self):
        first, second = (0, 1024, 0, b"1" * 1024), (512, 512, 0, b"2" * 512)
        flush = (0, 0, replay_log.FLUSH, b"")
        self.assertTrue(self.verdict(first, second, found=b"1" * 512 + b"2" * 512))
        self.assertTrue(self.verdict(first, second, flush, found=b"1" * 1024))
        self.assertFalse(self.verdict(first, flush, second, found=b"1" * 1024))
        self.assertFalse(self.verdict(first, second, found=b"1" * 512 + b"3" * 512))
        self.assertFalse(self.verdict(first, second, found=b"2" * 1024))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("cowtip")
    parser.add_argument("corpus")
    parser.add_argument("--runs", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    parser.parse_args(namespace=ARGUMENTS)
    ARGUMENTS.cowtip = os.path.abspath(ARGUMENTS.cowtip)
    ARGUMENTS.corpus = os.path.abspath(ARGUMENTS.corpus)
    if not shutil.which("qemu-io") or not shutil.which("qemu-img"):
        print("skipped: qemu-io or qemu-img is not installed")
        sys.exit(stock_qemu.SKIPPED)
    print(f"seed {ARGUMENTS.seed}", flush=True)
    unittest.main(argv=sys.argv[:1])


if __name__ == "__main__":
    main()
