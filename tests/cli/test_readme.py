# SPDX-License-Identifier: MIT
"""What README.md says that commands print is what they print.

usage: test_readme.py PROGRAM README WORKLOADS

A block whose lines begin with "$ " is a session: commands with what they print on stdout. There a
line "..." stands for any lines. `cat FILE` of a file that is not there makes it.
"""
import os
import re
import shutil
import subprocess
import sys

from program import PROGRAM, CommandLine, main

README, WORKLOADS = (os.path.abspath(path) for path in sys.argv[2:4])
# Counts of calls and bytes are those of this version.
QEMU_VERSION = "7.2.22"


def sessions():
    """Every command of README.md, with what it is said to print."""
    with open(README, encoding="utf-8") as file:
        blocks = re.findall(r"^```\n(\$ .*?)^```$", file.read(), re.M | re.S)
    for block in blocks:
        for part in re.split(r"^\$ ", block, flags=re.M)[1:]:
            command, _, printed = part.partition("\n")
            yield command, printed


def pattern(printed):
    return "".join(r"(?:.*\n)*" if line == "...\n" else re.escape(line)
                   for line in printed.splitlines(keepends=True))


def has_qemu():
    if not shutil.which("qemu-img"):
        return False
    done = subprocess.run(["qemu-img", "--version"], check=True, text=True, capture_output=True)
    return QEMU_VERSION in done.stdout


class Readme(CommandLine):
    def test_commands_print_what_is_said(self):
        os.mkdir(self.path("build"))
        os.symlink(PROGRAM, self.path("build/cowtip"))
        os.symlink(WORKLOADS, self.path("workloads"))
        compared = 0
        for command, printed in sessions():
            words = command.split()
            if words[0] == "cat" and not os.path.exists(self.path(words[1])):
                self.write(words[1], printed)
                continue
            if "qemu" in command + printed and not has_qemu():
                continue
            done = subprocess.run(command, shell=True, cwd=self.folder, check=False, text=True,
                                  capture_output=True, stdin=subprocess.DEVNULL)
            self.assertIn(done.returncode, (0, 1), f"{command}\n{done.stderr}")
            self.assertRegex(done.stdout, rf"\A{pattern(printed)}\Z", command)
            compared += 1
        self.assertGreaterEqual(compared, 5)


if __name__ == "__main__":
    main()
