#!/usr/bin/env python3
# label: story
# timeout: 200
"""A copy of the state directory is made, the collector goes on, then the copy is put back.  The old journal knows less than
the server: of a file that it has, and of files that came later, with numbers that it will draw again.  Nothing is lost.  Of
the file that it has no line is stored twice but in the ranges that `maybe_twice` records name.  The server says that it knows
higher numbers: then records name the files that the journal does not know, for they may have been stored before.  A file that
is opened after that gets a number that nobody had."""
import collections
import shutil

from lib import gaps, main, numbers, stage, wait_count, wait_for

LOG = "pods/ns_pod_uid-1/app/0.log"
FIRST, SECOND, THIRD = 3_000, 3_000, 3_000


def write(s, first, n, rate=8_000):
    s.feed(LOG, "-s", first, "-n", n, "-r", rate).start().wait(60)


def short(s, name, first):
    """A container that says ten lines of one length."""
    s.feed(f"pods/ns_{name}_uid-9/short/0.log", "-s", first, "-n", 10).start().wait(60)


def told(server):
    found = [e["attributes"] for e in server.entries('{source="logq"}') if "maybe_twice" in e.get("attributes", {})]
    return [{**f, "start": int(f["start"]), "end": int(f["end"])} for f in found]


def forgotten(server):
    """Paths of files that the collector says may be stored under ids that it has forgotten."""
    found = [e["attributes"] for e in server.entries('{source="logq"}') if "incarnation" in e.get("attributes", {})]
    assert all(f["cause"] == "journal_old" for f in found), found
    return {f["file"] for f in found if "file" in f}


def opened_before(s):
    """The new files that were open when the collector heard that its journal is old."""
    opened = s.collector.text().rsplit("privileges.dropped", 1)[1].split("checkpoint.old", 1)[0]
    return {path for path in after(s) if f"file.open file={path} " in opened}


def after(s):
    return [f"{s.work}/pods/ns_after-{i}_uid-9/short/0.log" for i in range(5)]


def lines_of(path, start, end):
    """The numbers of the lines of `path` that end in (start, end]."""
    found, at = set(), 0
    for line in path.read_bytes().splitlines(keepends=True):
        at += len(line)
        if start < at <= end:
            found.add(int(line.split(b" ", 3)[3][2:12]))
    return found


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n", "log_level: debug\n") as s:
        state, copy = s.collector.dir / "state", s.work / "copy"
        s.collector.start()
        write(s, 1, FIRST)
        wait_count(s.server, '{container="app"}', FIRST)
        s.collector.stop()
        shutil.copytree(state, copy)

        s.collector.start(configure=False)
        write(s, FIRST + 1, SECOND)
        for i in range(5):
            short(s, f"before-{i}", 1 + 10 * i)
        wait_count(s.server, '{container="app"}', FIRST + SECOND)
        wait_count(s.server, '{container="short"}', 50)
        s.collector.stop()

        for i in range(5):
            shutil.rmtree(s.work / f"pods/ns_before-{i}_uid-9")
        shutil.rmtree(state)
        shutil.copytree(copy, state)
        for i in range(5):
            short(s, f"after-{i}", 51 + 10 * i)
        write(s, FIRST + SECOND + 1, THIRD, 0)
        s.collector.start(configure=False)
        wait_count(s.server, '{container="app"}', FIRST + SECOND + THIRD)
        wait_count(s.server, '{container="short"}', 100)
        wait_for("what may be twice", lambda: told(s.server))
        wait_for("that the journal is old", lambda: "checkpoint.old" in s.collector.text())
        wait_for("what may be stored under other ids", lambda: opened_before(s) <= forgotten(s.server))
        s.collector.stop()
        assert opened_before(s), "none was open"
        assert str(s.work / LOG) not in forgotten(s.server)

        assert sorted(numbers(s.server, '{container="short"}')) == list(range(1, 101))
        got = collections.Counter(numbers(s.server, '{container="app"}'))
        assert set(got) == set(range(1, FIRST + SECOND + THIRD + 1)), f"{len(got)} of {FIRST + SECOND + THIRD}"
        named = set()
        for part in told(s.server):
            named |= lines_of(s.work / LOG, part["start"], part["end"])
        twice = {n for n, times in got.items() if times > 1}
        print(f"{len(twice)} twice, {len(named)} named")
        assert twice and twice <= named and max(got.values()) == 2, sorted(twice - named)[:10]
        assert gaps(s.server) == []
        s.server.stop()


main(run)
