#!/usr/bin/env python3
# label: story
# timeout: 200
"""The server is away, a log grows beyond what may be in flight, the collector is killed, and the log is deleted with its
container.  What was planned and not acknowledged, and what was only seen, is gone: gap records say so, of exactly these bytes,
and every line outside of them is there once."""
import shutil
import struct

from lib import exact, gaps, main, stage, wait_count, wait_for

FIRST, SECOND = 2_000, 4_000
PLAN, ACK, SEEN = 3, 4, 7
LOG = "pods/ns_pod_uid-1/app/0.log"


def records(s, kind):
    """Two numbers of each record of a kind in the journal (docs/formats/checkpoint.md)."""
    journal = (s.collector.dir / "state" / "checkpoint").read_bytes()
    return [struct.unpack_from("<QQ", journal, at + 8) for at in range(64, len(journal), 64) if journal[at + 4] == kind]


def all_acked(s):
    return {plan[0] for plan in records(s, PLAN)} <= {ack[0] for ack in records(s, ACK)}


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n", more="chunk: {bytes: 16KiB, bytes_busy: 16KiB, window: 3}\n") as s:
        path = s.work / LOG
        s.collector.start()
        s.feed(LOG, "-n", FIRST, "-r", 0).start().wait()
        wait_count(s.server, '{container="app"}', FIRST)
        wait_for("every ack in the journal", lambda: all_acked(s))
        kept = path.stat().st_size
        s.server.kill()
        s.feed(LOG, "-s", FIRST + 1, "-n", SECOND, "-r", 0).start().wait()
        size = path.stat().st_size
        wait_for("a note of its size", lambda: size in [seen[1] for seen in records(s, SEEN)])
        s.collector.kill()
        shutil.rmtree(path.parent.parent)
        s.server.start()
        s.collector.start(configure=False)
        wait_for("the gap records", lambda: sum(gap["bytes"] for gap in gaps(s.server)) >= size - kept)
        s.collector.stop()
        found = sorted((gap["start"], gap["end"], gap["gap"], gap["file"]) for gap in gaps(s.server))
        print(found)
        assert found[0][0] == kept and found[-1][1] == size, (kept, size)
        assert all(a[1] == b[0] for a, b in zip(found, found[1:])), "they do not follow each other"
        assert all(gap[2:] == ("file_gone", str(path)) for gap in found)
        exact(s.server, '{container="app"}', 1, FIRST + 1)
        s.server.stop()


main(run)
