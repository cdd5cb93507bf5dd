#!/usr/bin/env python3
# label: story
# timeout: 300
"""The collector has 0.08 of a core (with LOGQ_LONG=1 0.3, and five times the lines; a cgroup of version 1 or 2, needs
root; less while that is enough) under a log that is renamed every second, of which three old files are kept: descriptors
hold what it has not come to.  Every line is there once, no gap."""
import contextlib
import os
import pathlib
import time

from lib import LONG, exact, gaps, main, stage, wait_count, wait_for

RATE = 100_000 if LONG else 20_000
LINES = RATE * (60 if LONG else 4)
QUOTA_US = 30_000 if LONG else 8_000  # in each 100 ms


@contextlib.contextmanager
def cpu_share():
    """A new cgroup with that little CPU, and what sets its share."""
    root = pathlib.Path("/sys/fs/cgroup")
    name = f"logq-c013-{os.getpid()}"
    if (root / "cgroup.controllers").exists():
        group = root / name
        if "cpu" not in (root / "cgroup.subtree_control").read_text():
            (root / "cgroup.subtree_control").write_text("+cpu")
        share, form = group / "cpu.max", "{} 100000"
    else:
        group = root / "cpu" / name
        share, form = group / "cpu.cfs_quota_us", "{}"
    group.mkdir()
    try:
        if share.name != "cpu.max":
            (group / "cpu.cfs_period_us").write_text("100000")
        yield group, lambda quota: share.write_text(form.format(quota))
    finally:
        wait_for("the end of all processes in the cgroup", lambda: not (group / "cgroup.procs").read_text())
        group.rmdir()


def throttled(group):
    return int((group / "cpu.stat").read_text().split("nr_throttled ")[1].split()[0])


def starve(group, set_share, feed):
    """Until the feed ends.  How much is enough depends on the build and on what else the machine does, so a share that was
    never used up is halved."""
    quota, last = QUOTA_US, throttled(group)
    while feed.alive():
        time.sleep(0.5)  # the pace of the shares
        now = throttled(group)
        if now == last and quota > 1000:
            quota = max(1000, quota // 2)
            set_share(quota)
        last = now


def run():
    with cpu_share() as (group, set_share), stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        s.collector.argv = ["sh", "-c", 'echo $$ > "$0" && exec "$@"', str(group / "cgroup.procs"), *s.collector.argv]
        feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", LINES, "-r", RATE, "-e", "-S", "-R", "rename", "-T", 1000, "-k", 3, "-l",
                      "1000:40000")
        set_share(QUOTA_US)
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())  # what was rotated before is not read
        feed.start()
        starve(group, set_share, feed)
        feed.wait(120)
        set_share(QUOTA_US)
        begin = time.monotonic()
        wait_count(s.server, '{container="app"}', LINES, 40)
        print(f"all stored {time.monotonic() - begin:.1f} s after the last line")
        print(f"throttled {throttled(group)} times")
        assert throttled(group) > 0, "it was never short of CPU"
        s.collector.stop()
        exact(s.server, '{container="app"}', 1, LINES + 1)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
