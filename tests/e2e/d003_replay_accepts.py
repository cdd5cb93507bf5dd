#!/usr/bin/env python3
"""After kill -9 a server that is held in its replay: /ready says 503 and why, pushes are acknowledged, answers lack the old
records and say so.  Killed once more and let through, everything that was acknowledged is there once."""
import json
import time

from lib import Server, main, wait_for, workspace


def push(server, names):
    for name in names:
        server.push([({"app": "x"}, [(time.time_ns(), name)])])


def lines(server):
    return sorted(e["line"] for e in server.entries('{app="x"}'))


def run():
    old = [f"old {i}" for i in range(20)]
    new = [f"new {i}" for i in range(5)]
    with workspace() as work:
        server = Server(work / "server").init().start()
        held = Server(work / "server", env={"LOGQ_FAULT": "replay.body:stop:1"})
        held.token, held.context = server.token, server.context
        try:
            push(server, old)
            server.kill()
            held.start(ready=False)
            wait_for("addresses.json", held.addresses)
            status, text = held.get("/ready")
            assert status == 503 and text.startswith(b"replaying: 0 of "), (status, text)
            push(held, new)
            assert lines(held) == new
            status, body = held.get("/loki/api/v1/query_range", query='{app="x"}')
            warnings = json.loads(body)["warnings"]
            assert status == 200 and "incomplete: replaying" in warnings[0], body
            _, _, headers = held.request("GET", "/api/v1/export?query=%7Bapp%3D%22x%22%7D")
            assert "replaying" in headers["X-Logq-Warning"], dict(headers)
            assert held.metric("logq_store_replaying") == 1
            held.kill()
            server.start()
            assert lines(server) == sorted(old + new)
            status, body = server.get("/loki/api/v1/query_range", query='{app="x"}')
            assert "warnings" not in json.loads(body), body
            server.stop()
        finally:
            held.discard()
            server.discard()


main(run)
