#!/usr/bin/env python3
# label: story
# timeout: 240
"""Two servers.  The first is killed under load, right behind an fsync and before its ack; the second takes over.

    both together   every line that was written, none lost
    each of them    no line twice
    on both         exactly what the collector marked and both stored: `logq collectors --overlap --also` names these ranges
    the collector   says once that it left the one for the other, with how much was in flight
    afterwards      the first is there again: a new file goes to it, the others stay with the second
"""
import json
import os
import shutil

from lib import LONG, Server, free_port, gaps, logq, main, numbers, stage, wait_count, wait_for

FILES, LINES, RATE = 6, 60_000 if LONG else 6_000, 3_000
INPUTS = "  - {type: cri, paths: ['@/pods/*/*/*.log']}\n"
MORE = "metrics: {listen: '127.0.0.1:0'}\nchunk: {bytes: 32KiB}\n"


def second_server(s):
    """A server of its own, with the certificates and tokens of the first."""
    second = Server(s.work / "second")
    shutil.copytree(s.server.dir, second.dir, ignore=shutil.ignore_patterns("data", "run"))
    ports = {line.rsplit(":", 1)[1].strip() for line in (second.dir / "server.yaml").read_text().splitlines()
             if "127.0.0.1:" in line}
    text = (second.dir / "server.yaml").read_text()
    for port in ports:
        text = text.replace(f"127.0.0.1:{port}", f"127.0.0.1:{free_port()}")
    (second.dir / "server.yaml").write_text(text.replace(str(s.server.dir), str(second.dir)))
    second.token, second.context = s.server.token, s.server.context
    s.programs.append(second)
    return second.start()


def configure(s, second):
    s.collector.configure()
    conf = s.collector.dir / "collector.yaml"
    address = f"  address: {s.server.forward}\n"
    text = conf.read_text()
    assert address in text
    conf.write_text(f"servers: ['{s.server.forward}', '{second.forward}']\n" + text.replace(address, "  failover: 2s\n"))


def files_of(s):
    """File id -> path, as the collector says."""
    return {f["id"]: f["path"] for f in json.loads(s.collector.get("/files"))}


def lines_of(path, start, end):
    """The numbers of the lines of `path` that end in (start, end]."""
    found, at = set(), 0
    with open(path, "rb") as f:
        for line in f:
            at += len(line)
            if start < at <= end:
                found.add(int(line.split(b" ", 3)[3][2:12]))
    return found


def named(second, paths, *more):
    """The lines in the ranges that `logq collectors --overlap` lists; those of our own records are of other files."""
    found = set()
    done = logq(second, "collectors", "--overlap", *more, "-o", "jsonl", check=False)
    assert done.returncode in (0, 1), done
    for line in done.stdout.splitlines():
        row = json.loads(line)
        if row["file"] in paths and "/pods/" in paths[row["file"]]:
            found |= lines_of(paths[row["file"]], row["start"], row["end"])
    return found


def left(server):
    return [e["attributes"] for e in server.entries('{source="logq"}') if "failover" in e.get("attributes", {})]


def run():
    with stage(INPUTS, more=MORE) as s:
        armed = s.work / "faults"
        armed.write_text("")
        s.server.stop()
        s.server.env["LOGQ_FAULT_FILE"] = str(armed)
        s.server.start()
        second = second_server(s)
        configure(s, second)
        feeds = [s.feed(f"pods/ns_pod{i}_uid-{i}/app/0.log", "-s", i * LINES + 1, "-n", LINES, "-r", RATE) for i in range(FILES)]
        s.collector.start(configure=False)
        for feed in feeds:
            feed.start()
        wait_count(s.server, '{container="app"}', FILES * LINES // 8)
        assert not second.entries('{container="app"}', limit=1), "the second has something while the first is well"
        armed.write_text("wal.synced:kill:1\n")
        s.server.process.wait(60)
        armed.write_text("")
        for feed in feeds:
            feed.wait(120)
        wait_for("word of it", lambda: left(second))
        paths = wait_for("all is acknowledged", lambda: drained(s) and files_of(s))

        s.server.start()
        first = numbers(s.server, '{container="app"}')
        other = numbers(second, '{container="app"}')
        both = set(first) & set(other)
        print(f"{len(first)} at the first, {len(other)} at the second, {len(both)} at both")
        lost = set(range(1, FILES * LINES + 1)) - set(first) - set(other)
        assert not lost and len(set(first) | set(other)) == FILES * LINES, f"{len(lost)} lost: {sorted(lost)[:10]}"
        assert len(first) == len(set(first)) and len(other) == len(set(other)), "a line is twice on one server"
        marked = named(second, paths)
        assert both and both <= marked, f"{len(both - marked)} of {len(both)} on both are not marked"
        assert named(second, paths, "--also", s.server.url) == both
        assert not named(s.server, paths), "the first knows of no overlap"
        told = left(second)
        assert len(told) == 1 and told[0]["failover"] == second.forward and told[0]["from"] == s.server.forward, told
        assert int(told[0]["bytes"]) > 0 and int(told[0]["files"]) >= FILES, told
        assert gaps(second) == []

        afterwards(s, second)
        s.collector.stop()
        second.stop()
        s.server.stop()


def drained(s):
    health = json.loads(s.collector.get("/health"))
    return health["lag_bytes"] == 0 and health["unacked_chunks"] == 0


def afterwards(s, second):
    """The first is back: what is new goes to it, what the second has stays there."""
    wait_for("the first is back", lambda: "server.back" in s.collector.text())
    s.feed("pods/ns_new_uid-new/young/0.log", "-n", 10).start().wait()
    wait_count(s.server, '{container="young"}', 10)
    s.feed("pods/ns_pod0_uid-0/app/0.log", "-s", FILES * LINES + 1, "-n", 10, "-r", 0).start().wait()
    wait_count(second, '{pod="pod0"}', len([n for n in numbers(second, '{pod="pod0"}') if n <= FILES * LINES]) + 10)
    assert max(numbers(s.server, '{pod="pod0"}')) <= FILES * LINES
    assert not second.entries('{container="young"}', limit=1)


main(run)
