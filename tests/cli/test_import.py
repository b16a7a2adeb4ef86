# SPDX-License-Identifier: MIT
"""Reports that become workloads: what people paste of qemu-io, the faults of blkdebug, and the
crashes of LazyFS.

usage: test_import.py PROGRAM SANITIZED       1: states of a run are not known
"""
import json
import shutil
import sys
import unittest

from program import OVERLAP, CommandLine, main

STRATEGIES = ["dpor", "dfs"] + (["stateful"] if sys.argv[2] != "1" else [])

FLUSH_FAILS = """\
# The first flush of the file fails, and no other
[inject-error]
event = "flush_to_disk"
iotype = "flush"
errno = "5"
once = "on"

[inject-error]
event = "cor_write"
"""

# A write in place is under way when its cluster is discarded and given to another write.
RACE = """\
$ qemu-img create -q -f qcow2 r.qcow2 1M
$ qemu-io -t writeback -d unmap -c 'write -P 0x11 0 64k' -c 'break write_aio A' \\
>     -c 'aio_write -P 0x22 0 64k' -c 'wait_break A' -c 'discard 0 64k' \\
>     -c 'write -P 0x33 128k 64k' -c 'resume A' -c aio_flush \\
>     -c 'read -P 0x33 128k 64k' blkdebug::r.qcow2
wrote 65536/65536 bytes at offset 0
Pattern verification failed at offset 131072, 65536 bytes
"""


