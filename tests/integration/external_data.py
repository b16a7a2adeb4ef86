# SPDX-License-Identifier: MIT
"""An external data file: stock qemu-io does not order the data that it copies before the entry that points to them.

    external_data.py COWTIP

A write of a part of a cluster is recorded, with both files of the image. `cowtip check` cannot judge that (oracle/README.md,
"Limits"), so the crash states are made here, and `qemu-img` reads them: in the order of the writes each sector is old
or new; with one operation lost that no flush had covered, of either file, it need not be. The same without an external
data file is the control. When nothing shows, the qemu-io of this machine has no such hole, and the test is skipped.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import trace_reader

SKIPPED = 77
CLUSTER, SECTOR, OLD, NEW = 4096, 512, 0x77, 0x11
WRITTEN = 2 * SECTOR  # of the first cluster


def run(folder, *words):
    subprocess.run(words, cwd=folder, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def record(cowtip, folder, is_external):
    """The trace of a write and a flush; both files of the image are in it, if there are two."""
    words = ["-o", f"cluster_size={CLUSTER}" + (",data_file=disk.raw" if is_external else "")]
    with open(os.path.join(folder, "base.raw"), "wb") as file:
        file.write(bytes([OLD]) * 16 * CLUSTER)
    run(folder, "qemu-img", "create", "-q", "-f", "qcow2", *words, "-b", "base.raw", "-F", "raw", "disk.qcow2")
    images = ["--image", "disk.qcow2"] + (["--image", "disk.raw"] if is_external else [])
    run(folder, cowtip, "record", *images, "--out", "out", "--", "qemu-io", "-t", "writeback", "-f", "qcow2",
        "-c", f"write -q -P {NEW} 0 {WRITTEN}", "-c", "flush", "disk.qcow2")
    traces = os.listdir(os.path.join(folder, "out"))
    assert len(traces) == 1, traces
    return trace_reader.Trace(os.path.join(folder, "out", traces[0]))


def is_old_or_new(folder, trace, contents):
    """What a guest reads of the first cluster in a crash state."""
    for path, content in zip(trace.paths, contents):
        with open(os.path.join(folder, os.path.basename(path)), "wb") as file:
            file.write(content)
    run(folder, "qemu-img", "convert", "-f", "qcow2", "-O", "raw", "disk.qcow2", "guest.raw")
    with open(os.path.join(folder, "guest.raw"), "rb") as file:
        cluster = file.read(CLUSTER)
    for at in range(0, CLUSTER, SECTOR):
        allowed = [OLD, NEW] if at < WRITTEN else [OLD]
        if cluster[at:at + SECTOR] not in [bytes([value]) * SECTOR for value in allowed]:
            return False
    return True


def lost_file(trace, name):
    """The file whose operation is lost in a state."""
    number = int(name.split(" without ")[1])
    return [os.path.basename(trace.paths[event.file]) for event in trace.operations() if event.id == number][0]


def wrong_states(cowtip, is_external):
    """Names of the crash states that are neither old nor new: in order or torn, and with one operation lost."""
    with tempfile.TemporaryDirectory(prefix="cowtip-external-") as folder:
        trace = record(cowtip, folder, is_external)
        wrong = []
        for states in (list(trace.states(True)), list(trace.one_lost())):
            assert states
            wrong.append([name for name, contents in states if not is_old_or_new(folder, trace, contents)])
        assert all(lost_file(trace, name) == "disk.raw" for name in wrong[1]), wrong
    return wrong


def main():
    if not all(shutil.which(tool) for tool in ("qemu-io", "qemu-img", "zstd")):
        print("skipped: qemu-io, qemu-img or zstd is not installed")
        return SKIPPED
    cowtip = os.path.abspath(sys.argv[1])
    in_order, lost = wrong_states(cowtip, False)
    print(f"one file: wrong in order {in_order}, with one lost {lost}")
    assert not in_order and not lost
    in_order, lost = wrong_states(cowtip, True)
    print(f"external data file: wrong in order {in_order}, with one lost {lost}")
    assert not in_order
    if lost:
        return 0
    print("skipped: the qemu-io of this machine orders the data before the entry")
    return SKIPPED


if __name__ == "__main__":
    sys.exit(main())
