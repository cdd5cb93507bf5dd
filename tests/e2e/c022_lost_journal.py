#!/usr/bin/env python3
# label: story
# timeout: 200
"""The journal of positions is damaged, then lost, while the collector is away.  It starts by itself with a new incarnation.
Nothing is lost.  What is stored twice lies in the ranges that `incarnation` records name: after damage no more than what the
journal did not say any more, after a loss the files as they were found."""
import collections

from lib import gaps, main, numbers, stage, wait_count, wait_for

FIRST, SECOND, THIRD = 4_000, 4_000, 2_000
LOG = "pods/ns_pod_uid-1/app/0.log"


def renewals(server):
    found = [e["attributes"] for e in server.entries('{source="logq"}') if "incarnation" in e.get("attributes", {})]
    return [{**f, **{key: int(f[key]) for key in ("start", "end") if key in f}} for f in found]


def lines_of(path, start, end):
    """The numbers of the lines of `path` that end in (start, end]."""
    found, at = set(), 0
    for line in path.read_bytes().splitlines(keepends=True):
        at += len(line)
        if start < at <= end:
            text = line.split(b" ", 3)[3]
            found.add(int(text[2:12]))
    return found


def check_twice(server, path, last, about):
    """Everything up to `last` is there; twice only what the record named."""
    got = numbers(server, '{container="app"}')
    twice = {n for n, times in collections.Counter(got).items() if times > 1}
    assert set(got) == set(range(1, last + 1)), f"{len(set(got))} of {last}"
    named = set()
    for record in about:
        named |= lines_of(path, record["start"], record["end"])
    assert twice <= named, f"{len(twice - named)} twice that no record names"
    return len(twice)


def feed_on(s, first, n):
    feed = s.feed(LOG, "-n", n, "-r", 40_000, "-s", first) if first > 1 else s.feed(LOG, "-n", n, "-r", 40_000)
    feed.start()
    feed.wait(60)
    wait_count(s.server, '{container="app"}', first + n - 1)
    wait_for("every ack", lambda: s.server.metric("logq_forward_acks_total") > 0)


def journal(s):
    return s.collector.dir / "state" / "checkpoint"


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        path = s.work / LOG
        s.collector.start()
        feed_on(s, 1, FIRST)
        s.collector.stop()
        assert renewals(s.server) == []

        bytes_ = bytearray(journal(s).read_bytes())
        bytes_[70] ^= 1  # the first file's record
        journal(s).write_bytes(bytes_)
        s.collector.start(configure=False)
        wait_for("the record", lambda: renewals(s.server))
        feed_on(s, FIRST + 1, SECOND)
        s.collector.stop()
        about = renewals(s.server)
        assert about[0]["cause"] == "journal_damaged" and (journal(s).parent / "checkpoint.bad").exists(), about
        damaged = check_twice(s.server, path, FIRST + SECOND, [r for r in about if r.get("file") == str(path)])

        journal(s).unlink()
        s.collector.start(configure=False)
        wait_for("the record", lambda: [r for r in renewals(s.server) if r["cause"] == "journal_lost"])
        feed_on(s, FIRST + SECOND + 1, THIRD)
        wait_count(s.server, '{container="app"}', 2 * (FIRST + SECOND) + THIRD)
        s.collector.stop()
        about = renewals(s.server)
        lost = [r for r in about if r["cause"] == "journal_lost" and r.get("file") == str(path)]
        assert len(lost) == 1 and lost[0]["start"] == 0, about
        twice = check_twice(s.server, path, FIRST + SECOND + THIRD, [r for r in about if r.get("file") == str(path)])
        print(f"twice: {damaged} after the damage, {twice} after the loss")
        assert twice >= FIRST + SECOND and gaps(s.server) == []
        s.server.stop()


main(run)
