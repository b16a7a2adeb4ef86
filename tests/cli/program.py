# SPDX-License-Identifier: MIT
"""Running the program under test: shared by the tests of the command line."""
import json
import os
import subprocess
import sys
import tempfile
import unittest

PROGRAM = os.path.abspath(sys.argv[1])

OVERLAP = """\
# Two writes into one new cluster
#@ image size=8k cluster_size=4k backing=pattern
aio_write -P 0x11 0 1k
aio_write -P 0x22 1k 1k
aio_flush
flush
"""

# With the known bug `no-restore` a child whose write fails leaves a hole in its parent's cluster.
BROKEN = """\
# The second write takes over the tail of the first one's copy, and fails
#@ image size=8k cluster_size=4k backing=pattern
#@ policy cancel
#@ faults 1 posix/io/rw/pwrite*
#@ bug no-restore
write -P 0x11 0 1k
aio_write -P 0x22 1k 1k
aio_flush
flush
"""


class CommandLine(unittest.TestCase):
    """A test in a folder of its own."""

    maxDiff = None

    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="cowtip-cli-")
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def path(self, name):
        return os.path.join(self.folder, name)

    def write(self, name, text):
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return name

    def run_program(self, *arguments, code=0):
        """Run it; the exit status must be `code`, or one of a tuple. Returns stdout and stderr."""
        done = subprocess.run([PROGRAM, *arguments], cwd=self.folder, text=True, check=False,
                              capture_output=True, stdin=subprocess.DEVNULL)
        codes = code if isinstance(code, tuple) else (code,)
        self.assertIn(done.returncode, codes, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout, done.stderr

    def run_json(self, *arguments, code=0):
        return json.loads(self.run_program(*arguments, "--json", code=code)[0])


def main():
    unittest.main(argv=sys.argv[:1])
