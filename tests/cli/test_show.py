# SPDX-License-Identifier: MIT
"""Pictures of a run: --html, --svg, --perfetto."""
import json
import os
import re
import unittest
import xml.etree.ElementTree as ElementTree
from html.parser import HTMLParser

import browser
from program import OVERLAP, CommandLine, main

SVG = "{http://www.w3.org/2000/svg}"

# Workload, known bug, crash models, rule; and what the page must show of it.
FINDINGS = [
    ("late-child", "no-rwlock", "prefix,torn", "cow-complete", r"sector 2.*\n?.*zeros"),
    ("snapshot-cow", "l1-no-flush", "prefix,torn,reorder", "refcount-covers", r"persisted: 0x"),
    ("zero-overlap", "zero-no-wait", "prefix,torn", None, r"Guest cluster 0x"),
]


class Tags(HTMLParser):
    """Elements of a page, whether they are closed, and what would need a network."""

    EMPTY = {"meta", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.seen, self.outside = [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href") and not value.startswith("#"):
                self.outside.append(value)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag, f"</{tag}> closes something else"

    def classes(self):
        return [name for _, attributes in self.seen
                for name in (attributes.get("class") or "").split()]


class Pictures(CommandLine):
    def find(self, workload, bug, models, rule):
        """The trace of a violation of `rule`; None: of any."""
        found = self.run_json("sweep", workload, "--bug", bug, "--crash", models, "--out", "t",
                              "--budget", "3000runs", code=1)["violations"]
        traces = [item["trace"] for item in found if item["rule"] == rule or not rule]
        self.assertTrue(traces, found)
        return traces[0]

    def page_of(self, trace, name="page.html"):
        self.run_program("show", trace, "--html", "--output", name)
        with open(self.path(name), encoding="utf-8") as file:
            return file.read()

    def test_a_page_tells_what_is_wrong_and_needs_nothing_else(self):
        for workload, bug, models, rule, wanted in FINDINGS:
            with self.subTest(workload=workload):
                text = self.page_of(self.find(workload, bug, models, rule))
                page = Tags(text)
                self.assertEqual(page.open, [])
                self.assertEqual(page.outside, [])
                self.assertNotRegex(text, r"https?://(?!www\.w3\.org/2000/svg)")
                self.assertRegex(text, wanted)
                self.assertIn("faulty", page.classes())
                self.assertIn("crash", page.classes())
                identities = [attributes["id"] for _, attributes in page.seen
                              if "id" in attributes]
                self.assertEqual(len(identities), len(set(identities)))
                links = {attributes["data-step"] for _, attributes in page.seen
                         if "data-step" in attributes}
                self.assertTrue(links)
                self.assertLessEqual(links, set(identities))

    def test_a_drawing_has_a_lane_for_each_task_and_every_operation(self):
        trace = self.find(*FINDINGS[0][:4])
        events = self.run_json("show", trace)["events"]
        drawing, _ = self.run_program("show", trace, "--svg")
        root = ElementTree.fromstring(drawing)
        lanes = root.findall(f"{SVG}g[@class='lane']")
        self.assertEqual(len(lanes), len({item["actor"] for item in events
                                          if item["kind"] != "choice"}))
        numbers = [text.text for text in root.iter(f"{SVG}text") if (text.text or "").isdigit()]
        self.assertEqual(numbers, [str(i + 1) for i in range(len(numbers))])
        writes = [item for item in events if item["kind"] == "io-effect" and
                  item["op"] != 1 and item["op"] != 3]
        self.assertEqual(len(numbers), len(writes))

    def test_perfetto_gets_slices_that_nest_and_requests_that_end(self):
        trace = self.find(*FINDINGS[0][:4])
        out, _ = self.run_program("show", trace, "--perfetto")
        self.run_program("show", trace, "p.json", "--perfetto")
        with open(self.path("p.json"), encoding="utf-8") as file:
            self.assertEqual(file.read(), out)
        items = json.loads(out)["traceEvents"]
        begun = [item["id"] for item in items if item["ph"] == "b"]
        self.assertEqual(sorted(begun), sorted(item["id"] for item in items if item["ph"] == "e"))
        self.assertGreater(len(begun), 2)
        turns = sorted((item["ts"], item["dur"]) for item in items
                       if item["ph"] == "X" and item.get("cat") == "turn")
        for (start, duration), (following, _) in zip(turns, turns[1:]):
            self.assertLessEqual(start + duration, following)
        self.assertEqual([item["args"]["rule"] for item in items if item["name"] == "crash"],
                         ["cow-complete"])

    def find_standstill(self):
        return self.find("late-grandchild", "fair-rwlock", "prefix", "progress")

    def test_who_waits_for_what_and_who_has_it_is_drawn_and_told(self):
        trace = self.find_standstill()
        waits = [item["text"] for item in self.run_json("show", trace)["events"]
                 if item["kind"] == "wait"]
        held = [text for text in waits if " held by co" in text]
        self.assertGreaterEqual(len(held), 2)
        drawing, _ = self.run_program("show", trace, "--svg")
        root = ElementTree.fromstring(drawing)
        owners = root.findall(f"{SVG}g[@class='owner']")
        self.assertEqual(len(owners), len(held))
        told = sorted(owner.find(f"{SVG}title").text for owner in owners)
        self.assertEqual(told, ["child has queue 'allocation' 2, for which script waits",
                                "write line 7 has mutex 'engine lock' 0, for which child waits"])
        self.assertEqual(len(root.findall(f"{SVG}g[@class='wait']")), len(waits))
        story, _ = self.run_program("show", trace)
        self.assertIn("> child waits for mutex 'engine lock' 0, held by write line 7\n", story)
        page = Tags(self.page_of(trace))
        self.assertEqual(page.open, [])
        self.assertIn("owner", page.classes())

    def test_a_story_fits_on_a_screen_and_marks_what_matters(self):
        for finding in FINDINGS:
            with self.subTest(workload=finding[0]):
                out, _ = self.run_program("show", self.find(*finding[:4]))
                self.assertLessEqual(len(out.splitlines()), 40)
                self.assertEqual(len(re.findall(r"(?m)^> (?!not on disk: )", out)), 3)
                self.assertEqual(len(re.findall(r"(?m)^  => ", out)), 1)
        out, _ = self.run_program("show", self.find(*FINDINGS[0][:4]))
        self.assertRegex(out, r"(?m)^  -- crash: operations 1 to 6 are on disk\n"
                              r"> not on disk: 7\. data of request 3: ")
        out, _ = self.run_program("show", self.find(*FINDINGS[1][:4]))
        self.assertRegex(out, r", but 0x1800 \(the L1 table\) is as it was at first\n")

    def find_long(self):
        """The trace of a run of many tasks with a flush that hurries them."""
        lines = ["#@ image size=1M cluster_size=2k backing=pattern", "#@ policy cancel"]
        for i in range(120):
            lines += [f"aio_write {4096 * i} 512", f"aio_write {4096 * i + 1024} 512"]
            lines += ["flush"] * (i % 10 == 9)
        self.write("long.qio", "\n".join(lines) + "\n")
        return self.run_json("run", "long.qio", "--seed", "1")["trace"]

    def test_the_page_of_a_long_run_is_bounded_and_says_what_is_left_out(self):
        text = self.page_of(self.find_long())
        page = Tags(text)
        self.assertLess(len(text), 2 << 20)
        self.assertEqual(page.classes().count("step"), 1500)
        on_screen, printed = re.findall(r"not drawn: (\d+) earlier moments", text)
        self.assertEqual(int(printed) - int(on_screen), 1500 - 60)
        # Lanes of those who do nothing in the part that is drawn are not there.
        self.assertLess(page.classes().count("lane"), 350)
        identities = [attributes["id"] for _, attributes in page.seen if "id" in attributes]
        self.assertEqual(len(identities), len(set(identities)))

    def test_a_run_without_a_finding_can_be_drawn(self):
        self.write("overlap.qio", OVERLAP)
        trace = self.run_json("run", "overlap.qio")["trace"]
        text = self.page_of(trace)
        self.assertIn("Nothing wrong is recorded", text)
        self.assertNotIn("crash", Tags(text).classes())

    def test_what_cannot_be_is_refused(self):
        self.write("overlap.qio", OVERLAP)
        trace = self.run_json("run", "overlap.qio")["trace"]
        for arguments in (["--html", "--svg"], ["--json", "--perfetto"], ["out.html"],
                          ["--html", "--image-at", "1"], ["--output", "x"]):
            _, err = self.run_program("show", trace, *arguments, code=2)
            self.assertEqual(err.count("\n"), 1, err)
        self.run_program("show", trace, "--html", "--output", "no/such/folder.html", code=2)
        self.assertEqual(sorted(os.listdir(self.folder)), ["cowtip-out", "overlap.qio"])

    @unittest.skipUnless(browser.CHROMIUM, "there is no chromium")
    def test_lanes_keep_their_names_when_they_are_scrolled(self):
        self.page_of(self.find_long())
        with browser.Browser() as page:
            page.open(self.path("page.html"))
            page.evaluate("document.querySelector('.scroll').scrollLeft = 5000")
            where = ("document.querySelector('.names text').getBoundingClientRect().left"
                     " - document.querySelector('.scroll').getBoundingClientRect().left")
            moved = "document.querySelector('.names').getAttribute('transform')"
            for _ in range(100):
                if page.evaluate(moved):
                    break
            self.assertEqual(page.evaluate(moved), "translate(5000 0)")
            self.assertLess(abs(page.evaluate(where) - 8), 4)
            # What is printed is not on the screen.
            self.assertEqual(page.evaluate("getComputedStyle(document.querySelector('.printed'))"
                                           ".display"), "none")
            self.assertEqual(page.complaints(), [])

    @unittest.skipUnless(browser.CHROMIUM, "there is no chromium")
    def test_a_browser_shows_it_and_the_keyboard_moves_through_it(self):
        traces = [self.find(*finding[:4]) for finding in FINDINGS] + [self.find_standstill()]
        with browser.Browser() as page:
            for number, trace in enumerate(traces):
                self.page_of(trace, "page.html")
                for dark in (False, True):
                    page.open(self.path("page.html"), dark=dark)
                    self.look(page, number)

    def look(self, page, number):
        count = page.evaluate("document.querySelectorAll('svg .step').length")
        self.assertGreater(count, 10)
        page.evaluate("document.querySelector('svg .step').focus()")
        visited = []
        for _ in range(count):
            visited.append(page.evaluate("document.activeElement.id"))
            detail = page.evaluate("document.getElementById('detail').textContent")
            self.assertIn(f"event {visited[-1][1:]}: ", detail)
            page.press("ArrowRight", 39)
        self.assertEqual(len(set(visited)), count)
        page.press("Home", 36)
        self.assertEqual(page.evaluate("document.activeElement.id"), visited[0])
        page.press("Tab", 9)
        self.assertEqual(page.evaluate("document.activeElement.id"), visited[1])
        page.evaluate("document.querySelector('ol.story a').click()")
        self.assertRegex(page.evaluate("document.activeElement.id"), r"^e\d+$")
        if page.evaluate("!!document.getElementById('more')"):
            hidden = "getComputedStyle(document.querySelector('li.minor')).display"
            self.assertEqual(page.evaluate(hidden), "none")
            page.evaluate("document.getElementById('more').click()")
            self.assertEqual(page.evaluate(hidden), "list-item")
        # Text stands out from what is behind it, in both themes.
        colours = page.evaluate("['color', 'backgroundColor'].map("
                                "(name) => getComputedStyle(document.body)[name]).join()")
        ink, paper = [sum(map(int, re.findall(r"\d+", part)[:3]))
                      for part in re.findall(r"rgb\([^)]*\)", colours)]
        self.assertGreater(abs(ink - paper), 400)
        self.assertEqual(page.complaints(), [], f"page {number}")


if __name__ == "__main__":
    main()
