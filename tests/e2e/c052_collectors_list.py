#!/usr/bin/env python3
# label: story
# timeout: 200
"""`logq collectors`: what a server knows of the collectors that send to it.

    while all is well     one row: host, version, no lag, no gaps, until when the certificate holds
    an unfinished line    its bytes are the lag, and the lag ages
    a log that vanished   its gap records are counted, and stay counted when the collector was started again
    a restart             of the server: the row is there before the collector comes back
"""
import calendar
import json
import shutil
import time

from lib import gaps, logq, main, run as command, stage, wait_count, wait_for, BIN

MORE = ("chunk: {bytes: 16KiB, window: 3}\npartial_timeout: 1h\nhost: node-1\n")
LOG, HELD, LINES = "pods/ns_pod_uid-1/app/0.log", "plain/held.log", 2_000


def rows(s):
    return [json.loads(line) for line in logq(s.server, "collectors", "-o", "jsonl", check=False).stdout.splitlines()]


def only(s):
    found = rows(s)
    assert len(found) == 1, found
    return found[0]


def end_of_certificate(s):
    info = command(["openssl", "x509", "-enddate", "-noout", "-in", s.server.dir / "collector" / "client.crt"]).stdout
    return calendar.timegm(time.strptime(info.strip().split("=")[1], "%b %d %H:%M:%S %Y %Z"))


def lose(s):
    """The server is away, the log grows beyond what may be in flight, the collector is killed, the log deleted."""
    s.server.kill()
    s.feed(LOG, "-s", LINES + 1, "-n", LINES, "-r", 0).start().wait()
    size = (s.work / LOG).stat().st_size
    wait_for("a plan of the rest", lambda: size_seen(s, size))
    s.collector.kill()
    shutil.rmtree((s.work / LOG).parent.parent)
    s.server.start()
    s.collector.start(configure=False)
    wait_for("gap records", lambda: gaps(s.server))


def size_seen(s, size):
    return size.to_bytes(8, "little") in (s.collector.dir / "state" / "checkpoint").read_bytes()


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n  - {type: file, paths: ['@/plain/*.log']}\n", more=MORE) as s:
        s.collector.configure()
        conf = s.collector.dir / "collector.yaml"
        conf.write_text(conf.read_text().replace("  address:", "  status_every: 200ms\n  address:", 1))
        s.collector.start(configure=False)
        s.feed(LOG, "-n", LINES, "-r", 0).start().wait()
        wait_count(s.server, '{container="app"}', LINES)
        wait_for("a row", lambda: rows(s))
        wait_for("no lag", lambda: only(s)["lag_bytes"] == 0)
        row = only(s)
        assert row["host"] == "node-1" and row["gaps"] == 0 and row["lag_s"] == 0, row
        assert "logq " + row["version"] == command([BIN / "logq", "--version"]).stdout.strip(), row
        assert calendar.timegm(time.strptime(row["expires"][:19], "%Y-%m-%dT%H:%M:%S")) == end_of_certificate(s), row
        head = logq(s.server, "collectors", "-o", "table").stdout.splitlines()[0].split()
        assert head == ["host", "version", "seen", "lag_bytes", "lag_s", "gaps", "expires"], head

        (s.work / HELD).parent.mkdir()
        (s.work / HELD).write_text("a line that nobody ends")
        wait_for("a lag", lambda: only(s)["lag_bytes"] == 23 and only(s)["lag_s"] >= 1)

        lose(s)
        known = len(gaps(s.server))
        wait_for("gaps", lambda: only(s)["gaps"] == known)
        s.collector.stop()
        s.collector.start(configure=False)
        wait_for("the lag of the new one", lambda: only(s)["lag_bytes"] == 23)
        assert only(s)["gaps"] == known, only(s)

        s.collector.stop()
        before = only(s)
        s.server.stop()
        s.server.start()
        assert only(s) == before
        s.server.stop()


main(run)
