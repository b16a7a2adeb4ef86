# SPDX-License-Identifier: MIT
"""`--lax`: violations that only the strict form of old-or-new makes are marked, and left out."""
import struct
import subprocess

from program import OVERLAP, CommandLine, main

MAPPED = """\
# One mapped cluster
#@ image size=8k cluster_size=4k
#@ prepare write -P 0x10 0 4k
flush
"""

REQUEST_INVOKED, IO_EFFECT = 1, 4
WRITE = 2
RESULT, PLACE, LENGTH, ID = 8, 16, 32, 4


def number(value):
    """As traces/README.md has it: seven bits to the byte, the least significant first."""
    out = b""
    while value >= 0x80:
        out += bytes([value & 0x7f | 0x80])
        value >>= 7
    return out + bytes([value])


def record(kind, payload):
    return bytes([kind]) + number(len(payload)) + payload


def event(kind, request, place, data):
    """A request to write `data` begins, or a write of it takes effect."""
    effect = kind == IO_EFFECT
    present = ID | PLACE | LENGTH | (RESULT if effect else 0)
    fields = [request] + ([2 * len(data)] if effect else []) + [place, len(data)]
    return record(9, bytes([kind, WRITE, present]) + b"".join(map(number, fields)) + data)


def stream(image, events, settings=()):
    records = [record(1, b"test"), record(5, number(2) + number(65535) + number(len(image)) +
                                          b"disk.qcow2"),
               record(6, number(0) + number(0) + image)]
    records += [record(3, number(len(key)) + key + value) for key, value in settings]
    records += events
    return b"\x89cowtip\n" + struct.pack("<H", 1) + b"".join(records) + record(
        11, number(len(events)))


class Lax(CommandLine):
    def mixture(self, settings=()):
        """A trace: the guest writes a sector, and half of it reaches the file."""
        self.write("mapped.qio", MAPPED)
        trace = self.run_json("run", "mapped.qio")["trace"]
        self.run_program("show", trace, "--image-at", "0", "--output", "disk.qcow2")
        with open(self.path("disk.qcow2"), "rb") as file:
            image = file.read()
        l1 = struct.unpack_from(">Q", image, 40)[0]
        l2 = struct.unpack_from(">Q", image, l1)[0] & 0x00fffffffffffe00
        host = struct.unpack_from(">Q", image, l2)[0] & 0x00fffffffffffe00
        new = bytes(range(256)) * 2
        events = [event(REQUEST_INVOKED, 1, 0, new),
                  event(IO_EFFECT, 0x100, host, new[:256] + image[host + 256:host + 512])]
        with open(self.path("mixture.trace"), "wb") as file:
            file.write(stream(image, events, settings))
        return "mixture.trace"

    def test_the_strict_form_marks_what_the_lax_one_allows(self):
        found = self.run_json("check", self.mixture(), code=1)
        self.assertEqual([(item["rule"], item["strict_only"]) for item in found["violations"]],
                         [("old-or-new", True)])
        self.assertEqual((found["lax"], found["strict_only_left_out"]), (False, 0))
        out, _ = self.run_program("check", "mixture.trace", code=1)
        self.assertIn("old-or-new (corruption, strict form only), crash after operation 1", out)

    def test_the_lax_form_leaves_it_out_and_says_so(self):
        trace = self.mixture()
        for command in "check", "replay":
            found = self.run_json(command, trace, "--lax")
            self.assertEqual((found["violations"], found["lax"], found["strict_only_left_out"]),
                             ([], True, 1))
        out, _ = self.run_program("check", trace, "--lax")
        self.assertIn("left out by --lax: 1 violation of the strict form of old-or-new only", out)

    def test_a_trace_remembers_the_form(self):
        trace = self.mixture([(b"lax", b"yes")])
        for command in "check", "replay":
            self.assertEqual(self.run_json(command, trace)["strict_only_left_out"], 1)

    def test_sweep_and_run_take_the_form_and_record_it(self):
        self.write("overlap.qio", OVERLAP)
        self.assertIs(self.run_json("sweep", "overlap.qio", "--lax")["lax"], True)
        self.assertIs(self.run_json("sweep", "overlap.qio")["lax"], False)
        found = self.run_json("run", "overlap.qio", "--lax")
        self.assertIs(found["lax"], True)
        self.assertIs(self.run_json("replay", found["trace"])["lax"], True)
        self.assertIn({"key": "lax", "value": "yes"},
                      self.run_json("show", found["trace"])["settings"])

    def marked(self, trace, version, is_strict):
        """The trace as a bare stream of that version, its first finding of the strict form or not."""
        data = subprocess.run(["zstd", "-dcq", self.path(trace)], check=True,
                              capture_output=True).stdout
        out, at, is_done = data[:8] + struct.pack("<H", version), 10, not is_strict
        while at < len(data):
            kind, length, shift, begin = data[at], 0, 0, at
            at += 1
            while True:
                length |= (data[at] & 0x7f) << shift
                shift, at = shift + 7, at + 1
                if data[at - 1] < 0x80:
                    break
            at += length
            out += data[begin:at]
            if kind == 10 and not is_done:
                out, is_done = out + record(12, b""), True
        with open(self.path("marked.trace"), "wb") as file:
            file.write(out)
        return "marked.trace"

    def test_a_trace_remembers_which_form_says_so(self):
        found = self.run_json("sweep", "snapshot-cow", "--bug", "l2-no-flush", "--crash", "reorder",
                              "--no-swap", code=1)
        trace = next(row["trace"] for row in found["violations"] if row["rule"] == "old-or-new")
        for version in 2, 3:
            same = self.marked(trace, version, False)
            self.run_program("replay", same, code=1)
            shown = self.run_json("show", same)["violations"]
            self.assertEqual({row["strict_only"] for row in shown}, {False})
        other = self.marked(trace, 3, True)
        self.assertTrue(self.run_json("show", other)["violations"][0]["strict_only"])
        self.assertIn("strict form only", self.run_program("show", other)[0])
        _, err = self.run_program("replay", other, code=4)
        self.assertIn("the same events, but", err)

    def test_a_checkpoint_is_of_one_form(self):
        self.write("overlap.qio", OVERLAP)
        bound = ["--budget", "2runs", "--out", "t"]
        left = self.run_json("sweep", "overlap.qio", "--lax", *bound, code=3)["checkpoint"]
        self.assertIs(self.run_json("sweep", "--resume", left)["lax"], True)
        left = self.run_json("sweep", "overlap.qio", *bound, code=3)["checkpoint"]
        _, err = self.run_program("sweep", "--resume", left, "--lax", code=2)
        self.assertIn("was written with other settings", err)


if __name__ == "__main__":
    main()
