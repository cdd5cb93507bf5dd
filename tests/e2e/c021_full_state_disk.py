#!/usr/bin/env python3
# label: story
# timeout: 200
"""The disk of the state directory (a tmpfs of 6 MB) has no free block left.  The journal goes on in the room that it has,
through a kill too; lines arrive as before, each once.  Nothing is said to be lost."""
import os
import subprocess

from lib import LONG, exact, gaps, main, run as command, stage, wait_count, wait_for

LINES = 200_000 if LONG else 40_000


def fill(path):
    """Write until there is no room."""
    with open(path, "wb", buffering=0) as out:
        try:
            while True:
                out.write(bytes(1 << 12))
        except OSError:
            pass


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n", more="chunk: {bytes: 4KiB, bytes_busy: 4KiB, delay: 5ms}\n") as s:
        state = s.collector.dir / "state"
        state.mkdir()
        command(["mount", "-t", "tmpfs", "-o", "size=6m,mode=700", "tmpfs", state])
        try:
            s.collector.start()
            feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", LINES, "-r", 10_000, "-e").start()
            wait_for("the first ack", lambda: s.server.metric("logq_forward_acks_total") > 0)
            fill(state / "full")
            assert os.statvfs(state).f_bfree == 0
            acks = s.server.metric("logq_forward_acks_total")
            wait_for("acks on the full disk", lambda: s.server.metric("logq_forward_acks_total") > acks + 200)
            s.collector.kill()
            s.collector.start(configure=False)
            feed.wait(LINES // 10_000 + 60)
            wait_count(s.server, '{container="app"}', LINES)
            assert os.statvfs(state).f_bfree == 0, "the disk was not full all the time"
            s.collector.stop()
            exact(s.server, '{container="app"}', 1, LINES + 1)
            assert gaps(s.server) == []
            s.server.stop()
        finally:
            s.collector.discard()
            subprocess.run(["umount", "-l", state], check=True)


main(run)
