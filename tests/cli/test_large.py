# SPDX-License-Identifier: MIT
"""The certificates of workloads/large: a sweep today must say what the committed one says.

test_large.py PROGRAM FOLDER NAME...: sweep these. COWTIP_LONG_SECONDS bounds each of them; one that
does not come to its end by then must have found nothing wrong, and no more than is certified."""
import json
import os
import sys

from program import CommandLine, main

FOLDER = os.path.abspath(sys.argv[2])
NAMES = sys.argv[3:]
SECONDS = os.environ.get("COWTIP_LONG_SECONDS")

# What does not depend on how a search was split.
SETS = ["strategy", "points", "crash_models", "faults", "symmetry", "classes", "class_checksum",
        "duplicates", "crash_images_distinct", "crash_image_checksum", "final_states",
        "final_state_checksum", "complete"]

COUNTS = ["classes", "crash_images_distinct", "final_states"]


class Large(CommandLine):
    def certified(self, name):
        path = os.path.join(FOLDER, f"{name}.certificate.json")
        with open(path, encoding="utf-8") as file:
            return json.load(file)["certificate"]

    def sweep(self, name, certified):
        arguments = ["sweep", os.path.join(FOLDER, f"{name}.qio"), "--jobs", "2"]
        arguments += ["--symmetry"] if certified["symmetry"] else []
        if not SECONDS:
            return self.run_json(*arguments)
        arguments += ["--budget", f"{SECONDS}s"]
        out, _ = self.run_program(*arguments, "--json", code=(0, 3))
        return json.loads(out)

    def test_what_is_certified_is_found_again(self):
        for name in NAMES:
            with self.subTest(name):
                certified = self.certified(name)
                self.assertTrue(certified["complete"])
                self.assertEqual(certified["swap_test"]["differing"], 0)
                found = self.sweep(name, certified)
                print(f"{name}: {found['classes']} of {certified['classes']} classes")
                self.assertEqual(found["violations"], [])
                if found["complete"]:
                    self.assertEqual({key: found["certificate"][key] for key in SETS},
                                     {key: certified[key] for key in SETS})
                for key in COUNTS:
                    self.assertLessEqual(found["certificate"][key], certified[key])


if __name__ == "__main__":
    main()