class Import(CommandLine):
    def convert(self, text, *words, name="report.sh"):
        """The workload's lines without comments, and what was said."""
        self.write(name, text)
        _, err = self.run_program("convert", name, "out.qio", *words)
        with open(self.path("out.qio"), encoding="utf-8") as file:
            out = file.read()
        notes = [line.removeprefix("cowtip: ") for line in err.splitlines()]
        self.assertEqual([line[2:] for line in out.splitlines() if line.startswith("# ")][-len(
            notes):] if notes else [], notes)
        return [line for line in out.splitlines() if not line.startswith("# ")], notes

    def rules(self, *words, code):
        return {item["rule"] for item in self.run_json("sweep", "out.qio", *words, code=code)[
            "violations"]}

    def test_a_blkdebug_fault_shows_a_known_bug_and_nothing_without_it(self):
        self.write("fails.conf", FLUSH_FAILS)
        lines, notes = self.convert(
            "qemu-img create -f qcow2 -o cluster_size=2k x.qcow2 16k\n"
            "qemu-io -t writeback -c 'write -P 0x11 0 512' -c flush -c 'write -P 0x22 1k 512' "
            "-c flush blkdebug:fails.conf:x.qcow2\n")
        self.assertEqual(lines, ["#@ image size=16k cluster_size=2k", "#@ cache writeback",
                                 "#@ inject flush_to_disk errno=5 iotype=flush once",
                                 "write -P 0x11 0 512", "flush", "write -P 0x22 1k 512", "flush"])
        self.assertEqual(notes, ["fails.conf:8: [inject-error] at 'cor_write': left out, the engine "
                                 "has no such step"])
        self.assertEqual(self.rules("--bug", "flush-forgets", code=1), {"error-contained"})
        self.assertEqual(self.rules(code=0), set())
        self.assertIn("at most 0 injected errors a run\n                 and those of 1 rule "
                      "('#@ inject')\n", self.run_program("sweep", "out.qio")[0])
        trace = self.run_json("sweep", "out.qio", "--bug", "flush-forgets", code=1)["trace"]
        self.run_program("replay", trace, code=1)
        small = self.run_json("shrink", trace, code=1)
        self.assertTrue(small["trace"])

    def test_a_configuration_may_be_in_the_script(self):
        script = ("cat >fails.conf <<EOF\n" + FLUSH_FAILS + "EOF\n"
                  "$QEMU_IMG create -f qcow2 x.qcow2 64k\n"
                  '$QEMU_IO -c "write 0 4k" -c flush blkdebug:fails.conf:x.qcow2\n')
        lines, notes = self.convert(script)
        self.assertIn("#@ inject flush_to_disk errno=5 iotype=flush once", lines)
        self.assertEqual(notes, ["report.sh:9: [inject-error] at 'cor_write': left out, the engine "
                                 "has no such step"])
        # One that is not here is said; one that nothing names is not in the workload.
        lines, notes = self.convert(script[script.index("$QEMU_IMG"):])
        self.assertEqual(len([line for line in lines if "inject" in line]), 0)
        self.assertIn("blkdebug's 'fails.conf' is not here: left out (--inject)", notes[0])
        lines, notes = self.convert(script.replace("blkdebug:fails.conf:", ""))
        self.assertEqual(len([line for line in lines if "inject" in line]), 0)
        self.assertEqual(notes, ["report.sh:1: blkdebug's configuration: left out, the image is "
                                 "not opened through it"])

    @unittest.skipUnless(shutil.which("qemu-io"), "no qemu-io")
    def test_a_program_takes_the_file_itself(self):
        self.write("w.conf", '[inject-error]\nevent = "write_aio"\nerrno = "5"\nonce = "on"\n')
        self.write("w.qio", "#@ image size=64k\nwrite 0 4k\nwrite 4k 4k\n")
        self.run_program("convert", "w.qio", "out.qio", "--inject", "w.conf")
        for name, command in (("w.qio", f"blkdebug:{self.path('w.conf')}:{{image}}"),
                              ("out.qio", "{image}")):
            out, err = self.run_program("run", name, "--json", "--program",
                                        f"qemu-io -t writeback -f qcow2 {command}")
            story, _ = self.run_program("show", json.loads(out)["trace"])
            self.assertEqual("(write) fails: Input/output error" in story, name == "w.qio")
            self.assertEqual("'#@ inject' is for the built-in engine" in err, name == "out.qio")

    def test_a_pasted_race_is_swept_on_the_engine_and_on_stock_qemu_io(self):
        lines, notes = self.convert(RACE)
        self.assertEqual(lines, ["#@ image size=1024k", "#@ cache writeback", "write -P 0x11 0 64k",
                                 "aio_write -P 0x22 0 64k", "discard 0 64k",
                                 "write -P 0x33 128k 64k", "aio_flush", "read -P 0x33 128k 64k"])
        self.assertEqual([note.split("'")[1] for note in notes],
                         ["break write_aio A", "wait_break A", "resume A"])
        found = self.run_json("sweep", "out.qio")
        self.assertTrue(found["complete"])
        self.assertEqual(found["violations"], [])
        if not shutil.which("qemu-io"):
            self.skipTest("no qemu-io")
        self.assertIn("read-linearizable", self.rules(
            "--program", "qemu-io -t {cache} -d unmap -f qcow2 {image}", code=1))

    def test_states_and_once_are_a_matter_of_order_and_every_order_is_found(self):
        self.write("c.qio", OVERLAP.replace("pattern\n", "pattern\n#@ policy cancel\n", 1))
        self.write("c.conf", '[inject-error]\nevent = "write_aio"\nstate = "2"\nonce = "on"\n'
                   'errno = "28"\n[set-state]\nevent = "write_aio"\nstate = "1"\n'
                   'new_state = "2"\n')
        self.run_program("convert", "c.qio", "out.qio", "--inject", "c.conf")
        seen = {}
        for strategy in STRATEGIES:
            swept = self.run_json("sweep", "out.qio", "--strategy", strategy)
            self.assertTrue(swept["complete"], strategy)
            seen[strategy] = {key: swept["certificate"][key] for key in (
                "crash_images_distinct", "crash_image_checksum", "final_states",
                "final_state_checksum")}
        for strategy in STRATEGIES:
            self.assertEqual(seen[strategy], seen["dpor"], strategy)
        # Without the fault there are other ends.
        plain = self.run_json("sweep", "c.qio")["certificate"]
        self.assertNotEqual(plain["final_state_checksum"], seen["dpor"]["final_state_checksum"])
        # Either of the two may be the one that fails.
        failed = set()
        for seed in range(40):
            trace = self.run_json("run", "out.qio", "--seed", str(seed))["trace"]
            events, _ = self.run_program("show", trace, "--events")
            failed |= {line.split("request ")[1][0] for line in events.splitlines()
                       if "No space left" in line and "request " in line}
        self.assertGreaterEqual(len(failed), 2, failed)

    def test_every_event_makes_a_call_fail_and_the_engine_bears_it(self):
        shipped = {"refblock_alloc": "refcount-block-new",
                   "refblock_alloc_hookup": "refcount-block-new",
                   "refblock_alloc_write_blocks": "refcount-table-grows",
                   "refblock_alloc_write_table": "refcount-table-grows",
                   "refblock_alloc_switch_table": "refcount-table-grows",
                   "l1_grow_alloc_table": "l1-grows", "l1_grow_write_table": "l1-grows",
                   "l1_grow_activate_table": "l1-grows", "cluster_free": "snapshot-cow",
                   "l2_load": "snapshot-cow"}
        never = {"read_compressed"}     # the engine prepares no compressed clusters
        failing = set()
        events = [row["event"] for row in self.run_json("list", "events")["events"]]
        for event in events:
            trace = self.run_json("run", shipped.get(event, "late-child"), "--faults", "0")["trace"]
            text = self.run_json("show", trace)["workload"]
            lines = [line for line in text.splitlines() if not line.startswith("#@ faults")]
            self.write("e.qio", "\n".join(line for line in lines if not
                                          line.startswith("#@ expect")) +
                       f"\n#@ inject {event} errno=5\n")
            found = self.run_json("sweep", "e.qio", "--budget", "20runs", "--recovery", "0",
                                  "--no-swap", code=(0, 3))
            self.assertEqual(found["violations"], [], event)
            trace = self.run_json("run", "e.qio")["trace"]
            if "= -EIO" in self.run_program("show", trace, "--events", "--quiet")[0]:
                failing.add(event)
        self.assertEqual(failing, set(events) - never)

    def test_which_of_two_writes_fails_is_found_by_every_strategy(self):
        self.write("two.qio", "#@ image size=8k cluster_size=4k\n#@ prepare write 0 8k\n"
                   "#@ inject write_aio errno=28 once\naio_write -P 0x11 0 512\n"
                   "aio_write -P 0x22 4k 512\n")
        every = self.run_json("sweep", "two.qio", "--strategy", "dfs", "--no-prune")
        for strategy in STRATEGIES:
            swept = self.run_json("sweep", "two.qio", "--strategy", strategy)
            for key in ("final_states", "final_state_checksum", "crash_images_distinct",
                        "crash_image_checksum"):
                self.assertEqual(swept["certificate"][key], every["certificate"][key],
                                 (strategy, key))
        self.assertGreaterEqual(every["certificate"]["final_states"], 2)

    def test_what_a_transcript_says_of_the_image_and_of_other_sessions(self):
        lines, notes = self.convert("""\
# a shell script
export X=1
qemu-img create -q -f raw base.raw 32k; qemu-io -f raw -c 'write -P 0x77 0 32k' base.raw
sudo qemu-img create -f qcow2 -b base.raw -F raw -o cluster_size=4k,lazy_refcounts=on x.qcow2 64k
qemu-io -c "aio_write -P 0x11 4k 4k" -c aio_flush x.qcow2 >/dev/null 2>&1
qemu-io -d ignore x.qcow2 <<END
discard 0 4k
aio_write -q -P 0x22 0 1k
map
sigraise 9
write 0 4k
END
qemu-io -r -c 'read -P 0x22 0 1k' x.qcow2
""")
        self.assertEqual(lines, [
            "#@ image size=64k cluster_size=4k lazy_refcounts=on backing=pattern backing_size=32k",
            "#@ prepare write -P 0x11 4k 4k", "#@ cache writethrough", "aio_write -q -P 0x22 0 1k"])
        told = "\n".join(notes)
        for word in (":2: 'export ...'", ":3: qemu-io: left out, what is done to another image",
                     ":7: 'discard 0 4k': left out, under -d ignore it does nothing",
                     ":9: 'map': left out, it only prints", ":10: 'sigraise 9': left out with",
                     ":13: qemu-io: left out, what looks at the image afterwards",
                     ":4: backing file 'base.raw': a pattern stands for it"):
            self.assertIn("report.sh" + word, told)
        self.run_program("sweep", "out.qio", "--budget", "50runs", code=(0, 3))

    def test_commands_alone_and_sessions_with_a_prompt(self):
        lines, notes = self.convert("write 0 4k\nflush\n", name="c.txt")
        self.assertEqual(lines, ["#@ image size=64k", "#@ cache writeback", "write -P 0xcd 0 4k",
                                 "flush"])
        self.assertIn("no 'qemu-img create': an empty image of 65536 bytes", notes[0])
        lines, _ = self.convert("$ qemu-io x\nqemu-io> write 0 4k\nwrote 4096/4096 bytes\n"
                                "qemu-io> write -c 8k 4k\nqemu-io> quit\n", name="s.txt")
        self.assertEqual(lines[2:], ["write -P 0xcd 0 4k", "write -c -P 0xcd 8k 4k"])
        if shutil.which("qemu-img"):
            self.run_program("run", "c.txt", code=2)
            self.write("size.qio", "#@ image size=3M cluster_size=4k\nwrite 0 4k\n")
            trace = self.run_json("run", "size.qio")["trace"]
            self.run_program("show", trace, "--image-at", "0", "--output", "here.qcow2")
            lines, notes = self.convert("qemu-io -c 'write 0 4k' here.qcow2\n")
            self.assertEqual(lines[0], "#@ image size=3072k cluster_size=4k")
            self.assertIn("'here.qcow2' says how large the image is", notes[0])

    def test_json_has_the_notes(self):
        self.write("c.txt", "write 0 4k\nmap\n")
        out, err = self.run_program("convert", "c.txt", "o", "--to", "workload", "--json")
        found = json.loads(out)
        self.assertEqual((found["format"], found["requests"]), ("workload", 1))
        self.assertEqual("".join(f"cowtip: {note}\n" for note in found["notes"]), err)

    def test_what_makes_no_sense_is_one_line_with_its_number(self):
        section = '[inject-error]\nevent = "l2_update"\n'
        for script, config, message in [
                ("qemu-io -c 'write 0 4k\n", None, "r:1: a quote that is not closed"),
                ("qemu-io x <<END\nwrite 0 4k\n", None, "r:2: a here-document without an end"),
                ("write 0 4k\nwriet 0 4k\n", None, "r:2: unknown command 'wriet'"),
                ("write 0\n", None, "r:1: 'write' takes an offset and a length"),
                ("write -f 0 4k\n", None, "r:1: option '-f' of 'write' is not supported yet"),
                ("qemu-img create -f qcow2 x\nqemu-io -c 'write 0 4k' x\n", None,
                 "r:1: qemu-img create: the size of 'x' is not said"),
                ("qemu-img create -f qcow2 x 4k\nqemu-io -c 'write 4k 4k' x\n", None,
                 "r:2: 4096 bytes at 4096 reach beyond the end of the image, 4096"),
                ("qemu-img create -f qcow2 -o extended_l2=on x 4k\nqemu-io -c 'write 0 4k' x\n",
                 None, "r:1: image option extended_l2='on' is not supported yet"),
                ("qemu-io x\n", None, "r:1: no command is left to run"),
                ("qemu-img create x 4k\n", None, "r:1: there is no qemu-io with commands in it"),
                ("write 0 4k\0\n", None, "r:0: a zero byte: this is no text"),
                (section, None, "convert: 'r' holds faults and no requests: name a script or "
                                "workload, and this one with --inject"),
                ("write 0 4k\n", "x", "'c': neither a blkdebug configuration nor LazyFS entries"),
                ("write 0 4k\n", "[inject-error]\nerrno = \"5\"\n",
                 "c:1: [inject-error] without an event"),
                ("write 0 4k\n", "[set-state]\nevent = \"l2_load\"\n",
                 "c:1: [set-state] without a new_state"),
                ("write 0 4k\n", section.replace("l2_update", "l3_update"),
                 "c:2: unknown event 'l3_update'"),
                ("write 0 4k\n", section + "errno = \"ENOSPC\"\n",
                 "c:3: errno='ENOSPC': a number up to 4095 is wanted"),
                ("write 0 4k\n", section + "once = \"yes\"\n",
                 "c:3: once='yes': on or off is wanted"),
                ("write 0 4k\n", section + "sector\n",
                 "c:3: 'sector': a section or key = \"value\" is wanted"),
                ("write 0 4k\n", section + "colour = \"red\"\n", "c:3: unknown key 'colour'"),
                ("write 0 4k\n", section + "[suspend]\n", "c:3: unknown section '[suspend]'"),
                ("write 0 4k\n", section * 33, "c:65: more than 32 faults")]:
            self.write("r", script)
            words = ["convert", "r", "o.qio"]
            if config is not None:
                self.write("c", config)
                words += ["--inject", "c"]
            out, err = self.run_program(*words, code=2)
            self.assertEqual((out, err.count("\n")), ("", 1), err)
            self.assertTrue(err.startswith(f"cowtip: {message}"), (err, message))
        _, err = self.run_program("convert", "no", "o.qio", code=2)
        self.assertEqual(err, "cowtip: cannot open 'no': No such file or directory\n")

    def test_faults_that_the_engine_cannot_have_are_named(self):
        self.write("c.txt", "write 0 4k\n")
        self.write("c.conf", '[inject-error]\nevent = "l2_update"\nerrno = "4"\n'
                   '[inject-error]\nevent = "l2_update"\niotype = "discard"\n'
                   '[inject-error]\nevent = "l2_update"\nsector = "7"\nimmediately = "on"\n')
        lines, notes = self.convert("write 0 4k\n", "--inject", "c.conf", name="c.txt")
        self.assertIn("#@ inject l2_update errno=5 sector=7", lines)
        self.assertEqual([note.split(": ", 1)[1] for note in notes[1:]], [
            "[inject-error] at 'l2_update': left out, the engine repeats a call that was "
            "interrupted", "[inject-error] at 'l2_update': left out, the engine makes no such calls",
            "sector 7 is a place in the file: the engine may have something else there than the "
            "program of the report"])


