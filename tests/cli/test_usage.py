# SPDX-License-Identifier: MIT
"""Help, mistakes on the command line, and `list`."""
from program import CommandLine, main


class Usage(CommandLine):
    def test_help_fits_a_screen(self):
        commands = ["sweep", "run", "check", "replay", "show", "list", "bench", "record",
                    "convert", "shrink"]
        for arguments in [["--help"]] + [[command, "--help"] for command in commands]:
            out, err = self.run_program(*arguments)
            self.assertEqual(err, "")
            self.assertLessEqual(len(out.splitlines()), 30, arguments)
            self.assertLessEqual(max(map(len, out.splitlines())), 100, arguments)

    def test_the_version_is_one_line(self):
        self.assertRegex(self.run_program("--version")[0], r"^cowtip \d+\.\d+\.\d+\n$")

    def test_a_mistake_is_one_line_on_stderr_and_exit_status_2(self):
        self.write("w.qio", "#@ image size=8k\nwrte 0 1k\n")
        self.write("good.qio", "#@ image size=8k\nwrite 0 1k\n")
        for arguments, message in [
                ([], "no command (see 'cowtip --help')"),
                (["swep"], "unknown command 'swep' (see 'cowtip --help')"),
                (["shrink"], "usage: cowtip shrink [OPTION]... TRACE"),
                (["worker"], "'worker' is not available in this version"),
                (["sweep", "--colour"],
                 "sweep: no such option: '--colour' (see 'cowtip sweep --help')"),
                (["sweep", "--out"],
                 "sweep: an argument is missing behind '--out' (see 'cowtip sweep --help')"),
                (["sweep", "a", "b"], "usage: cowtip sweep [OPTION]... [WORKLOAD]"),
                (["run"], "usage: cowtip run [OPTION]... WORKLOAD"),
                (["sweep", "--faults", "many"], "--faults 'many': not a number in range"),
                (["sweep", "--budget", "60"],
                 "budget '60': the unit is s, m, h, runs or states, the last two with a whole "
                 "number"),
                (["sweep", "w.qio"], "w.qio:2: unknown command 'wrte'"),
                (["sweep", "none.qio"], "'none.qio' is neither a file nor a shipped workload "
                                        "(see 'cowtip list workloads')"),
                (["sweep", "good.qio", "--policy", "lazy"],
                 "unknown policy 'lazy': eager, delayed or cancel"),
                (["sweep", "good.qio", "--bug", "heisen"],
                 "unknown bug 'heisen' (see 'cowtip list bugs')"),
                (["sweep", "good.qio", "--crash", "reboot"],
                 "unknown crash model in 'reboot': prefix, torn, reorder"),
                (["sweep", "good.qio", "--strategy", "luck"],
                 "unknown strategy 'luck' (see 'cowtip list strategies')"),
                (["sweep", "good.qio", "--points", "some"], "unknown points 'some': io or all"),
                (["run", "good.qio", "--seed", "1", "--schedule", "s1:"],
                 "run: --seed and --schedule exclude each other"),
                (["check", "good.qio"], None),
                (["replay", "nothing.trace.zst"], None),
                (["sweep", "--resume", "none.checkpoint"],
                 "cannot open 'none.checkpoint': No such file or directory"),
                (["sweep", "--resume", "good.qio"], "'good.qio' is no checkpoint of cowtip"),
                (["list", "dreams"],
                 "list: 'dreams' is none of rules, bugs, strategies, workloads, faults, events")]:
            out, err = self.run_program(*arguments, code=2)
            self.assertEqual(out, "", arguments)
            self.assertEqual(err.count("\n"), 1, err)
            if message is not None:
                self.assertEqual(err, f"cowtip: {message}\n")

    def test_list_says_what_there_is(self):
        for subject, member in [("rules", "cow-complete"), ("bugs", "no-rwlock"),
                                ("strategies", "dfs"), ("faults", "posix/io/rw/pwrite"),
                                ("events", "l2_update")]:
            out, _ = self.run_program("list", subject)
            self.assertIn("\n" + member, "\n" + out)
            rows = self.run_json("list", subject)[subject]
            self.assertTrue(all(all(row.values()) for row in rows), rows)
        names = [row["strategy"] for row in self.run_json("list", "strategies")["strategies"]]
        self.assertEqual(names, ["dpor", "dfs", "stateful", "delay", "pos", "pct", "random", "auto"])
        self.assertIn("2012", self.run_program("list", "bugs")[0])
        self.assertTrue(self.run_json("list", "workloads")["workloads"])


if __name__ == "__main__":
    main()
