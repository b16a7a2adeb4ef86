# SPDX-License-Identifier: MIT
"""What is installed: the program, its library, manual pages, completions; and the Debian package."""
import glob
import json
import os
import re
import shutil
import subprocess
import sys
import unittest

from program import PROGRAM, CommandLine, main

BUILD = os.path.abspath(sys.argv[2])


def commands():
    """The commands that the program's help names."""
    out = subprocess.run([PROGRAM, "--help"], text=True, check=True, capture_output=True).stdout
    return re.findall(r"^  ([a-z]+) +\S", out.split("cowtip COMMAND --help")[0], re.M), out


class Install(CommandLine):
    def call(self, *arguments, **more):
        done = subprocess.run(arguments, cwd=self.folder, text=True, check=False,
                              capture_output=True, **more)
        self.assertEqual(done.returncode, 0, f"{arguments}\n{done.stdout}\n{done.stderr}")
        return done.stdout

    def works(self, program):
        """A sweep and a recording, far from where the program was built."""
        found = subprocess.run([program, "sweep", "late-child", "--json"], cwd=self.folder,
                               text=True, check=True, capture_output=True).stdout
        self.assertTrue(json.loads(found)["complete"])
        if shutil.which("qemu-img"):
            self.call("qemu-img", "create", "-q", "-f", "qcow2", "d.qcow2", "1M")
            self.call(program, "record", "--", "qemu-img", "snapshot", "-c", "s", "d.qcow2")
            self.assertTrue(glob.glob(self.path("cowtip-out/*.trace.zst")))

    def test_an_installed_program_works(self):
        self.call("cmake", "--install", BUILD, "--prefix", self.path("usr"))
        self.works(self.path("usr/bin/cowtip"))
        pages = [os.path.basename(page) for page in
                 glob.glob(self.path("usr/share/man/man1/*.1"))]
        wanted = ["cowtip.1"] + [f"cowtip-{name}.1" for name in commands()[0]]
        self.assertEqual(sorted(pages), sorted(wanted))

    @unittest.skipUnless(os.geteuid() == 0 and shutil.which("dpkg"), "dpkg needs root")
    def test_a_debian_package_installs(self):
        self.call("cpack", "-G", "DEB", "--config", os.path.join(BUILD, "CPackConfig.cmake"),
                  "-B", self.path("packed"))
        package, = glob.glob(self.path("packed/*.deb"))
        about = self.call("dpkg-deb", "--field", package)
        self.assertRegex(about, r"(?m)^Depends: .*libfiu0")
        root = self.path("root")
        for folder in ("info", "updates", "triggers"):
            os.makedirs(os.path.join(root, "var/lib/dpkg", folder))
        self.write("root/var/lib/dpkg/status", "")
        # Into a root of its own, where what it depends on is not.
        self.call("dpkg", f"--root={root}", "--force-depends", "--install", package)
        self.assertIn("install ok installed", self.call(
            "dpkg", f"--root={root}", "--status", "cowtip"))
        self.works(os.path.join(root, "usr/bin/cowtip"))
        self.call("dpkg", f"--root={root}", "--remove", "cowtip")
        self.assertFalse(os.path.exists(os.path.join(root, "usr/bin/cowtip")))

    def test_help_fits_a_screen(self):
        names, out = commands()
        self.assertGreater(len(names), 10)
        self.assertLessEqual(out.count("\n"), 24)
        for text in [out] + [self.run_program(name, "--help")[0] for name in names]:
            self.assertLessEqual(max(map(len, text.splitlines())), 80, text)

    def test_each_command_has_a_page_with_its_options(self):
        for name in commands()[0]:
            page, _ = self.run_program("manual", name)
            for option in re.findall(r"^  --([a-z-]+)", self.run_program(name, "--help")[0],
                                     re.M):
                self.assertIn(r"\-\-" + option.replace("-", r"\-"), page)
            self.assertIn(".SH EXAMPLES", page)
            if shutil.which("groff"):
                done = subprocess.run(["groff", "-man", "-ww", "-z", "-Tutf8"], input=page,
                                      text=True, check=True, capture_output=True)
                self.assertEqual(done.stderr, "", name)
        self.run_program("manual", "zebra", code=2)

    def test_every_example_of_the_pages_is_a_command_line(self):
        """Options in examples are options; what is behind them is somebody's file."""
        for name in commands()[0]:
            page, _ = self.run_program("manual", name)
            text = page.replace(r"\-", "-")
            for line in re.findall(r"^cowtip ([a-z]+ .*)$", text, re.M):
                command, *words = line.split(" -- ")[0].split("&&")[0].split()
                known, _ = self.run_program(command, "--help")
                for word in words:
                    if word.startswith("--"):
                        self.assertRegex(known, rf"(?m)^  {word}\b", line)

    def complete(self, *words):
        """What bash offers for the last word."""
        script, _ = self.run_program("completion", "bash")
        quoted = " ".join(f"'{word}'" for word in words)
        return self.call("bash", "-c", f"compopt() {{ :; }}\n{script}\nCOMP_WORDS=({quoted})\n"
                         f"COMP_CWORD={len(words) - 1}\n_cowtip\nprintf '%s\\n' "
                         '"${COMPREPLY[@]}"', env={**os.environ, "PATH": os.path.dirname(
                             PROGRAM) + ":" + os.environ["PATH"]}).split()

    def test_bash_completes_commands_options_and_names(self):
        self.assertEqual(self.complete("cowtip", "sw"), ["sweep"])
        self.assertEqual(self.complete("cowtip", "sweep", "--pol"), ["--policy"])
        self.assertEqual(self.complete("cowtip", "sweep", "--policy", "c"), ["cancel"])
        self.assertEqual(self.complete("cowtip", "sweep", "--bug", "no-rw"), ["no-rwlock"])
        self.assertEqual(self.complete("cowtip", "run", "late-c"), ["late-child"])
        self.assertEqual(self.complete("cowtip", "list", "ru"), ["rules"])
        self.assertEqual(self.complete("cowtip", "show", "--pol"), [])

    @unittest.skipUnless(shutil.which("zsh"), "there is no zsh")
    def test_zsh_takes_its_script(self):
        script, _ = self.run_program("completion", "zsh")
        self.call("zsh", "-n", "-c", script)
        self.assertIn("--persist", script)

    def test_rules_are_listed_with_their_pages(self):
        rules = self.run_json("list", "rules", "--long")["rules"]
        out, _ = self.run_program("list", "rules", "--long")
        self.assertEqual(len(rules), len(re.findall(r"(?m)^# ", out)))
        for rule in rules:
            self.assertTrue(rule["page"].startswith(f"# {rule['rule']}\n"))
        self.assertNotIn("page", self.run_json("list", "rules")["rules"][0])


if __name__ == "__main__":
    main()
