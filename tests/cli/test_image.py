# SPDX-License-Identifier: MIT
"""A bare image: judged as it is, and what is left in it."""
import os
import random
import shutil
import struct
import subprocess
import unittest

from program import CommandLine, main

CLUSTER = 0x10000


@unittest.skipUnless(shutil.which("qemu-img"), "there is no qemu-img")
class Image(CommandLine):
    def setUp(self):
        super().setUp()
        self.qemu("qemu-img", "create", "-q", "-f", "qcow2", "a.qcow2", "1M")
        self.qemu("qemu-io", "-c", "write -q -P 1 0 64k", "-c", "write -q -P 2 128k 64k",
                  "-c", "write -q -P 3 192k 64k", "a.qcow2")
        with open(self.path("a.qcow2"), "rb") as file:
            self.image = bytearray(file.read())
        self.l1 = struct.unpack_from(">Q", self.image, 40)[0]
        self.l2 = self.word(self.l1) & 0x00fffffffffffe00
        self.data = [self.word(self.l2 + 8 * i) & 0x00fffffffffffe00 for i in (0, 2, 3)]

    def qemu(self, *arguments):
        subprocess.run(arguments, cwd=self.folder, check=True, capture_output=True)

    def word(self, at):
        return struct.unpack_from(">Q", self.image, at)[0]

    def check(self, code, **words):
        """The image with these words at these places ("x0x40010" is host 0x40010)."""
        image = bytearray(self.image)
        for place, value in words.items():
            struct.pack_into(">Q", image, int(place[1:], 16), value)
        with open(self.path("b.qcow2"), "wb") as file:
            file.write(image)
        return self.run_json("check", "b.qcow2", code=code)

    def rules(self, found):
        return {item["rule"] for item in found["violations"]}

    def test_a_good_image_is_clean(self):
        found = self.check(0)
        self.assertEqual((found["survey"]["mapped"], found["survey"]["lost"]), (3, 0))
        self.assertEqual(found["survey"]["clusters"], [])
        out, _ = self.run_program("check", "a.qcow2")
        self.assertIn("a.qcow2: a qcow2 image: nothing wrong", out)

    def test_two_entries_for_a_cluster_lose_both_and_leave_an_orphan(self):
        found = self.check(1, **{f"x{self.l2 + 16:#x}": 1 << 63 | self.data[0]})
        self.assertEqual(self.rules(found), {"no-alias", "refcount-covers"})
        survey = found["survey"]
        self.assertEqual(survey["lost"], 2)
        self.assertEqual([item["guest_offset"] for item in survey["lost_ranges"]],
                         [0, 2 * CLUSTER])
        self.assertEqual(survey["leaked"], 1)
        self.assertIn((self.data[1], "data"),
                      [(item["host_offset"], item["holds"]) for item in survey["clusters"]])

    def test_a_lost_table_is_recognised_by_its_looks(self):
        found = self.check(0, **{f"x{self.l1:#x}": 0})
        survey = found["survey"]
        self.assertEqual((survey["mapped"], survey["leaked"]), (0, 4))
        out, _ = self.run_program("check", "b.qcow2")
        self.assertIn("b.qcow2: a qcow2 image: nothing wrong, but for leaked clusters\n", out)
        looks = {item["host_offset"]: item["holds"] for item in survey["clusters"]}
        self.assertEqual(looks[self.l2], "a table of L1 or L2 entries")
        self.assertEqual({looks[at] for at in self.data}, {"data"})

    def test_an_entry_beyond_the_end_is_lost_with_its_reason(self):
        found = self.check(1, **{f"x{self.l2 + 24:#x}": 1 << 63 | 0x7f0000})
        lost, = found["survey"]["lost_ranges"]
        self.assertEqual((lost["guest_offset"], lost["length"]), (3 * CLUSTER, CLUSTER))
        self.assertIn("beyond the end", lost["why"])

    def test_a_copy_is_told_from_other_data(self):
        self.qemu("qemu-io", "-c", "write -q -P 1 512k 64k", "a.qcow2")
        with open(self.path("a.qcow2"), "rb") as file:
            self.image = bytearray(file.read())
        entry = self.l2 + 8 * 8
        copy = self.word(entry) & 0x00fffffffffffe00
        found = self.check(0, **{f"x{entry:#x}": 0})
        self.assertIn((copy, "a copy of a guest cluster", 0),
                      [(item["host_offset"], item["holds"], item["copy_of_guest_offset"])
                       for item in found["survey"]["clusters"]])

    def test_compressed_clusters_and_snapshots_are_no_orphans(self):
        self.qemu("qemu-io", "-c", "write -q -c -P 7 512k 64k", "a.qcow2")
        self.qemu("qemu-img", "snapshot", "-c", "s", "a.qcow2")
        self.qemu("qemu-io", "-c", "write -q -P 9 0 64k", "a.qcow2")
        found = self.run_json("check", "a.qcow2")
        self.assertEqual((found["survey"]["clusters"], found["survey"]["lost"]), ([], 0))

    def test_whatever_the_bytes_are_it_ends_with_a_verdict(self):
        lines = random.Random(7)
        for _ in range(60):
            image = bytearray(self.image)
            for _ in range(lines.randrange(1, 6)):
                at = lines.choice([lines.randrange(8, 112), self.l1, self.l2 +
                                   8 * lines.randrange(16), lines.randrange(len(image) - 8)])
                struct.pack_into(">Q", image, at, lines.choice(
                    [0, lines.getrandbits(64), 1 << 63 | lines.randrange(64) * CLUSTER]))
            with open(self.path("b.qcow2"), "wb") as file:
                file.write(image[:lines.choice([len(image), lines.randrange(104, len(image))])])
            out, err = self.run_program("check", "b.qcow2", code=(0, 1, 2))
            self.assertTrue(out or err.startswith("cowtip: "), err)

    def test_others_refuse_an_image_and_say_why(self):
        for arguments in (["show", "a.qcow2"], ["convert", "a.qcow2", "x.dmlog"]):
            _, err = self.run_program(*arguments, code=2)
            self.assertIn("is a qcow2 image: only 'check' takes one", err)
        self.assertFalse(os.path.exists(self.path("x.dmlog")))


if __name__ == "__main__":
    main()
