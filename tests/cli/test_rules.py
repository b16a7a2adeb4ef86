# SPDX-License-Identifier: MIT
"""The pages of the rules, oracle/rules: each says what the program says, and its example is one."""
import glob
import os
import re
import sys

from program import CommandLine, main

FOLDER = os.path.abspath(sys.argv[2])


class Rules(CommandLine):
    def pages(self):
        for path in sorted(glob.glob(os.path.join(FOLDER, "*.md"))):
            with open(path, encoding="utf-8") as file:
                yield os.path.basename(path)[:-3], file.read()

    def test_each_rule_has_a_page_with_its_statement(self):
        out, _ = self.run_program("list", "rules")
        rules = dict(line.split(None, 1) for line in out.splitlines())
        pages = dict(self.pages())
        self.assertEqual(set(pages), set(rules))
        for rule, statement in rules.items():
            self.assertTrue(pages[rule].startswith(f"# {rule}\n\n> {statement}\n"), rule)

    def test_the_examples_are_what_the_program_prints(self):
        checked = 0
        for rule, page in self.pages():
            found = re.search(r"`cowtip (sweep [^`]*)`\n\n    (.*)\n", page)
            if not found:
                continue
            with self.subTest(rule):
                words = found.group(1).split()
                out, _ = self.run_program(*words, "--no-swap", code=1)
                self.assertIn(f"  {found.group(2).removesuffix(' ...')}", out)
                checked += 1
        self.assertGreaterEqual(checked, 11)


if __name__ == "__main__":
    main()
