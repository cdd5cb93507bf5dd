#!/usr/bin/env python3
"""A crowd of new clients shakes hands and asks at once, three times, while one pushes over a connection it has had before; the
server's certificate is renewed between two crowds, and the server is stopped in the midst of the last.

clients: each of the first two crowds gets the right answer, each as often as it asked; the second sees the new certificate; of the
third each gets a whole right answer or none.  who pushes: every line that was acked is found after a restart, once; over its old
connection it goes on after the renewal.  server: counted every request that was answered, no connection as refused.
"""
import http.client
import json
import shutil
import signal
import threading
import time
import urllib.parse

from lib import BIN, SLOW, Server, main, run as command, wait_for, workspace

CROWD, LINES = 80, 400


class Pusher(threading.Thread):
    """Pushes a line after the other over one connection, until the server ends it."""

    def __init__(self, server):
        super().__init__()
        self.host, self.token, self.context = server.addresses()["https"][0], server.token, server.context
        self.acked, self.ended = 0, None
        self.enough = threading.Event()

    def run(self):
        wire = http.client.HTTPSConnection(self.host, context=self.context, timeout=60 * SLOW)
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        try:
            while not self.enough.is_set():
                body = {"streams": [{"stream": {"job": "pusher"}, "values": [[str(time.time_ns()), f"n={self.acked}"]]}]}
                wire.request("POST", "/loki/api/v1/push", json.dumps(body), headers)
                answer = wire.getresponse()
                answer.read()
                assert answer.status == 204, answer.status
                self.acked += 1
        except (OSError, http.client.HTTPException) as e:
            self.ended = e

    def moves(self):
        """Wait for an ack from now on."""
        before = self.acked
        wait_for("another ack", lambda: self.acked > before, 30)


class Client(threading.Thread):
    """A new connection, one question: `value` is what was answered, `serial` the certificate's."""

    def __init__(self, server, path, gate):
        super().__init__()
        self.host, self.token, self.context = server.addresses()["https"][0], server.token, server.context
        self.path, self.gate = path, gate
        self.value = self.serial = self.failure = None

    def run(self):
        wire = http.client.HTTPSConnection(self.host, context=self.context, timeout=60 * SLOW)
        try:
            self.gate.wait()
            wire.connect()
            self.serial = wire.sock.getpeercert()["serialNumber"]
            wire.request("GET", self.path, headers={"Authorization": f"Bearer {self.token}"})
            answer = wire.getresponse()
            text = answer.read()
            assert answer.status == 200, (answer.status, text)
            self.value = sum(float(v[1]) for s in json.loads(text)["data"]["result"] for v in s["values"])
        except (OSError, http.client.HTTPException) as e:
            self.failure = e
        finally:
            wire.close()


def crowd(server, start):
    """All at once; not joined."""
    query = urllib.parse.urlencode({"query": 'sum(count_over_time({app="web"} |= "line" [1m]))', "start": start, "end": start + 600 * 10**9,
                                    "step": "60"})
    gate = threading.Event()
    clients = [Client(server, f"/loki/api/v1/query_range?{query}", gate) for _ in range(CROWD)]
    for client in clients:
        client.start()
    gate.set()
    return clients


def joined(clients):
    for client in clients:
        client.join(120 * SLOW)
        assert not client.is_alive(), "a client was left without answer"
    return clients


def all_answered(clients):
    """The serial of the one certificate they saw."""
    for client in joined(clients):
        assert client.failure is None and client.value == LINES, (client.failure, client.value)
    serials = {client.serial for client in clients}
    assert len(serials) == 1, serials
    return serials.pop()


def requests_but_pushes(server, pusher):
    """At least, at most: pushes go on while the metric is read."""
    acked = pusher.acked
    counted = server.metric("logq_http_requests_total")
    return counted - (pusher.acked + 1), counted - acked


def renew(server, work):
    command([BIN / "logq-server", "cert", "server", "--out", work / "new", "--dir", server.dir])
    for name in ("server.crt", "server.key"):
        shutil.copy(work / "new" / name, server.dir / "tls" / name)
    reloads = server.metric("logq_config_reload_total")
    server.process.send_signal(signal.SIGHUP)
    wait_for("the reload", lambda: server.metric("logq_config_reload_total") > reloads)


def stop_amid(server, pusher, clients):
    """SIGTERM when the first of them has its answer."""
    wait_for("an answer", lambda: any(client.value is not None for client in clients), 60, 0.001)
    server.stop()
    pusher.join(60 * SLOW)
    assert pusher.ended is not None and not pusher.is_alive()
    for client in joined(clients):
        assert client.value == LINES or (client.value is None and client.failure is not None), (client.value, client.failure)


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            start = (time.time_ns() // 10**9 // 60 * 60 - 3600) * 10**9
            server.push([({"app": "web"}, [(start + 10**9 * (1 + i), f"line {i}") for i in range(LINES)])])
            pusher = Pusher(server)
            pusher.start()
            pusher.moves()
            refused = server.metric("logq_http_connections_refused_total")
            before = requests_but_pushes(server, pusher)
            old = all_answered(crowd(server, start))
            after = requests_but_pushes(server, pusher)
            assert after[0] - before[1] <= CROWD + 1 <= after[1] - before[0], (before, after)  # one was to read `before`
            renew(server, work)
            pusher.moves()
            assert all_answered(crowd(server, start)) != old
            assert server.metric("logq_http_connections_refused_total") == refused
            stop_amid(server, pusher, crowd(server, start))

            server.start()
            stored = [entry["line"] for entry in server.entries('{job="pusher"}')]
            found = {line: stored.count(line) for line in stored}
            acked = {f"n={i}" for i in range(pusher.acked)}
            assert acked <= set(found) and set(found.values()) == {1}, (len(acked - set(found)), len(stored))
            assert len(found) <= pusher.acked + 1, (len(found), pusher.acked)
            server.stop()
        finally:
            server.discard()


main(run)
