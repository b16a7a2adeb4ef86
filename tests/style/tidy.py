#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""What cowtip's style asks for and no compiler checks: folder arrows, lengths, documented headers.

usage: tidy.py SOURCE_DIR USES        USES: "traces: injector:traces engine:injector,traces ..."
       tidy.py --self-test            plant each fault in a scratch tree and expect it to be found

USES is what the layer() calls in CMake declare: each folder, and the folders that it may include.
Prints "file:line: what is wrong", one line a fault, and exits 1 when there is any.
"""
import os
import pathlib
import re
import sys
import tempfile

COLUMNS_MAX, TAB, FUNCTION_LINES_MAX, FILE_LINES_MAX, PARAMETERS_MAX = 100, 8, 70, 800, 6
FOLDERS = ("engine", "injector", "oracle", "traces", "workloads", "tests", ".ci")
SKIPPED_FOLDERS = {"build", "corpus", "__pycache__"}
C_SUFFIXES = {".c", ".h"}
HASH_SUFFIXES = {".py", ".sh", ".cmake"}
# Put together from halves, so that this file does not find itself.
BANNED_WORDS = re.compile(r"\b(" + "|".join(("TO" + "DO", "FIX" + "ME", "XX" + "X")) + r")\b")
BANNED_CALLS = re.compile(r"\b(strcpy|strcat|sprintf|gets|alloca|atoi)\s*\(")
BARE_OFFSET = re.compile(r"\boffset\b")
INCLUDE = re.compile(r'\s*#\s*include\s+(["<])([^">]+)[">]')
COMMENT_OR_LITERAL = re.compile(
    r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
# A declaration or definition that begins in column 0: "type *name(" up to its parameters.
FUNCTION = re.compile(r"^(?!typedef|return|else|static const)[A-Za-z_][\w\s*()]*?\b(\w+)\(", re.M)
NOT_FUNCTIONS = {"if", "while", "for", "switch", "return", "sizeof", "defined", "__attribute__",
                 "_Static_assert", "START_TEST", "offsetof"}


def blank(match):
    """Spaces in place of a comment or literal: positions and line numbers stay."""
    return re.sub(r"[^\n]", " ", match[0])


def code_only(text):
    """`text` without comments, the insides of literals, and preprocessor lines."""
    text = COMMENT_OR_LITERAL.sub(blank, text)
    return re.sub(r"^[ \t]*#(?:[^\n\\]|\\.|\\\n)*", blank, text, flags=re.M)


def matching(code, start):
    """Index of the parenthesis that closes the one at `start`, or None."""
    depth = 0
    for index in range(start, len(code)):
        depth += {"(": 1, ")": -1}.get(code[index], 0)
        if depth == 0:
            return index
    return None


def count_parameters(inside):
    if inside.strip() in ("", "void"):
        return 0
    depth = commas = 0
    for character in inside:
        depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(character, 0)
        commas += character == "," and depth == 0
    return commas + 1


def functions(code):
    """(line number, name, parameter count) of each function declared or defined at file level."""
    for match in FUNCTION.finditer(code):
        name, opening = match[1], match.end() - 1
        attribute = re.match(r"\s*__attribute__\s*\(\(", code[match.start():])
        if name in NOT_FUNCTIONS and not attribute:
            continue
        if attribute:
            closing = matching(code, code.index("(", match.start()))
            rest = FUNCTION.match(code, closing + 1) if closing else None
            rest = rest or re.compile(r"[\w\s*]*?\b(\w+)\(").match(code, (closing or 0) + 1)
            if not rest:
                continue
            name, opening = rest[1], rest.end() - 1
        closing = matching(code, opening)
        if closing is None or code.count("{", 0, match.start()) != code.count("}", 0, match.start()):
            continue
        tail = code[closing + 1:].lstrip()
        if tail[:1] in ";{" or tail.startswith("__attribute__"):
            line = code.count("\n", 0, match.start()) + 1
            yield line, name, count_parameters(code[opening + 1:closing])


def is_documented(lines, number):
    """Does a doc comment end right above the block of lines that line `number` belongs to?"""
    index = number - 2
    while index >= 0 and lines[index].strip():
        if lines[index].rstrip().endswith("*/"):
            while index >= 0 and "/*" not in lines[index]:
                index -= 1
            return index >= 0 and lines[index].lstrip().startswith("/**")
        index -= 1
    return False


def check_layout(lines, code_lines):
    for number, line in enumerate(lines, 1):
        if len(line.expandtabs(TAB)) > COLUMNS_MAX:
            yield number, f"line has {len(line.expandtabs(TAB))} columns, limit {COLUMNS_MAX}"
    start = None
    for number, line in enumerate(code_lines, 1):
        if line.rstrip() == "{":
            start = number
        elif line.startswith("}") and start:
            if number - start + 1 > FUNCTION_LINES_MAX:
                yield start, f"function has {number - start + 1} lines, limit {FUNCTION_LINES_MAX}"
            start = None


def check_includes(path, layer, lines, uses):
    own = f"{path.parent.as_posix()}/{path.stem}.h"
    first = True
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        kind, target = match[1], match[2]
        if first and path.suffix == ".c" and own in check_includes.headers and target != own:
            yield number, f'the first include must be the file\'s own header, "{own}"'
        first = False
        folder = target.split("/")[0]
        if kind == '"' and layer in uses and folder != layer and folder not in uses[layer]:
            yield number, f"{layer}/ may not include {folder}/"


def check_c(path, layer, text, uses):
    lines = text.split("\n")
    code = code_only(text)
    code_lines = code.split("\n")
    yield from check_layout(lines, code_lines)
    yield from check_includes(path, layer, lines, uses)
    for number, line in enumerate(code_lines, 1):
        call = BANNED_CALLS.search(line)
        if call:
            yield number, f"{call[1]}() is banned"
        if BARE_OFFSET.search(line):
            yield number, "a bare 'offset': say guest_offset or host_offset"
    for number, name, parameters in functions(code):
        if parameters > PARAMETERS_MAX:
            yield number, f"{name}() has {parameters} parameters, limit {PARAMETERS_MAX}"
        if path.suffix == ".h" and not is_documented(lines, number):
            yield number, f"{name}() has no doc comment"


def check(path, layer, text, uses):
    lines = text.split("\n")
    if len(lines) - 1 > FILE_LINES_MAX:
        yield 1, f"file has {len(lines) - 1} lines, limit {FILE_LINES_MAX}"
    for number, line in enumerate(lines, 1):
        word = BANNED_WORDS.search(line)
        if word:
            yield number, f"{word[1]}: finish it or leave it out"
    if path.suffix != ".md":
        licence = lines[1] if lines[0].startswith("#!") and len(lines) > 1 else lines[0]
        if "SPDX-License-Identifier: MIT" not in licence:
            yield 1, "does not begin with the SPDX line"
    if path.suffix in C_SUFFIXES:
        yield from check_c(path, layer, text, uses)


def sources(root):
    """Our own files below `root`, as paths relative to it, in order."""
    found = [pathlib.Path(name) for name in ("CMakeLists.txt", "README.md")]
    for folder in FOLDERS:
        for parent, folders, files in os.walk(root / folder, followlinks=True):
            folders[:] = sorted(set(folders) - SKIPPED_FOLDERS)
            found += [(pathlib.Path(parent) / name).relative_to(root) for name in files]
    suffixes = C_SUFFIXES | HASH_SUFFIXES | {".S", ".md"}
    return sorted(path for path in found if (root / path).is_file() and
                  (path.suffix in suffixes or path.name == "CMakeLists.txt"))


def run(root, uses_text):
    """All faults below `root`, as lines of text."""
    uses = dict(pair.split(":") for pair in uses_text.split())
    uses = {name: set(filter(None, used.split(","))) for name, used in uses.items()}
    paths = sources(root)
    check_includes.headers = {path.as_posix() for path in paths if path.suffix == ".h"}
    faults = []
    for path in paths:
        text = (root / path).read_text(encoding="utf-8", errors="replace")
        faults += [f"{path}:{number}: {message}"
                   for number, message in check(path, path.parts[0], text, uses)]
    return len(paths), faults


SPDX = "// SPDX-License-Identifier: MIT\n"
# name, file, text, the one fault expected; None: there must be none.
PLANTED = [
    ("clean source", "engine/a.c", SPDX + '#include "injector/x.h"\nint f(void)\n{\n\treturn 0;\n}\n', None),
    ("arrow", "oracle/a.c", SPDX + '#include "engine/x.h"\n', "oracle/a.c:2: oracle/ may not include engine/"),
    ("arrow backwards", "traces/a.h", SPDX + '#include "injector/x.h"\n', "may not include injector/"),
    ("long line", "engine/a.c", SPDX + "\t" * 12 + "int x;\n", "line has 102 columns"),
    ("long function", "engine/a.c", SPDX + "void f(void)\n{\n" + "\tg();\n" * 69 + "}\n", "function has 71 lines"),
    ("long enough function", "engine/a.c", SPDX + "void f(void)\n{\n" + "\tg();\n" * 68 + "}\n", None),
    ("long file", "engine/a.c", SPDX + "\n" * 800, "file has 801 lines"),
    ("no licence", "engine/a.c", "int x;\n", "a.c:1: does not begin with the SPDX line"),
    ("no licence, script", "tests/a.py", "#!/bin/sh\nprint()\n", "does not begin with the SPDX line"),
    ("own header late", "traces/own.c", SPDX + '#include <stdio.h>\n#include "traces/own.h"\n', "the first include must be"),
    ("banned word", "engine/a.c", SPDX + "/* TO" + "DO: later */\n", ":2: TO" + "DO"),
    ("banned word, page", "engine/README.md", "FIX" + "ME\n", ":1: FIX" + "ME"),
    ("banned call", "engine/a.c", SPDX + "void f(void)\n{\n\tstrcpy(a, b);\n}\n", ":4: strcpy() is banned"),
    ("call in a comment", "engine/a.c", SPDX + "/* never strcpy(a, b) */\nconst char *s = \"gets(\";\n", None),
    ("bare offset", "engine/a.c", SPDX + "int f(int offset);\n", "a bare 'offset'"),
    ("offset in words", "engine/a.c", SPDX + "/* the offset */\nint host_offset;\n", None),
    ("seven parameters", "engine/a.c", SPDX + "int f(int a, int b, int c, int d,\n      int e, int f, int g)\n{\n}\n", "f() has 7 parameters"),
    ("six with a pointer", "engine/a.c", SPDX + "int f(int a, int (*b)(int, int), int c, int d, int e, int f);\n", None),
    ("undocumented", "engine/a.h", SPDX + "/** Doc. */\nint f(void);\n\nint g(void);\n", ":5: g() has no doc comment"),
    ("plain comment is no doc", "engine/a.h", SPDX + "/* Note. */\nint f(void);\n", ":3: f() has no doc comment"),
    ("undocumented, attribute", "engine/a.h", SPDX + "\nint g(const char *s, ...)\n\t__attribute__((format(printf, 1, 2)));\n", ":3: g() has no doc comment"),
    ("undocumented, prefix", "engine/a.h", SPDX + "\nMUST_USE enum status\ng(int a);\n", "g() has no doc comment"),
    ("documented group", "engine/a.h", SPDX + "/** Doc of\n *  both. */\nint f(void);\nint g(int a,\n      int b);\n", None),
    ("call-backs in a struct", "engine/a.h", SPDX + "struct ops {\n\tint (*f)(int a);\n};\n", None),
]


def self_test():
    failed = 0
    for name, file, text, expected in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            root = pathlib.Path(folder)
            own = root / "traces/own.h"
            own.parent.mkdir()
            own.write_text(SPDX)
            (root / file).parent.mkdir(exist_ok=True)
            (root / file).write_text(text)
            _, faults = run(root, "traces: injector:traces engine:injector,traces oracle:traces")
        right = (not faults) if expected is None else (len(faults) == 1 and expected in faults[0])
        if not right:
            print(f"self-test '{name}': expected {expected!r}, found {faults}")
            failed += 1
    print(f"{len(PLANTED)} planted, {failed} misjudged")
    return 1 if failed else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    if len(arguments) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    count, faults = run(pathlib.Path(arguments[0]), arguments[1])
    for fault in faults:
        print(fault)
    print(f"{count} files, {len(faults)} faults")
    return 1 if faults or not count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
