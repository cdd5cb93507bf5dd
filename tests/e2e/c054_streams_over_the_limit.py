#!/usr/bin/env python3
# label: story
# timeout: 300
"""A tenant has as many streams as storage.max_streams allows, and a new container begins.  What the others write is stored,
in the chunks too that have lines of the new one; only those are refused, and a gap names their file and their bytes.  The same
while collector and server are killed between a plan, an ack and its note: of the others every line is there once; a line of
the new one is there once, or in a gap, and never in both."""
import collections

from lib import gaps, main, seed, stage, stamp, wait_count, wait_for

NOW = stamp()
FILES, LINES, ROUNDS = 12, 40, 6
LINE = len(f"{NOW} stdout F n={0:010d} x\n")


class Writer:
    """Numbered lines of one container."""

    def __init__(self, work, name, first):
        self.path = work / f"pods/ns_{name}_uid-{name}/{name}/0.log"
        self.path.parent.mkdir(parents=True)
        self.name, self.first, self.end = name, first, first

    def write(self, n):
        with open(self.path, "a") as f:
            f.write("".join(f"{NOW} stdout F n={self.end + i:010d} x\n" for i in range(n)))
        self.end += n


def stored(server, w):
    """The numbers that are there of a writer's container, as a list."""
    return [int(e["line"][2:12]) for e in server.entries(f'{{container="{w.name}"}}')]


def refused(server, late):
    """The numbers of `late` that gap records name."""
    found = set()
    for gap in gaps(server):
        assert gap["gap"] == "refused" and gap["file"] == str(late.path), gap
        assert gap["start"] % LINE == 0 and gap["end"] % LINE == 0, gap
        found |= set(range(late.first + gap["start"] // LINE, late.first + gap["end"] // LINE))
    return found


def check(server, old, late):
    """Of the old ones every line is there once; returns what is there of the late one."""
    for w in old:
        got = collections.Counter(stored(server, w))
        assert got == collections.Counter(range(w.first, w.end)), (w.name, len(got), w.end - w.first)
    got = stored(server, late)
    assert len(got) == len(set(got)), f"{late.name}: {len(got) - len(set(got))} stored twice"
    return set(got)


def settled(s, old, late):
    for w in old:
        wait_count(s.server, f'{{container="{w.name}"}}', w.end - w.first)
    everything = set(range(late.first, late.end))
    wait_for("the late one's lines, or gaps of them",
             lambda: refused(s.server, late) | set(stored(s.server, late)) == everything)


def kill_collector(s, point):
    before = s.collector.text().count("worker.died")
    s.collector.env["LOGQ_FAULT"] = f"{point}:kill:1"
    s.collector.start()
    wait_for("a dead worker", lambda: s.collector.text().count("worker.died") > before, 60, 0.01)
    s.collector.env["LOGQ_FAULT"] = ""
    s.collector.kill()
    s.collector.start()


def kill_server(s):
    """Between the fdatasync of a group and its acks."""
    s.server.env["LOGQ_FAULT"] = "wal.synced:kill:1"
    s.server.start()
    s.collector.start()
    s.server.process.wait(60)
    s.server.env["LOGQ_FAULT"] = ""
    s.server.start()


def run():
    rnd = seed()
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n",
               edit=lambda text: text + f"\nstorage:\n  max_streams: {FILES}\n") as s:
        old = [Writer(s.work, f"old{i}", 100_000 * i) for i in range(FILES)]
        for w in old:
            w.write(1)
        s.collector.start()
        wait_count(s.server, '{source="container"}', FILES)
        s.collector.stop()

        late = Writer(s.work, "late", 9_000_000)
        for w in [*old, late]:
            w.write(LINES)
        s.collector.start()
        settled(s, old, late)
        assert check(s.server, old, late) == set()
        assert refused(s.server, late) == set(range(late.first, late.end))
        assert s.server.metric("logq_ingest_max_streams_refused_records_total") == LINES
        s.collector.stop()

        for i in range(ROUNDS):
            for w in rnd.sample([*old, late], FILES + 1):
                w.write(LINES)
            if i % 3 == 2:
                s.server.stop()
                kill_server(s)
            else:
                kill_collector(s, ("ship.acked", "checkpoint.acked")[i % 3])
            settled(s, old, late)
            s.collector.stop()
            there, told = check(s.server, old, late), refused(s.server, late)
            print(f"round {i}: {len(there)} of {late.end - late.first} stored, {len(told)} in gaps, {len(gaps(s.server))} gaps")
            assert not there & told, sorted(there & told)[:10]
        assert there == set(), "the limit is known after a restart"
        s.server.stop()


main(run)
