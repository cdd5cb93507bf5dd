#!/usr/bin/env python3
# label: story
# timeout: 300
"""The collector has 0.08 of a core (with LOGQ_LONG=1 0.3, and five times the lines; a cgroup of version 1 or 2, needs
root) under a log that is renamed every second, of which three old files are kept: descriptors hold what it has not come
to.  Every line is there once, no gap."""
import contextlib
import os
import pathlib
import time

from lib import LONG, SLOW, exact, gaps, main, stage, wait_count, wait_for

RATE = 100_000 if LONG else 20_000
LINES = RATE * (60 if LONG else 4)
QUOTA_US = 30_000 if LONG else 8_000  # in each 100 ms


@contextlib.contextmanager
def cpu_share():
    """A new cgroup with that little CPU."""
    root = pathlib.Path("/sys/fs/cgroup")
    name = f"logq-c013-{os.getpid()}"
    if (root / "cgroup.controllers").exists():
        group = root / name
        if "cpu" not in (root / "cgroup.subtree_control").read_text():
            (root / "cgroup.subtree_control").write_text("+cpu")
        group.mkdir()
        (group / "cpu.max").write_text(f"{QUOTA_US} 100000")
    else:
        group = root / "cpu" / name
        group.mkdir()
        (group / "cpu.cfs_period_us").write_text("100000")
        (group / "cpu.cfs_quota_us").write_text(str(QUOTA_US))
    try:
        yield group
    finally:
        wait_for("the end of all processes in the cgroup", lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def run():
    with cpu_share() as group, stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        s.collector.argv = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *s.collector.argv]
        feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", LINES, "-r", RATE, "-e", "-S", "-R", "rename", "-T", 1000, "-k", 3, "-l",
                      "1000:40000")
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())  # what was rotated before is not read
        feed.start()
        feed.wait(120)
        begin = time.monotonic()
        wait_count(s.server, '{container="app"}', LINES, 40)
        print(f"all stored {time.monotonic() - begin:.1f} s after the last line")
        throttled = int((group / "cpu.stat").read_text().split("nr_throttled ")[1].split()[0])
        print(f"throttled {throttled} times")
        assert throttled > 0 or SLOW == 1, "it was never short of CPU"
        s.collector.stop()
        exact(s.server, '{container="app"}', 1, LINES + 1)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
