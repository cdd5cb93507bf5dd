#!/usr/bin/env python3
# label: story
"""A program that opened its log without O_APPEND is rotated by copytruncate: after each cut it goes on at its old place, behind
a hole that is longer than any line may be.  The collector is killed in the midst; of a log in CRI's format, whose copy is written
over each time, and of a plain one, whose copies are renamed, each line is there once, whole, and there is no gap.  So it is of a
log that has room: zeros that its program wrote ahead, fills, and gives back at the end."""
import os
import shutil

from lib import exact, gaps, main, stage, stamp, wait_count, wait_for

ROUNDS = 4
LINES = 15_000  # a round: more than a MiB
ROOM = 8 << 20
INPUTS = """\
  - {type: cri, paths: ['@/pods/*/*/*.log']}
  - {type: file, paths: ['@/plain/*.log'], labels: {app: plain}}
  - {type: file, paths: ['@/room/*.log'], labels: {app: room}}
"""
QUERIES = ('{container="app"}', '{app="plain"}', '{app="room"}')


def run():
    with stage(INPUTS, "metrics: {listen: '127.0.0.1:0'}\n") as s:
        paths = [s.work / "pods/ns_pod_uid-1/app/0.log", s.work / "plain/a.log", s.work / "room/b.log"]
        heads = [f"{stamp()} stdout F ", "", ""]
        for path in paths:
            path.parent.mkdir(parents=True)
        logs = [os.open(path, os.O_WRONLY | os.O_CREAT, 0o644) for path in paths]
        os.posix_fallocate(logs[2], 0, ROOM)
        s.collector.start()
        for turn in range(ROUNDS):
            first = 1 + turn * LINES
            for log, head in zip(logs, heads):
                os.write(log, "".join(f"{head}n={n:010d} {'x' * 60}\n" for n in range(first, first + LINES)).encode())
            if turn == 1:
                s.collector.kill()
                s.collector.start(configure=False)
            for query in QUERIES:
                wait_count(s.server, query, first + LINES - 1)
            for n in range(turn, 0, -1):
                os.rename(f"{paths[1]}.{n}", f"{paths[1]}.{n + 1}")
            for path in paths[:2]:
                shutil.copyfile(path, f"{path}.1")
                os.truncate(path, 0)
        for log, head in zip(logs, heads):
            assert os.write(log, f"{head}n={ROUNDS * LINES + 1:010d} {'x' * 60}\n".encode()) > 0
        for path in paths[:2]:
            assert path.stat().st_size > ROUNDS << 20 and path.stat().st_blocks < 64, path.stat()
        for query in QUERIES:
            wait_count(s.server, query, ROUNDS * LINES + 1)
        assert paths[2].stat().st_size == ROOM
        wait_for("no lag", lambda: "\nlogq_collector_lag_bytes 0\n" in s.collector.get("/metrics"))
        os.truncate(paths[2], os.lseek(logs[2], 0, os.SEEK_CUR))
        for log in logs:
            os.close(log)
        s.collector.stop()
        for query in QUERIES:
            exact(s.server, query, 1, ROUNDS * LINES + 2)
            odd = [e for e in s.server.entries(query) if "truncated" in e["attributes"] or "undecoded" in e["attributes"]]
            assert odd == [], odd[:3]
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