TWO_WRITES = """\
# The second write links a cluster in a table that is there
#@ image size=16k cluster_size=4k backing=pattern lazy_refcounts=on
write -P 0x11 0 4k
flush
write -P 0x22 4k 4k
flush
"""


def entry(**keys):
    """One [[injection]]."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    return "\n".join(["[[injection]]", *lines, ""])


class LazyFs(CommandLine):
    def setUp(self):
        super().setUp()
        self.write("two.qio", TWO_WRITES)

    def run_traced(self, *words):
        return self.run_json("run", "two.qio", *words, "--out", "-".join(["t", *words]))["trace"]

    def check(self, trace, *entries, code=0):
        self.write("l.toml", "[faults]\nfifo_path = \"/tmp/f\" # where\n\n" + "\n".join(entries))
        return self.run_json("check", trace, "--inject", "l.toml", code=code)

    def image(self, trace, *words):
        self.run_program("show", trace, "--image-at", *words, "--output", "image")
        with open(self.path("image"), "rb") as file:
            return file.read()

    def test_a_torn_sequence_shows_a_missing_flush_and_nothing_without_the_bug(self):
        """Every single write that persists, of every sequence."""
        entries = [entry(type="torn-seq", op="write", file="/mnt/root/disk.qcow2", persist=[which],
                         occurrence=group) for group in range(1, 7) for which in range(1, 7)]
        good = self.run_traced()
        found = self.check(good, *entries)
        self.assertEqual(found["violations"], [])
        self.assertGreaterEqual(found["crash_states"], 2)
        self.assertEqual(found["crash_states"],
                         sum(state["left_out"] is None for state in found["injected"]))
        bad = self.run_traced("--bug", "no-data-barrier")
        found = self.check(bad, *entries, code=1)
        rules = {item["rule"] for item in found["violations"]}
        self.assertIn("cow-complete", rules)
        # The state has a name, under which its image can be had; reordered, not in order.
        verdict = found["violations"][0]
        self.assertEqual(verdict["crash"]["model"], "reorder")
        named = [state for state in found["injected"]
                 if state["persist"] and f"(persisted: {state['persist']})" in verdict["message"]]
        self.assertTrue(named, verdict)
        torn = self.image(bad, str(named[0]["image_at"]), "--persist", named[0]["persist"])
        self.assertNotEqual(torn, self.image(bad, str(named[0]["image_at"])))
        swept = self.run_json("sweep", "two.qio", "--bug", "no-data-barrier", "--crash", "reorder",
                              code=1)
        self.assertLessEqual(rules, {item["rule"] for item in swept["violations"]})

    def test_parts_from_the_first_on_are_what_model_torn_leaves(self):
        trace = self.run_traced()
        for sectors in range(1, 9):
            found = self.check(trace, entry(type="torn-op", file="disk.qcow2", occurrence=1,
                                            parts=8, persist=list(range(1, sectors + 1))))
            state, = found["injected"]
            place = f"0+{sectors}" if sectors < 8 else "1"
            self.assertEqual(self.image(trace, "1", "--persist", state["persist"]),
                             self.image(trace, place))
        # Not equal parts, the last ones: the others are as they were, and the file is as long.
        found = self.check(trace, entry(type="torn-op", file="x", occurrence=1,
                                        parts_bytes=[1024, 2560, 512], persist=[3, 2]))
        state, = found["injected"]
        self.assertEqual(state["note"], "'x' is taken for 'disk.qcow2'")
        torn = self.image(trace, "1", "--persist", state["persist"])
        whole = self.image(trace, "1")
        at = next(i for i in range(0, len(whole), 512) if whole[i:i + 512] !=
                  self.image(trace, "0")[i:i + 512].ljust(512, b"\0"))
        self.assertEqual(torn[at:at + 1024], bytes(1024))
        self.assertEqual(torn[at + 1024:], whole[at + 1024:])

    def test_a_cleared_cache_leaves_what_was_flushed(self):
        trace = self.run_traced()
        for op, timing in (("fsync", "before"), ("fsync", "after"), ("write", "before"),
                           ("write", "after")):
            found = self.check(trace, entry(**{"type": "clear-cache", "from": "disk.qcow2",
                                               "timing": timing, "op": op, "occurrence": 1,
                                               "crash": True}))
            state, = found["injected"]
            left = self.image(trace, str(state["image_at"]), "--persist", state["persist"])
            durable = (op, timing) == ("fsync", "after")
            place = str(state["image_at"]) if durable else "0"
            self.assertEqual(left, self.image(trace, place), (op, timing))

    def test_what_does_not_happen_is_named(self):
        trace = self.run_traced()
        good = entry(type="torn-op", file="disk.qcow2", occurrence=1, parts=2, persist=[1])
        for bad, told in [
                (entry(type="torn-op", file="disk.qcow2", occurrence=900, parts=2, persist=[1]),
                 "torn-op: left out, the run has only "),
                (entry(type="torn-op", file="disk.qcow2", occurrence=1, parts_bytes=[7],
                       persist=[1]), "its parts are not the 4096 bytes of that write"),
                (entry(type="clear-cache", op="unlink", occurrence=1, timing="before", crash=True,
                       file="disk.qcow2"), "a trace has no such calls"),
                (entry(type="clear-cache", op="write", occurrence=1, timing="before", crash=False,
                       file="disk.qcow2"), "the program goes on, that is no crash")]:
            self.write("l.toml", good + bad)
            out, err = self.run_program("check", trace, "--inject", "l.toml")
            self.assertIn(f"cowtip: l.toml:{good.count(chr(10)) + 1}: ", err)
            self.assertIn(told, err)
            self.assertIn(", 1 crash states (of LazyFS): nothing wrong\n", out)
            self.write("l.toml", bad)
            _, err = self.run_program("check", trace, "--inject", "l.toml", code=2)
            self.assertEqual(err.count("\n"), 1)
            self.run_program("convert", "two.qio", "o.qio", "--inject", "l.toml")

    def test_what_makes_no_sense_is_one_line_with_its_number(self):
        trace = self.run_traced()
        for text, message in [
                ("[[injection]]\ntype = \"torn\"\n",
                 "l.toml:2: torn: torn-op, torn-seq or clear-cache is wanted"),
                ("[[injection]]\nfile = \"x\"\n", "l.toml:1: [[injection]] without a type"),
                ("[[injection]]\ntype = \"torn-op\"\nfile = \"x\"\noccurrence = 1\n",
                 "l.toml:1: [[injection]] without persist"),
                ("[[injection]]\noccurrence = 0\n", "l.toml:2: 0: a number from 1 on is wanted"),
                ("[[injection]]\npersist = [1,\n2]\n",
                 "l.toml:2: [1,: a list of numbers on one line is wanted"),
                ("[[injection]]\nfile = x\n", "l.toml:2: x: a text in quotes is wanted"),
                ("[[injection]]\ncolour = 1\n", "l.toml:2: colour: unknown key of [[injection]]"),
                ("[faults\n", "l.toml:1: [faults: a table ends with ']'"),
                ("what\n", "l.toml:1: what: a table or key = value is wanted"),
                ("[faults]\nfifo_path = \"x\"\n", "'l.toml' has no [[injection]]"),
                (entry(type="torn-op", file="x", occurrence=1, parts=2, persist=[3]),
                 "l.toml:1: torn-op: persist names a part that there is not"),
                (entry(type="torn-seq", file="x", occurrence=1, op="read", persist=[3]),
                 "l.toml:1: torn-seq wants op = \"write\""),
                ("\0", "l.toml:1: a zero byte: this is no text")]:
            self.write("l.toml", text)
            out, err = self.run_program("check", trace, "--inject", "l.toml", code=2)
            self.assertEqual((out, err.count("\n")), ("", 1), err)
            self.assertTrue(err.startswith(f"cowtip: {message}"), (err, message))


if __name__ == "__main__":
    main()
