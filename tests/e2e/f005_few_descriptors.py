#!/usr/bin/env python3
"""With 256 file descriptors, strangers open 300 connections to each port and say nothing.  Who was there before pushes and
queries as ever, the store writes its files, and newcomers get in: strangers give way to them."""
import http.client
import json
import os
import pathlib
import socket
import time

from lib import SLOW, Server, main, wait_for, workspace

LIMIT, STRANGERS = 256, 300
CONFIG = "storage: {head: 8MiB, ballast: 1MiB}\n"
PUSHES, LINES = 20, 500  # some 8 MiB: over the head, and more than one file of the log


def connect(address):
    host, port = address.rsplit(":", 1)
    return host, int(port)


def crowd(address):
    clients = []
    for _ in range(STRANGERS):
        c = socket.socket()
        c.settimeout(10 * SLOW)
        c.connect(connect(address))
        clients.append(c)
    return clients


def ask(c, method, path, body=None):
    c.request(method, path, body, {"Content-Type": "application/json"})
    answer = c.getresponse()
    return answer.status, answer.read()


def push(c):
    now = time.time_ns()
    values = [[str(now + i), os.urandom(400).hex()] for i in range(LINES)]
    status, text = ask(c, "POST", "/loki/api/v1/push", json.dumps({"streams": [{"stream": {"app": "a"}, "values": values}]}))
    assert status == 204, (status, text)


def descriptors(server):
    return len(list(pathlib.Path(f"/proc/{server.process.pid}/fd").iterdir()))


def run():
    with workspace() as work:
        server = Server(work / "server", dev=True).init(lambda text: text + CONFIG)
        server.argv = ["sh", "-c", f'ulimit -n {LIMIT}; exec "$@"', "sh", *server.argv]
        server.start()
        try:
            addresses = server.addresses()
            steady = http.client.HTTPConnection(*connect(addresses["https"][0]), timeout=30 * SLOW)
            push(steady)
            clients = crowd(addresses["forward"][0]) + crowd(addresses["https"][0])
            wait_for("the crowd", lambda: descriptors(server) > LIMIT // 2)
            for _ in range(PUSHES):
                push(steady)
            status, text = ask(steady, "POST", "/api/v1/admin/flush")
            assert status == 200, (status, text)
            status, text = ask(steady, "GET", "/loki/api/v1/query?query=count_over_time(%7Bapp%3D%22a%22%7D%5B1h%5D)")
            assert status == 200 and f'"{(PUSHES + 1) * LINES}"'.encode() in text, (status, text[:300])
            print(f"{descriptors(server)} of {LIMIT} descriptors", flush=True)
            for _ in range(10):
                assert server.get("/ready")[0] == 200
            assert server.metric("logq_http_connections_refused_total") > STRANGERS / 2
            assert server.metric("logq_forward_turned_away_total") > STRANGERS / 2
            for c in clients:
                c.close()
            steady.close()
            server.stop(20)
        finally:
            server.discard()


main(run)
