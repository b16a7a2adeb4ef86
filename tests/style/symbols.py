#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Which library functions a layer may call, looked up in its compiled objects with nm.

usage: symbols.py NM FOLDER=LIBRARY...       e.g. symbols.py nm engine=build/engine/libengine.a
       symbols.py --self-test NM AR CC       plant each fault in a scratch library

Engine and oracle meet the outside world only through what the injector defines: no clock, no
randomness, no threads, no environment. The oracle opens no files at all; the engine has one object
that does, engine/qcow2/file.c. The encoder of traces runs inside foreign programs: it allocates
nothing and takes no locks.

With link-time optimisation nm does not list functions that the compiler knows by heart (malloc and
the like); builds without it do.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

CHANCE = (r"time|times|clock|gettimeofday|clock_\w+|timespec_get|nanosleep|usleep|sleep|"
          r"s?rand|rand_r|s?random|random_r|[dlm]rand48|getrandom|getentropy|arc4random\w*|"
          r"pthread_\w+|thrd_\w+|mtx_\w+|cnd_\w+|fork|vfork|system|popen|getpid|"
          r"getenv|secure_getenv|setenv|putenv|setlocale")
FILES = (r"open(at)?(64)?|creat(64)?|close|p?readv?(64)?(v2|64v2)?|p?writev?(64)?(v2|64v2)?|"
         r"lseek(64)?|fsync|fdatasync|sync_file_range|fallocate(64)?|posix_fallocate(64)?|"
         r"f?truncate(64)?|copy_file_range|sendfile(64)?|unlink(at)?|rename(at2?)?|mkdir(at)?|"
         r"f?stat(64)?|lstat(64)?|socket|connect|__open(64)?_2|__p?read(64)?_chk")
STREAMS = r"fopen(64)?|fdopen|freopen(64)?|tmpfile(64)?|mkstemp\w*|opendir|readdir(64)?"
MEMORY = r"malloc|calloc|realloc|free|posix_memalign|aligned_alloc|strdup|v?asprintf|mmap(64)?"

# folder -> (functions, the objects that may call them or None, the only objects looked at or None)
RULES = {
    "engine": [(CHANCE, None, None), (STREAMS, None, None), (FILES, {"file.c.o"}, None)],
    "oracle": [(CHANCE, None, None), (STREAMS, None, None), (FILES, None, None)],
    "traces": [(CHANCE, None, None),
               (MEMORY + "|" + FILES + "|" + STREAMS, None, {"trace_stream.c.o"})],
}


def undefined_symbols(nm, library):
    """(object, symbol) of each symbol that the library's objects leave to others. Nothing when nm
    cannot read the library: the caller takes that for a fault."""
    listing = subprocess.run([nm, "-A", "--undefined-only", library], check=False,
                             capture_output=True, text=True)
    for line in listing.stdout.splitlines():
        match = re.match(r".*?:([^:]+):\s+[0-9a-f]*\s*[Uw]\s+([^@\s]+)", line)
        if match:
            yield match[1], match[2]


def check(nm, folder, library):
    """Faults in one library, as lines of text, and how many symbols were looked at."""
    symbols = sorted(set(undefined_symbols(nm, library)))
    faults = []
    for pattern, allowed, only in RULES[folder]:
        for member, symbol in symbols:
            if allowed and member in allowed or only and member not in only:
                continue
            if re.fullmatch(pattern, symbol):
                faults.append(f"{folder}: {member} calls {symbol}()")
    return faults, len(symbols)


def run(nm, pairs):
    failed = 0
    for folder, library in (pair.split("=", 1) for pair in pairs):
        faults, count = check(nm, folder, library)
        if not count:
            faults.append(f"{folder}: nm finds no symbols in {library}, nothing was checked")
        for fault in faults:
            print(fault)
        failed += len(faults)
    print(f"{len(pairs)} libraries, {failed} faults")
    return 1 if failed or not pairs else 0


# folder, source file, function called, the object named in the one fault expected or None
PLANTED = [
    ("engine", "cow.c", "time", "cow.c.o"),
    ("engine", "cow.c", "pthread_create", "cow.c.o"),
    ("engine", "cow.c", "pwrite64", "cow.c.o"),
    ("engine", "cow.c", "fdatasync", "cow.c.o"),
    ("engine", "file.c", "pwrite64", None),
    ("engine", "file.c", "getrandom", "file.c.o"),
    ("engine", "cow.c", "time_of_day", None),
    ("engine", "cow.c", "malloc", None),
    ("oracle", "file.c", "open", "file.c.o"),
    ("oracle", "rule.c", "rand", "rule.c.o"),
    ("oracle", "rule.c", "fopen", "rule.c.o"),
    ("oracle", "rule.c", "malloc", None),
    ("traces", "trace_stream.c", "malloc", "trace_stream.c.o"),
    ("traces", "trace_file.c", "malloc", None),
]


def build(archiver, compiler, folder, name, function):
    """A library with one object that calls `function`."""
    source, member, library = folder / name, folder / (name + ".o"), folder / "libplanted.a"
    source.write_text(f"void {function}(void);\nvoid planted(void);\n"
                      f"void planted(void)\n{{\n\t{function}();\n}}\n")
    subprocess.run([compiler, "-fno-builtin", "-c", source, "-o", member], check=True)
    subprocess.run([archiver, "rcs", library, member], check=True)
    return library


def self_test(nm, archiver, compiler):
    failed = 0
    for layer, name, function, expected in PLANTED:
        with tempfile.TemporaryDirectory() as folder:
            library = build(archiver, compiler, pathlib.Path(folder), name, function)
            faults, _ = check(nm, layer, library)
        wanted = [f"{layer}: {expected} calls {function}()"] if expected else []
        if faults != wanted:
            print(f"self-test {layer}/{name} {function}(): expected {wanted}, found {faults}")
            failed += 1
    print(f"{len(PLANTED)} planted, {failed} misjudged")
    return 1 if failed else 0


def main(arguments):
    if len(arguments) == 4 and arguments[0] == "--self-test":
        return self_test(*arguments[1:])
    if len(arguments) < 2:
        print(__doc__, file=sys.stderr)
        return 2
    return run(arguments[0], arguments[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
