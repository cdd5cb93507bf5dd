#!/usr/bin/env python3
# label: story
# timeout: 400
"""The collector is killed with SIGKILL again and again (12 times, with LOGQ_LONG=1 50 times) while a log grows, is rotated,
mixes two streams and has lines in pieces: at moments from a printed seed; every third time its worker between a plan on the
disk and its first byte on the wire, or between an ack and its note in the journal, and then the whole.  Every line is there
once, and there is no gap."""
import time

from lib import LONG, exact, gaps, main, seed, stage, wait_count, wait_for

KILLS = 50 if LONG else 12
RATE = 4_000
POINTS = ("checkpoint.planned", "checkpoint.acked", "ship.acked")


def run():
    rnd = seed()
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", 0, "-r", RATE, "-e", "-S", "-R", "rename", "-T", 900, "-k", 900,
                      "-l", "400:40000")
        s.collector.start()
        feed.start()
        wait_for("the first ack", lambda: s.server.metric("logq_forward_acks_total") > 0)
        for i in range(KILLS):
            if i % 3 == 2:
                point = rnd.choice(POINTS)
                before = s.collector.text().count("worker.died")
                s.collector.env["LOGQ_FAULT"] = f"{point}:kill:{rnd.randint(1, 8)}"
                s.collector.kill()
                s.collector.start(configure=False)
                wait_for("a dead worker", lambda: s.collector.text().count("worker.died") > before, 60, 0.01)
                s.collector.env["LOGQ_FAULT"] = ""
                print(f"killed at {point}")
            else:
                time.sleep(rnd.uniform(0.02, 0.8))  # a moment of the plan, not a wait for an effect
            s.collector.kill()
            s.collector.start(configure=False)
        feed.stop()
        lines = feed.files()[-1]["end"] - 1
        wait_count(s.server, '{container="app"}', lines)
        s.collector.stop()
        exact(s.server, '{container="app"}', 1, lines + 1)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
