#!/usr/bin/env python3
# label: story
# timeout: 120
"""Clocks that jump: lines are stamped years apart and backwards, and while the collector is away rotated files get times of
their last write that say the contrary of their names.  The files are read in the order of their names, every line once."""
import os

from lib import gaps, main, seed, stage, wait_for


def run():
    rnd = seed()
    stamps = ["2001-01-01T00:00:00Z", "2026-11-21T19:14:38Z", "2037-12-31T23:59:59.999999999Z", "1999-06-01T12:00:00Z"]
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        log = s.work / "pods/ns_p_uid-1/c/0.log"
        log.parent.mkdir(parents=True)
        number = 0

        def write(lines):
            nonlocal number
            with open(log, "a") as f:
                for _ in range(lines):
                    f.write(f"{rnd.choice(stamps)} stdout F n={number:010d}\n")
                    number += 1

        write(100)
        s.collector.start()
        wait_for("the first ack", lambda: s.server.metric("logq_forward_acks_total") > 0)
        for life in range(3):
            s.collector.kill()
            for rotation in range(5):
                write(50)
                old = log.with_name(f"0.log.20261121-{life}{rotation:05d}")
                log.rename(old)
                os.utime(old, (10**9, rnd.randrange(10**9, 2 * 10**9)))
                write(50)
            os.utime(log, (0, 0))
            s.collector.start()
            acks = s.server.metric("logq_forward_acks_total")
            wait_for("an ack", lambda: s.server.metric("logq_forward_acks_total") > acks)
        count = 'count_over_time({container="c"}[40y])'
        wait_for("all lines", lambda: sum(v for _, v in s.server.query(f"sum({count})")) >= number, 15)
        s.collector.stop()
        got = [int(e["line"][2:]) for e in s.server.entries('{container="c"}', start=0, end=4 * 10**18)]
        assert len(got) == number and set(got) == set(range(number)), (len(got), number)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
