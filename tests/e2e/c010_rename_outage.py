#!/usr/bin/env python3
# label: story
# timeout: 300
"""The server is away (2 s, with LOGQ_LONG=1 60 s) while containerd's way of rotating renames the log again and again.
Meanwhile the collector is killed and started, with rotations in between: it must find the files again by their names.
What a descriptor or a name holds when the server is back arrives, each line once, long ones in one piece; no gap."""
import time

from lib import LONG, exact, gaps, main, stage, wait_count, wait_for

AWAY = 60 if LONG else 2
RATE = 2_000
LINES = RATE * (AWAY + 4)


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", LINES, "-r", RATE, "-e", "-S", "-R", "rename", "-T", 700, "-k", 200,
                      "-l", "500:40000")
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())  # what was rotated before is not read
        feed.start()
        wait_for("the first ack", lambda: s.server.metric("logq_forward_acks_total") > 0)
        s.server.kill()
        begin = time.monotonic()
        wait_for("a rotation", lambda: len(feed.files()) >= 2)
        s.collector.kill()
        wait_for("more rotations", lambda: len(feed.files()) >= 4)
        s.collector.start(configure=False)
        wait_for("the end of the outage", lambda: time.monotonic() - begin >= AWAY, AWAY + 10)
        s.server.start()
        feed.wait(AWAY + 60)
        wait_count(s.server, '{container="app"}', LINES)
        s.collector.stop()
        exact(s.server, '{container="app"}', 1, LINES + 1)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
