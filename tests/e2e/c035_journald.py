#!/usr/bin/env python3
# label: story
# needs: runtime
# timeout: 240
"""A real systemd-journald, in a mount namespace of its own, is followed by a collector.

    writer      logs numbered lines as Docker's and podman's drivers do, every 50th in three pieces; rotates the
                journal meanwhile
    collector   is killed five times at moments from a printed seed; so is, once, its process that reads the journal
    server      has every line once, those in pieces whole, with container, stream and time
    then        a line of 1 MiB, one with binary bytes, one of a unit (matches, also after a reload), one of a real
                podman container; a field of 48 MiB that is nobody's and long lines take no memory; the reader
                is killed by others;
                entries that are removed while the collector is away are a gap record, and what comes after is there
"""
import datetime
import os
import pathlib
import shutil
import signal
import threading
import time

from journald import Journald
from lib import LONG, Podman, exact, gaps, main, seed, stage, wait_count, wait_for

LINES = 60_000 if LONG else 6_000
KILLS = 20 if LONG else 5
PIECES_EVERY, PIECE = 50, 4000
LINE_MAX = 1 << 20
BIG_MB, BIG_LINES = 48, 24


def line(no):
    """What stands in line `no`; every 50th is long."""
    text = f"n={no:010d} request handled"
    return text + " " + "x" * (3 * PIECE - len(text) - 1) if no % PIECES_EVERY == 0 else text


def write_lines(journal, first, end):
    """As Docker's driver (even numbers) and podman's (odd ones and every 100th) do."""
    for no in range(first, end):
        text = line(no)
        docker = no % 2 == 0 and no % (2 * PIECES_EVERY) != 0
        base = {"CONTAINER_NAME": "web" if docker else "db", "CONTAINER_ID_FULL": ("d" if docker else "e") * 64,
                "PRIORITY": "3" if no % 10 == 0 else "6"}
        if docker:
            base |= {"IMAGE_NAME": "bb:1", "SYSLOG_IDENTIFIER": "d" * 12}
        parts = [text[at:at + PIECE] for at in range(0, len(text), PIECE)]
        for i, part in enumerate(parts):
            more = {"CONTAINER_PARTIAL_MESSAGE": "true"} if i + 1 < len(parts) else {}
            if docker and len(parts) > 1:
                more |= {"CONTAINER_PARTIAL_ID": f"{no:064x}", "CONTAINER_PARTIAL_ORDINAL": i + 1,
                         "CONTAINER_PARTIAL_LAST": "false" if more else "true"}
            journal.log(MESSAGE=part, **base, **more)
        if no % 50 == 0:
            time.sleep(0.02)  # the pace of the writer, not a wait for an effect


def children(pid, name):
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            text = entry.read_text()
        except OSError:
            continue
        comm, rest = text[text.index("(") + 1:text.rindex(")")], text[text.rindex(")") + 2:].split()
        if comm == name and int(rest[1]) == pid and rest[0] != "Z":
            found.append(int(entry.parent.name))
    return found


def kill_while_it_writes(rnd, s, journal):
    writer = threading.Thread(target=write_lines, args=(journal, 1, LINES + 1))
    s.collector.start()
    writer.start()
    for i in range(KILLS):
        time.sleep(rnd.uniform(0.02, 0.4))  # a moment of the plan
        if i == 1:
            reader = wait_for("a reader", lambda: children(s.collector.process.pid, "logq-journal"))
            os.kill(reader[0], signal.SIGSEGV)
        if i % 2 == 0:
            journal.rotate()
        s.collector.kill()
        s.collector.start()
    writer.join()


def check_labels(server):
    entry = server.entries('{container="web"} |= "n=0000000050 "')[0]
    assert entry["line"] == line(50), (len(entry["line"]), entry["line"][:40])
    assert entry["labels"]["image"] == "bb:1" and entry["labels"]["source"] == "container", entry
    assert entry["labels"]["stream"] == "stderr" and entry["attributes"]["container_id"] == "d" * 64, entry
    logged = datetime.datetime.fromisoformat(entry["ts"][:19] + "+00:00")
    assert abs((datetime.datetime.now(datetime.timezone.utc) - logged).total_seconds()) < 3600, entry
    for no in (100, 150):
        assert server.entries(f'{{container=~"web|db"}} |= "n={no:010d} "')[0]["line"] == line(no), no
    assert not server.entries('{source="journald"}'), "nobody asked for what is no container's"


def one(server, query):
    return wait_for(query, lambda: server.entries(query))[0]


def single_entries(s, journal):
    journal.log(MESSAGE=b"L" * LINE_MAX, CONTAINER_NAME="long", CONTAINER_ID_FULL="f" * 64, PRIORITY="6")
    journal.log(MESSAGE=b"bin\xff\x00\nary", CONTAINER_NAME="binary", CONTAINER_ID_FULL="b" * 64, PRIORITY="6")
    journal.log(MESSAGE="of a unit", SYSLOG_IDENTIFIER="backup", JOB="nightly", PRIORITY="4")
    journal.log(MESSAGE="of another", SYSLOG_IDENTIFIER="backup", JOB="daily", PRIORITY="4")
    assert len(one(s.server, '{container="long"}')["line"]) == LINE_MAX
    assert "\nary" in one(s.server, '{container="binary"}')["line"]
    unit = one(s.server, '{source="journald"}')
    assert unit["line"] == "of a unit" and unit["labels"]["app"] == "backup", unit
    assert unit["attributes"]["level"] == "warn", unit


