#!/usr/bin/env python3
"""Clients that take the server down if they can: they pipeline requests and read no answer, export and do not read, drip
headers, throw gzip bombs, and send more large Forward messages at once than the memory budget holds.

While each of them is at it /ready and a query are answered within seconds, and a good push afterwards is taken.  When all are
gone the budget is back where it was, memory stayed bounded, no connection is left open, and the server stops in order.

Over 20 s: 5 s until a starved sender is cut, 15 s of drain that unread exports use up."""
import contextlib
import gzip
import pathlib
import socket
import struct
import threading
import time
import urllib.parse

from lib import SLOW, Server, main, wait_for, workspace

CONFIG = "memory: 64MiB\nquery: {memory: 24MiB}\nstorage: {head: 8MiB, ballast: 1MiB}\n"
PEAK_MB = 400  # for a budget of 64 MiB; without back-pressure the pipelined answers alone are gigabytes
LINES, LINE = 12000, 1000


def connect(address):
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout=20)


def push(server, app, lines):
    now = time.time_ns()
    server.push([({"app": app}, [(now + i, line) for i, line in enumerate(lines)])])


def prompt(server, what):
    """/ready and a query are answered, whatever goes on."""
    begin = time.monotonic()
    status, _ = server.get("/ready")
    assert status == 200, (what, status)
    assert server.query('count_over_time({app="steady"}[1h])')[0][1] >= 1, what
    assert time.monotonic() - begin < 5 * SLOW, (what, time.monotonic() - begin)


def send(s, data):
    """As far as the server lets us."""
    s.settimeout(1)
    with contextlib.suppress(OSError):
        s.sendall(data)


def together(work, clients):
    threads = [threading.Thread(target=work, args=(c,)) for c in clients]
    for t in threads:
        t.start()
    return threads


def pipelined(server, http):
    clients = [connect(http) for _ in range(20)]
    threads = together(lambda c: send(c, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 5000), clients)
    prompt(server, "beside pipelined requests")
    for t in threads:
        t.join()
    prompt(server, "beside unread answers")
    return clients


def unread_exports(server, http):
    path = "/api/v1/export?" + urllib.parse.urlencode({"query": '{app="big"}'})
    clients = [connect(http) for _ in range(4)]  # more than query.workers
    for c in clients:
        c.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    for c in clients[:2]:
        assert c.recv(15, socket.MSG_WAITALL) == b"HTTP/1.1 200 OK"
    prompt(server, "beside unread exports")
    return clients


def dripped_headers(server, http):
    clients = [connect(http) for _ in range(200)]
    for c in clients:
        c.sendall(b"GET /ready HTTP/1.1\r\nHost: x\r\nX-Long: ")
    prompt(server, "beside 200 unfinished heads")
    return clients


def bombs(server, http):
    bomb = gzip.compress(b" " * (64 << 20), 9)
    for _ in range(3):
        status, _, _ = server.request("POST", "/loki/api/v1/push", bomb, {"Content-Encoding": "gzip"})
        assert status == 413, status
    return []


def large_messages(server, forward):
    """Together four times the budget, and none fits in what is left of it: each must be let go."""
    line = b"\x92\xce" + struct.pack(">I", int(time.time())) + b"\x81\xa3log\xdb" + struct.pack(">I", 60000) + b"x" * 60000
    message = b"\x93\xa3tag\xdd" + struct.pack(">I", 600) + line * 600 + b"\x81\xa5chunk\xa4abcd"
    before = server.metric("logq_forward_rejected_total")
    clients = [connect(forward) for _ in range(8)]
    threads = together(lambda c: send(c, message), clients)
    for t in threads:
        t.join()
    assert server.get("/ready")[0] == 200
    wait_for("a starved connection to be cut", lambda: server.metric("logq_forward_rejected_total") > before)
    return clients


def peak_mb(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) // 1024


def run():
    with workspace() as work:
        server = Server(work / "server", dev=True).init(lambda text: text + CONFIG).start()
        try:
            push(server, "steady", ["before"])
            push(server, "big", [f"{i} " + "y" * LINE for i in range(LINES)])
            wait_for("the push to settle", lambda: server.metric("logq_store_head_records") > LINES)
            base = server.metric("logq_memory_budget_used_bytes")
            addresses = server.addresses()
            http, forward = addresses["https"][0], addresses["forward"][0]
            for attack, address in ((pipelined, http), (unread_exports, http), (dripped_headers, http), (bombs, http),
                                    (large_messages, forward)):
                clients = attack(server, address)
                for c in clients:
                    c.close()
                wait_for(f"a good push after {attack.__name__}", lambda: push(server, "steady", ["after"]) or True)
                print(f"{attack.__name__}: peak {peak_mb(server)} MB, "
                      f"budget {server.metric('logq_memory_budget_used_bytes') - base:+.0f} bytes", flush=True)
            wait_for("the budget to come back", lambda: server.metric("logq_memory_budget_used_bytes") < base + (1 << 20))
            wait_for("all connections to end", lambda: server.metric("logq_forward_connections_open") == 0)
            if SLOW == 1:  # a sanitizer keeps freed memory
                assert peak_mb(server) < PEAK_MB, peak_mb(server)
            clients = unread_exports(server, http) + [connect(http) for _ in range(100)]
            server.stop(20)
            for c in clients:
                c.close()
        finally:
            server.discard()


main(run)
