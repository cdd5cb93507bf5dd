#!/usr/bin/env python3
# label: story
# timeout: 300
"""Containers of ten lines each (200, 1,000 with LOGQ_LONG=1), twenty started at once; each is deleted with its logs half a
second after its last line, while the server is away for a part of the time.  All lines are there once: a file is opened
within 250 ms of its first line, and then its descriptor holds it."""
import shutil
import time

from lib import LONG, SLOW, exact, gaps, main, stage, stamp, wait_count, wait_for

CONTAINERS, AT_ONCE, LINES = 1_000 if LONG else 200, 20, 10
LIFE = 0.5 * SLOW


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        (s.work / "pods").mkdir()
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())
        alive = []
        for first in range(0, CONTAINERS, AT_ONCE):
            if first == CONTAINERS // 5:
                s.server.kill()
            if first == CONTAINERS // 5 * 3:
                s.server.start()
            for i in range(first, first + AT_ONCE):
                pod = s.work / "pods" / f"ns_p{i}_uid-{i}"
                (pod / "c").mkdir(parents=True)
                with open(pod / "c" / "0.log", "w") as f:
                    for k in range(LINES):
                        f.write(f"{stamp()} stdout F n={i * LINES + k:010d}\n")
                alive.append((time.monotonic() + LIFE, pod))
            time.sleep(max(0.0, alive[0][0] - time.monotonic()) if len(alive) > 5 * AT_ONCE else 0.05)  # the pace of the story
            while alive and alive[0][0] <= time.monotonic():
                shutil.rmtree(alive.pop(0)[1])
        for end, pod in alive:
            time.sleep(max(0.0, end - time.monotonic()))
            shutil.rmtree(pod)
        wait_count(s.server, '{container="c"}', CONTAINERS * LINES, 20)
        s.collector.stop()
        exact(s.server, '{container="c"}', 0, CONTAINERS * LINES)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
