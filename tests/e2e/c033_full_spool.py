#!/usr/bin/env python3
# label: story
# timeout: 300
"""Logs are deleted before they are read, the server being away, and there is no room for them.  First the disk of the state
directory (a tmpfs of 8 MB) is full: the logs stay open, which is said and counted, and once there is room they are packed into
keep/.  Nothing of them is lost.  Then more come than spool.bytes allows: the oldest go, gap records say which bytes, and every
line outside of them is there once.  It waits for the five seconds after which a deleted log is finished, and for retries."""
import random
import shutil
import subprocess

from lib import exact, free_port, gaps, main, run as command, stage, stamp, wait_count, wait_for

LINE = 200  # bytes of each
LINES = 7_500
FIRST, SECOND = 3, 6


def text(first):
    """Lines of one length that pack to a half."""
    dice = random.Random(first)
    for n in range(first, first + LINES):
        head = f"{stamp()} stdout F n={n:010d} "
        yield head + dice.randbytes(LINE // 2).hex()[:LINE - 1 - len(head)] + "\n"


def metric(s, name):
    lines = command(["curl", "-s", f"http://{s.metrics}/metrics"]).stdout.splitlines()
    return sum(float(line.split()[-1]) for line in lines if line.startswith(f"logq_collector_{name} "))


def delete_unread(s, i):
    """A pod lives, logs, and is gone with its log, which the collector holds open."""
    log = s.work / f"pods/ns_p{i}_uid-{i}/app/0.log"
    log.parent.mkdir(parents=True)
    log.write_text("".join(text(i * LINES)))
    wait_for("the log to be followed", lambda: f"file.open file={log} " in s.collector.text())
    shutil.rmtree(log.parent.parent)


def run():
    port = free_port()
    more = f"log_level: debug\nspool: {{bytes: 3500000}}\nchunk: {{bytes: 16KiB, bytes_busy: 16KiB, window: 2}}\nmetrics: {{listen: 127.0.0.1:{port}}}\n"
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n", more=more) as s:
        s.metrics = f"127.0.0.1:{port}"
        state = s.collector.dir / "state"
        state.mkdir()
        command(["mount", "-t", "tmpfs", "-o", "size=8m,mode=700", "tmpfs", state])
        try:
            s.collector.start()
            wait_for("a connection", lambda: "ship.connected" in s.collector.text())
            s.server.kill()
            fill(state / "full")
            for i in range(FIRST - 1):
                delete_unread(s, i)
            wait_for("a copy that fails", lambda: metric(s, "spool_failed_total") > 0)
            assert "spool.failed" in s.collector.text()
            assert metric(s, "spool_bytes") < 1000 and metric(s, "pinned_bytes") >= (FIRST - 1) * LINES * LINE
            (state / "full").unlink()
            delete_unread(s, FIRST - 1)
            wait_for("all to be packed", lambda: metric(s, "files_pinned") <= 0 and s.collector.text().count(" file.kept ") == FIRST, 40)
            s.server.start()
            wait_count(s.server, '{container="app"}', FIRST * LINES)
            wait_for("keep/ to be empty", lambda: metric(s, "spool_bytes") == 0)
            assert gaps(s.server) == []
            s.server.kill()
            for i in range(FIRST, FIRST + SECOND):
                delete_unread(s, i)
            wait_for("them to be within the budget", lambda: metric(s, "spool_dropped_bytes_total") > 0 and
                     metric(s, "files_pinned") == 0, 60)
            assert 0 < metric(s, "spool_bytes") <= 3_500_000
            s.server.start()
            wait_for("keep/ to be empty", lambda: metric(s, "spool_bytes") == 0, 60)
            s.collector.stop()
            gone = set()
            for gap in gaps(s.server):
                assert gap["gap"] == "spool_full", gap
                first = int(gap["file"].split("_p")[1].split("_")[0]) * LINES
                assert gap["start"] % LINE == 0 and gap["end"] == LINES * LINE, gap
                gone |= set(range(first + gap["start"] // LINE, first + LINES))
            assert gone and min(gone) >= FIRST * LINES and len(gone) < (SECOND - 1) * LINES, len(gone)
            exact(s.server, '{container="app"}', 0, (FIRST + SECOND) * LINES, gone)
            s.server.stop()
        finally:
            s.collector.discard()
            subprocess.run(["umount", "-l", state], check=True)


def fill(path):
    with open(path, "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(1 << 12))
        except OSError:
            pass


main(run)
