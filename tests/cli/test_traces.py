# SPDX-License-Identifier: MIT
"""Traces: written by `run` and `sweep`, read by `replay`, `check` and `show`."""
import os
import re
import shutil
import subprocess
import unittest

from program import BROKEN, OVERLAP, CommandLine, main


class Traces(CommandLine):
    def trace_of_run(self, *arguments, code=0):
        self.write("overlap.qio", OVERLAP)
        found = self.run_json("run", "overlap.qio", *arguments, code=code)
        self.assertTrue(os.path.exists(self.path(found["trace"])))
        return found

    def test_a_run_follows_its_schedule_and_can_be_replayed(self):
        found = self.trace_of_run("--schedule", "s1:01", "--out", "t")
        self.assertTrue(found["schedule"].startswith("s1:01"))
        out, _ = self.run_program("replay", found["trace"])
        self.assertRegex(out, r"^\d+ events, all as recorded\n")
        self.assertEqual(self.run_json("check", found["trace"])["crash_states"],
                         found["crash_states"])

    def test_several_bugs_are_recorded_and_switched_on_again(self):
        bugs = ["--bug", "no-final", "--bug", "no-align"]
        found = self.run_json("sweep", "late-child", *bugs, "--budget", "500runs", code=1)
        schedule = [item["schedule"] for item in found["violations"]
                    if item["rule"] == "flush-durable"][0]
        self.run_program("run", "late-child", *bugs, "--schedule", schedule, "--out", "t", code=1)
        out, _ = self.run_program("replay", "t/late-child.trace.zst", code=1)
        self.assertIn("all as recorded", out)
        self.assertIn("flush-durable", out)

    def test_equal_seeds_give_equal_traces(self):
        first = self.trace_of_run("--seed", "7", "--out", "a")
        other = self.trace_of_run("--seed", "7", "--out", "b")
        with open(self.path(first["trace"]), "rb") as a, open(self.path(other["trace"]), "rb") as b:
            self.assertEqual(a.read(), b.read())

    def test_a_schedule_that_does_not_fit_diverges(self):
        self.write("overlap.qio", OVERLAP)
        _, err = self.run_program("run", "overlap.qio", "--schedule", "s1:(99)", code=4)
        self.assertIn("diverged at step", err)
        self.run_program("run", "overlap.qio", "--schedule", "zebra", code=2)

    def test_a_finding_is_found_again_by_replay_check_and_show(self):
        self.write("broken.qio", BROKEN)
        found = self.run_json("sweep", "broken.qio", "--out", "t", code=1)
        for violation in found["violations"]:
            trace = violation["trace"]
            for command in ("replay", "check"):
                again = self.run_json(command, trace, code=1)["violations"]
                self.assertIn((violation["rule"], violation["guest_offset"]),
                              [(item["rule"], item["guest_offset"]) for item in again])
            out, _ = self.run_program("show", trace)
            self.assertIn(f"=> {violation['rule']}", out)
            self.assertIn(violation["rule"],
                          [item["rule"] for item in self.run_json("show", trace)["violations"]])
        self.assertEqual(self.run_program("run", "broken.qio", "--quiet", "--schedule",
                                          found["schedule"], code=1)[1], "")

    def test_show_prints_events_and_stacks_on_demand(self):
        trace = self.trace_of_run()["trace"]
        brief, _ = self.run_program("show", trace)
        self.assertNotIn("submitted", brief)
        events, _ = self.run_program("show", trace, "--events")
        self.assertIn("write submitted", events)
        stacks, _ = self.run_program("show", trace, "--stacks")
        self.assertIn("qcow2_open+", stacks)
        self.assertEqual(len(self.run_json("show", trace)["events"]),
                         self.run_json("run", "overlap.qio")["events"])

    def test_crash_images_are_written_for_other_tools(self):
        trace = self.trace_of_run()["trace"]
        sizes = []
        for place in ("0", "1", "3", "3+1"):
            self.run_program("show", trace, "--image-at", place, "--output", f"{place}.qcow2")
            sizes.append(os.path.getsize(self.path(f"{place}.qcow2")))
            if shutil.which("qemu-img"):
                done = subprocess.run(["qemu-img", "check", "-q", f"{place}.qcow2"],
                                      cwd=self.folder, check=False, capture_output=True)
                self.assertIn(done.returncode, (0, 3), done.stderr)
        self.assertEqual(sizes, sorted(sizes))
        self.assertTrue(os.path.exists(self.path("backing.raw")))
        self.run_program("show", trace, "--image-at", "x", code=2)
        _, err = self.run_program("show", trace, "--image-at", "100000", code=2)
        self.assertRegex(err, r"the trace has only \d+ operations")
        self.assertFalse([name for name in os.listdir(self.folder) if name.endswith(".tmp")])

    def test_a_write_is_torn_where_the_files_sectors_end(self):
        self.write("odd.qio", "#@ image size=8k cluster_size=4k\nwrite -P 0x11 100 1000\n")
        trace = self.run_json("run", "odd.qio")["trace"]
        operations = [event for event in self.run_json("show", trace)["events"]
                      if event["kind"] == "io-effect" and event["op"] not in (1, 3)]
        number, torn = [(i, event) for i, event in enumerate(operations)
                        if event["offset"] % 512 and event["length"] > 512][0]
        images = []
        for place in (f"{number}", f"{number}+1", f"{number + 1}"):
            self.run_program("show", trace, "--image-at", place, "--output", "i.qcow2")
            with open(self.path("i.qcow2"), "rb") as image:
                images.append(image.read())
        end = torn["offset"] // 512 * 512 + 512
        self.assertEqual(images[1][:end], images[2][:end])
        self.assertNotEqual(images[0][:end].rstrip(b"\0"), images[2][:end])
        self.assertEqual(images[1][end:].rstrip(b"\0"), images[0][end:].rstrip(b"\0"))

    def test_a_reordered_crash_is_shown_with_its_image(self):
        found = self.run_json("sweep", "snapshot-cow", "--bug", "l1-no-flush", "--crash",
                              "prefix,torn,reorder", "--out", "s", code=1)
        reordered = [item for item in found["violations"] if item["crash"]["model"] == "reorder"]
        self.assertTrue(reordered)
        operation = str(reordered[0]["crash"]["operation"])
        persisted = re.search(r"\(persisted: (.*)\)$", reordered[0]["message"]).group(1)
        self.assertRegex(persisted, r"^0x[0-9a-f]+=\d+$")
        at = int(persisted.split("=")[0], 16)
        images = {}
        for name, more in (("newest", []), ("lost", ["--persist", persisted])):
            self.run_program("show", reordered[0]["trace"], "--image-at", operation, *more,
                             "--output", f"{name}.qcow2")
            with open(self.path(f"{name}.qcow2"), "rb") as image:
                images[name] = image.read()
        self.assertEqual(images["newest"][:at], images["lost"][:at])
        self.assertNotEqual(images["newest"][at:at + 512], images["lost"][at:at + 512])
        self.assertEqual(images["newest"][at + 512:], images["lost"][at + 512:])
        self.run_program("show", reordered[0]["trace"], "--image-at", operation, "--persist", "x",
                         code=2)
        self.run_program("show", reordered[0]["trace"], "--persist", persisted, code=2)

    @unittest.skipUnless(shutil.which("qemu-io"), "there is no qemu-io")
    def test_a_foreign_program_is_recorded_and_judged(self):
        subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", "d.qcow2", "1M"],
                       cwd=self.folder, check=True)
        out, err = self.run_program("record", "--out", "t", "--", "qemu-io", "-f", "qcow2",
                                    "-c", "write -q -P 1 0 64k", "d.qcow2")
        self.assertRegex(out, r"^t/qemu-io-1\.trace\.zst: \d+ events on 1 file\n$")
        self.assertEqual(err, "cowtip: qemu-io ended with exit status 0\n")
        trace = "t/qemu-io-1.trace.zst"
        out, _ = self.run_program("check", trace)
        self.assertIn("nothing wrong", out)
        self.assertIn("not judged everywhere: cow-complete", out)
        self.assertIn("writes data: guest 0x0+65536", self.run_program("show", trace)[0])
        self.run_program("show", trace, "--image-at", "1000000", code=2)
        self.assertIn("not run", self.run_program("replay", trace)[1])

    @unittest.skipUnless(shutil.which("qemu-img"), "qemu-img is not installed")
    def test_a_recording_with_backing_files_is_judged_image_by_image(self):
        def run(*command):
            subprocess.run(command, cwd=self.folder, check=True, stdout=subprocess.DEVNULL)
        run("qemu-img", "create", "-f", "raw", "base.raw", "1M")
        run("qemu-img", "create", "-f", "qcow2", "-b", "base.raw", "-F", "raw", "mid.qcow2")
        run("qemu-img", "create", "-f", "qcow2", "-b", "mid.qcow2", "-F", "qcow2", "top.qcow2")
        self.run_program("record", "--out", "t", "--", "qemu-io", "-f", "qcow2", "top.qcow2",
                         "-c", "write -P 1 0 100k")
        out, _ = self.run_program("check", "t/qemu-io-1.trace.zst")
        self.assertIn("nothing wrong", out)
        self.run_program("record", "--out", "t", "--", "qemu-img", "commit", "top.qcow2")
        out, _ = self.run_program("check", "t/qemu-img-1.trace.zst")
        self.assertIn("nothing wrong", out)

    def test_a_recording_without_an_image_is_refused(self):
        _, err = self.run_program("record", "--", "true", code=2)
        self.assertIn("nothing was recorded", err)
        self.run_program("record", "--", "/no/such/program", code=2)
        self.run_program("record", code=2)

    def test_a_recording_that_lost_its_end_is_refused_with_the_cause(self):
        self.write("disk.raw", "\0" * 4096)
        for damage, cause in (
                ("truncate -s 100 $tail", "its tail is too short"),
                ("printf '\\377\\377\\377' | dd of=$tail bs=1 conv=notrunc",
                 "bytes before its tail are missing"),
                ("printf '\\377\\377\\377' | dd of=$tail bs=1 seek=8 conv=notrunc",
                 "its tail holds more than it has room for")):
            _, err = self.run_program(
                "record", "--quiet", "--image", "disk.raw", "--out", "t", "--", "sh", "-c",
                "echo x | dd of=disk.raw conv=notrunc 2>x; "
                f"tail=$(echo $COWTIP_RECORD.*.tail); {damage} 2>x", code=2)
            self.assertRegex(err, f"^cowtip: cannot finish the recording '[^']+': {cause}\n$")
        self.assertEqual(os.listdir(self.path("t")), [])

    def test_a_damaged_trace_is_bad_input(self):
        trace = self.path(self.trace_of_run()["trace"])
        with open(trace, "rb") as file:
            good = file.read()
        with open(trace, "wb") as file:
            file.write(good[:40] + bytes([good[40] ^ 0xff]) + good[41:])
        for command in ("replay", "check", "show"):
            _, err = self.run_program(command, trace, code=2)
            self.assertEqual(err.count("\n"), 1)


if __name__ == "__main__":
    main()
