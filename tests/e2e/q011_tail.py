#!/usr/bin/env python3
"""Two hundred clients follow at once, over TLS.  Each gets every line once, in order, each before the next is pushed; one that
does not read loses lines and is told, the others lose nothing."""
import json
import selectors
import time
import urllib.parse

from lib import SLOW, Server, main, wait_for, workspace
from websocket import PING, PONG, TEXT, WebSocket

TAILS, PUSHES = 200, 50


def follow(server, query, limit=0):
    follower = WebSocket(server, f"/loki/api/v1/tail?limit={limit}&query=" + urllib.parse.quote(query))
    assert follower.status == 101, (follower.status, follower.body)
    return follower


def drain(follower, came):
    """Frames that are there, without waiting for more."""
    follower.socket.setblocking(False)
    try:
        while True:
            follower.more()
    except OSError:  # nothing more now, in the clear or under TLS
        pass
    follower.socket.setblocking(True)
    while len(follower.buffer) >= 2:
        short = follower.buffer[1] & 127
        size = 2 if short < 126 else 4 if short == 126 else 10
        if len(follower.buffer) < size:
            return
        n = short if short < 126 else int.from_bytes(follower.buffer[2:size], "big")
        if len(follower.buffer) < size + n:
            return
        opcode, payload = follower.frame()
        if opcode == PING:
            follower.send(PONG, payload)
        elif opcode == TEXT:
            for stream in json.loads(payload)["streams"]:
                came += [v[1] for v in stream["values"]]


def every_line(server, followers):
    """Push line after line, each when all followers have the last."""
    selector = selectors.DefaultSelector()
    came = [[] for _ in followers]
    sent = []
    for i, follower in enumerate(followers):
        selector.register(follower.socket, selectors.EVENT_READ, i)
    for n in range(PUSHES):
        sent.append(f"line {n}")
        server.push([({"app": "web"}, [(time.time_ns(), sent[n])])])
        end = time.monotonic() + 20 * SLOW
        while any(len(c) <= n for c in came):
            assert time.monotonic() < end, f"line {n} reached {sum(len(c) > n for c in came)} of {len(came)}"
            for key, _ in selector.select(1):
                drain(followers[key.data], came[key.data])
    for c in came:
        assert c == sent, c[:3]


def slow_reader(server):
    """It is told what it missed, and goes on."""
    lazy, eager = follow(server, '{app="big"}'), follow(server, '{app="big"}')
    line = "x" * 100000
    pushed = 0
    while server.metric("logq_tail_dropped_total") == 0:
        server.push([({"app": "big"}, [(time.time_ns(), f"{pushed} {line}")])])
        pushed += 1
        assert len(eager.entries(1)) == 1
        assert pushed < 2000, "nothing is ever dropped"
    dropped, got = [], 0
    wait_for("what was dropped is told", lambda: server.metric("logq_tail_dropped_total") > 0)
    lazy.socket.settimeout(20 * SLOW)
    while not dropped:
        opcode, payload = lazy.frame()
        if opcode == TEXT:
            frame = json.loads(payload)
            dropped = frame.get("dropped_entries", [])
            got += sum(len(s["values"]) for s in frame["streams"])
    assert dropped[0]["labels"]["app"] == "big" and int(dropped[0]["timestamp"]) > 0, dropped
    assert 0 < got < pushed, (got, pushed)
    lazy.close()
    eager.close()


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            followers = [follow(server, '{app="web"}' if i % 2 else '{app=~"w.*"} |= "line"') for i in range(TAILS)]
            every_line(server, followers)
            for follower in followers:
                follower.close()
            wait_for("all tails to be gone", lambda: server.metric("logq_tail_open") == 0)
            slow_reader(server)
            server.stop()
        finally:
            server.discard()


main(run)
