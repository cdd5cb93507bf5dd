#!/usr/bin/env python3
# label: story
# timeout: 200
"""containerd's log under kubelet: rotated by renaming to a date, all but the newest old file compressed.  The collector is
killed and stays away over several rotations, three times: what it was reading, and what it never saw, is compressed when
it comes back.  Every line is there once, no gap, and nothing is read again at a last restart."""
from lib import LONG, exact, gaps, main, stage, wait_count, wait_for

TIMES = 12 if LONG else 3
RATE = 3_000


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", 0, "-r", RATE, "-e", "-S", "-R", "rename", "-T", 300, "-k", 900, "-z", "old",
                      "-l", "700:50000")
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())  # what was rotated before is not read
        feed.start()
        for _ in range(TIMES):
            acks = s.server.metric("logq_forward_acks_total")
            wait_for("an ack", lambda: s.server.metric("logq_forward_acks_total") > acks)
            s.collector.kill()
            files = len(feed.files())
            wait_for("four rotations", lambda: len(feed.files()) >= files + 4)
            s.collector.start()
        feed.stop()
        lines = feed.files()[-1]["end"] - 1
        wait_count(s.server, '{container="app"}', lines, 20)
        s.collector.stop()
        starts = s.collector.text().count("ship.connected")
        s.collector.start()
        wait_for("a connection", lambda: s.collector.text().count("ship.connected") > starts)
        s.collector.stop()
        exact(s.server, '{container="app"}', 1, lines + 1)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
