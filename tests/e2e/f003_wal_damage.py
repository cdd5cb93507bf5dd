#!/usr/bin/env python3
"""After kill -9 a byte of the write-ahead log is flipped between good frames: the server refuses to start and names file and
offset; with --recover it starts, everything else is there, and a gap record tells of the loss.  A torn tail is cut silently
but for its counter."""
import time

from lib import Program, Server, main, wait_for, workspace


def wal_file(server):
    newest = max((server.dir / "data" / "wal").glob("*.wal"), key=lambda p: p.stat().st_mtime)
    data = bytearray(newest.read_bytes())
    used = len(data.rstrip(b"\0"))
    return newest, data, used


def push(server, n):
    for i in range(n):
        server.push([({"app": "x"}, [(time.time_ns(), f"line {i} " + "y" * 300)])])


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        push(server, 20)
        server.kill()
        path, data, used = wal_file(server)
        path.write_bytes(data[:used - 40])  # a torn tail: the last frame is not whole
        server.start()
        assert len(server.entries('{app="x"}')) == 19
        assert server.metric("logq_store_wal_torn_bytes") > 0

        push(server, 20)
        server.kill()
        path, data, used = wal_file(server)
        data[used // 2] ^= 1
        path.write_bytes(data)
        refused = Program("logq-server", server.argv, work / "refused.log").start()
        assert refused.process.wait(60) == 1
        assert path.name in refused.text() and "offset" in refused.text(), refused.text()
        recovering = Server(work / "server")
        recovering.token, recovering.context = server.token, server.context
        recovering.argv.append("--recover")
        try:
            recovering.start()
            lines = recovering.entries('{app="x"}')
            assert 19 + 17 <= len(lines) <= 19 + 19, len(lines)
            gap = wait_for("the gap record", lambda: recovering.entries('{source="logq"}'))
            assert "gap" in gap[0]["line"] and path.name in gap[0]["line"], gap
            assert recovering.metric("logq_store_wal_skipped_frames") >= 1
            recovering.stop()
            server.start()
            assert len(server.entries('{app="x"}')) == len(lines) and len(server.entries('{source="logq"}')) == 1
            server.stop()
        finally:
            recovering.discard()
            server.discard()


main(run)