def reader_memory(s):
    """MiB of the process that reads the journal: its own, and what it has mapped of the journal's files."""
    pid = children(s.collector.process.pid, "logq-journal")[0]
    own = mapped = 0
    for text in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = text.partition(" ")
        if not name.endswith(":"):
            of_journal = ".journal" in rest
        elif name == "Anonymous:":
            own += int(rest.split()[0]) / 1024
        elif name == "Rss:" and of_journal:
            mapped += int(rest.split()[0]) / 1024
    return own, mapped


def memory_stays_small(s, journal):
    """However much there is to read, and whatever others log."""
    own, _ = reader_memory(s)
    journal.log(MESSAGE="dumped core", COREDUMP=b"x" * (BIG_MB << 20))
    for _ in range(BIG_LINES):
        journal.log(MESSAGE=os.urandom(LINE_MAX // 2).hex(), CONTAINER_NAME="big", CONTAINER_ID_FULL="a" * 64, PRIORITY="6")
    wait_count(s.server, '{container="big"}', BIG_LINES)
    after, mapped = reader_memory(s)
    print(f"memory of the reader: {own:.1f}, then {after:.1f} MiB of its own, {mapped:.1f} MiB of the journal mapped")
    assert after < own + BIG_MB / 2 and mapped < BIG_LINES / 2, (own, after, mapped)


def killed_by_others(s, journal):
    """The reader, say for want of memory: it is told, and another one follows after a pause."""
    deaths = s.collector.text().count("journal.died")
    os.kill(children(s.collector.process.pid, "logq-journal")[0], signal.SIGKILL)
    wait_for("word of it", lambda: "journal.died signal=9" in s.collector.text())
    journal.log(MESSAGE="after it", CONTAINER_NAME="after", CONTAINER_ID_FULL="c" * 64, PRIORITY="6")
    one(s.server, '{container="after"}')
    return deaths + 1


def reloaded(s, journal, deaths):
    """Another match by SIGHUP: the reader is another one, and nothing is there twice."""
    conf = s.collector.dir / "collector.yaml"
    conf.write_text(conf.read_text().replace("[JOB=nightly]", "[JOB=nightly, JOB=daily]"))
    s.collector.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: "config.reloaded" in s.collector.text())
    journal.log(MESSAGE="of another, again", SYSLOG_IDENTIFIER="backup", JOB="daily", PRIORITY="4")
    one(s.server, '{source="journald"} |= "again"')
    got = [e["line"] for e in s.server.entries('{source="journald"}')]
    assert s.collector.text().count("journal.died") == deaths, "we ended it ourselves"
    # One that was passed over a moment ago may be taken now: it was behind the place that is written down.
    assert got in (["of a unit", "of another, again"], ["of a unit", "of another", "of another, again"]), got


def real_podman(s, journal):
    podman = Podman()
    try:
        podman.argv = [*journal.inside(), *podman.argv]
        podman("run", "-d", "--name", "real", "--network", "none", "--log-driver", "journald", "localhost/bb:1", "/bin/sh", "-c",
               "echo to stdout; echo to stderr >&2; head -c 50000 /dev/zero | tr '\\0' y; echo")
        podman.wait("real")
        wait_count(s.server, '{container="real"}', 3)
        got = {e["line"]: e["labels"] for e in s.server.entries('{container="real"}')}
        assert set(got) == {"to stdout", "to stderr", "y" * 50000}, [text[:40] for text in got]
        assert got["to stdout"]["runtime"] == "podman" and got["to stdout"]["stream"] == "stdout", got["to stdout"]
        assert got["to stderr"]["stream"] == "stderr", got["to stderr"]
    finally:
        podman.close()


def removed_while_away(s, journal):
    """What vacuuming takes away unread is a gap, once; what is left is there."""
    s.collector.stop()
    write_lines(journal, LINES + 1, LINES + 101)
    journal.rotate()
    for path in journal.files():
        if path.name != "system.journal":
            path.unlink()
    write_lines(journal, LINES + 101, LINES + 201)
    s.collector.start()
    wait_count(s.server, '{container=~"web|db"}', LINES + 100)
    found = wait_for("a gap record", lambda: gaps(s.server, "journal_vacuumed"))
    assert len(found) == 1, found
    print("gap:", found[0])
    s.collector.kill()
    s.collector.start()
    write_lines(journal, LINES + 201, LINES + 211)
    wait_count(s.server, '{container=~"web|db"}', LINES + 110)
    exact(s.server, '{container=~"web|db"}', 1, LINES + 211, gone=range(LINES + 1, LINES + 101))
    assert len(gaps(s.server)) == 1, gaps(s.server)


def run():
    rnd = seed()
    with stage("  - {type: journald, directory: '@/journal', since: all, matches: [JOB=nightly]}\n") as s:
        journal = Journald(s.work)
        try:
            kill_while_it_writes(rnd, s, journal)
            wait_count(s.server, '{container=~"web|db"}', LINES)
            exact(s.server, '{container=~"web|db"}', 1, LINES + 1)
            check_labels(s.server)
            single_entries(s, journal)
            memory_stays_small(s, journal)
            reloaded(s, journal, killed_by_others(s, journal))
            if shutil.which("podman"):
                real_podman(s, journal)
            removed_while_away(s, journal)
            s.collector.stop()
        finally:
            s.collector.discard()
            journal.close()


main(run)
