#!/usr/bin/env python3
# label: story
# timeout: 300
"""Applications log through fluent libraries to the collector beside them, by a unix socket and by loopback.

Real clients from npm, in every mode they have: each record is there once, with its labels and attributes.  Then clients
that send every chunk again until it is acknowledged, while the collector, or only its worker, is killed with SIGKILL: at
moments from a printed seed, between the write and the sync of the spool, between that and the ack; and acks are lost.
Nothing is lost and nothing is there twice.  A reload names other addresses, and the worker dies: the next one listens
there.  Last a server that is away: the spool fills up to its bound, the socket is not read, and when the server is back
all goes on."""
import json
import os
import pathlib
import select
import signal
import socket
import struct
import threading
import time

from lib import LONG, exact, main, run as command, seed, stage, wait_count, wait_for

ROOT = pathlib.Path(__file__).resolve().parents[2]
COUNT = 20
KILLS = 40 if LONG else 5
GROUP = 1 if os.getuid() == 0 else os.getgid()
POINTS = ("forward_input.written", "forward_input.synced", "forward_input.ack", "checkpoint.planned", "ship.acked")


def pack(value):
    """msgpack: what these clients need of it."""
    if isinstance(value, int):
        return struct.pack(">BQ", 0xCF, value)
    if isinstance(value, str):
        text = value.encode()
        return struct.pack(">BI", 0xDB, len(text)) + text
    if isinstance(value, bytes):
        return struct.pack(">BI", 0xC6, len(value)) + value
    if isinstance(value, dict):
        return struct.pack(">BI", 0xDF, len(value)) + b"".join(pack(k) + pack(v) for k, v in value.items())
    return struct.pack(">BI", 0xDD, len(value)) + b"".join(map(pack, value))


class Client(threading.Thread):
    """Numbered lines [first, end) in chunks by a unix socket, at most WINDOW of them not acknowledged; after a break all of
    those are sent again, the same bytes."""

    WINDOW = 6

    def __init__(self, path, name, first, end, per_chunk=5, filler=""):
        super().__init__(daemon=True)
        self.path, self.name_, self.next, self.end, self.per_chunk, self.filler = str(path), name, first, end, per_chunk, filler
        self.unacked = {}  # token: message, oldest first
        self.acked = self.breaks = 0
        self.problem = None

    def message(self, end):
        entries = []
        while self.next < end and len(entries) < self.per_chunk:
            entries.append([time.time_ns() // 10**9, {"log": f"n={self.next:010} {self.name_}{self.filler}", "who": self.name_}])
            self.next += 1
        token = f"{self.name_}-{self.next}"
        option = {"chunk": token, "size": len(entries)}
        packed = self.next % 2 == 0
        body = b"".join(map(pack, entries)) if packed else entries
        self.unacked[token] = pack([f"story.{self.name_}", body, option])
        return self.unacked[token]

    def talk(self, s):
        s.connect(self.path)
        s.settimeout(10)
        for message in list(self.unacked.values()):
            s.sendall(message)
        got = b""
        while self.unacked or self.next < self.end:
            while (end := self.end) > self.next and len(self.unacked) < self.WINDOW:  # it may be set at any time
                s.sendall(self.message(end))
            if not select.select([s], [], [], 10)[0]:
                continue
            piece = s.recv(65536)
            if not piece:
                raise ConnectionError("the end")
            got += piece
            while len(got) >= 6 and len(got) >= 6 + self.ack_size(got):
                n = self.ack_size(got)
                if self.unacked.pop(got[6:6 + n].decode(), None) is not None:
                    self.acked += 1
                got = got[6 + n:]

    @staticmethod
    def ack_size(got):
        """{"ack": str}: 81 a3 'ack', and a short string."""
        assert got[:5] == b"\x81\xa3ack" and 0xA0 <= got[5] <= 0xBF, got
        return got[5] & 31

    def run(self):
        while self.unacked or self.next < self.end:
            try:
                with socket.socket(socket.AF_UNIX) as s:
                    self.talk(s)
            except (OSError, ConnectionError):
                self.breaks += 1
                time.sleep(0.02)  # a client's pause before it connects again
            except BaseException as problem:
                self.problem = problem
                raise


def metric(s, name):
    text = s.collector.get("/metrics")
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name) and line[len(name)] in " {")


def real_clients(s, path):
    address = wait_for("addresses.json", lambda: json.loads((s.collector.dir / "state/addresses.json").read_text())["forward"])
    assert address[0] == f"unix:{path}", address
    assert oct(path.stat().st_mode & 0o777) == "0o620" and path.stat().st_gid == GROUP, path.stat()
    done = command(["node", ROOT / "tests/clients/sidecar.js", path, address[1].rsplit(":", 1)[1], str(COUNT)], timeout=90)
    assert done.stdout.startswith("sent"), done.stdout + done.stderr
    wait_count(s.server, '{source="forward", app="shop"}', 7 * COUNT)
    for mode in ("message", "packed", "gzip"):
        lines = [e["line"] for e in s.server.entries(f'{{source="forward"}} |= "fluent-logger {mode} "')]
        assert sorted(lines) == sorted(f"fluent-logger {mode} {i}" for i in range(COUNT)), (mode, len(lines))
    for mode in ("Message", "Forward", "PackedForward", "CompressedPackedForward"):
        lines = [e["line"] for e in s.server.entries(f'{{source="forward"}} |= "fluent-org {mode} "')]
        assert sorted(lines) == sorted(f"fluent-org {mode} {i}" for i in range(COUNT)), (mode, len(lines))
    entry = s.server.entries('{source="forward"} |= "fluent-logger message 7"')[0]
    assert entry["attributes"]["n"] == "7" and entry["attributes"]["nested"] == '{"a":[1,2]}', entry
    assert entry["attributes"]["fluent.tag"] == "message.req", entry


def docker_driver(s, path):
    """What Docker's fluentd driver sends, and a record without a line."""
    record = {"container_id": "c" * 64, "container_name": "/web", "source": "stderr", "log": "by docker", "team": "x"}
    with socket.socket(socket.AF_UNIX) as c:
        c.connect(str(path))
        c.sendall(pack(["docker", time.time_ns() // 10**9, record]) + pack(["json", 0, {"a": "b\n", "n": 1}]))
    wait_count(s.server, '{source="container", container="web", runtime="docker", stream="stderr"} |= "by docker"', 1)
    wait_count(s.server, '{source="forward"} |= `{"a":"b\\n","n":1}`', 1)


def kill_one(s, rnd, i):
    if i % 3 == 0:  # only the worker; the socket stays
        point = rnd.choice(POINTS)
        before = s.collector.text().count("worker.died")
        s.collector.env["LOGQ_FAULT"] = f"{point}:kill:{rnd.randint(1, 6)}"
        s.collector.kill()
        s.collector.start(configure=False)
        wait_for("a dead worker", lambda: s.collector.text().count("worker.died") > before, 60, 0.01)
        print(f"killed at {point}")
    elif i % 3 == 1:  # an ack is lost, and another
        s.collector.env["LOGQ_FAULT"] = f"forward_input.ack:fail:{rnd.randint(1, 9)}"
        time.sleep(rnd.uniform(0.02, 0.5))  # a moment of the plan, not a wait for an effect
    else:
        s.collector.env["LOGQ_FAULT"] = ""
        time.sleep(rnd.uniform(0.02, 0.8))
    s.collector.kill()
    s.collector.start(configure=False)


def kills(s, path, rnd):
    end = 10**9
    clients = [Client(path, name, no * end + 1, (no + 1) * end, per) for no, (name, per) in enumerate((("a", 1), ("b", 15)))]
    for c in clients:
        c.start()
    wait_for("the first acks", lambda: all(c.acked > 3 for c in clients))
    for i in range(KILLS):
        kill_one(s, rnd, i)
    s.collector.env["LOGQ_FAULT"] = ""
    s.collector.kill()
    s.collector.start(configure=False)
    for c in clients:
        c.end = c.next  # no new ones; a lost ack is asked for again by a connection that was broken
    wait_for("all acks", lambda: all(not c.is_alive() for c in clients), 60)
    for no, c in enumerate(clients):
        assert c.problem is None, c.problem
        selector = f'{{source="forward"}} | who="{c.name_}"'
        lines = c.next - (no * end + 1)
        wait_count(s.server, selector, lines)
        print(f"client {c.name_}: {c.acked} chunks acknowledged, {c.breaks} broken connections")
        exact(s.server, selector, no * end + 1, c.next)


def worker(s):
    parent = s.collector.process.pid
    for child in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "logq-worker":
            return int(child)
    return None


def other_addresses(s, path):
    """A reload names others, in another order; the worker dies.  The next one listens where that is possible, and collects; where
    another program listens it does when that has gone."""
    sockets = s.work / "sockets"
    sockets.mkdir()
    sockets.chmod(0o777)
    first = 7 * 10**9
    other = socket.create_server(("127.0.0.1", 0))
    port = other.getsockname()[1]
    for addresses, cannot in (([f"unix:{sockets}/g.sock", f"unix:{path}", f"unix:{sockets}/none/h.sock", f"127.0.0.1:{port}"], 2),
                              ([f"unix:{path}", f"unix:{sockets}/g.sock"], 0)):
        s.collector.inputs = f"  - {{type: forward, listen: {addresses}, listen_mode: '0666', labels: {{app: shop}}}}\n"
        s.collector.configure()
        reloads, failed = (s.collector.text().count(event) for event in ("config.reloaded", "listen.failed"))
        os.kill(s.collector.process.pid, signal.SIGHUP)
        wait_for("a reload", lambda: s.collector.text().count("config.reloaded") > reloads)
        dead = wait_for("a worker", lambda: worker(s))
        os.kill(dead, signal.SIGKILL)
        wait_for("another worker", lambda: worker(s) not in (None, dead))
        for i, at in enumerate((str(path), f"{sockets}/g.sock")):
            c = Client(at, f"other{i}", first, first + 50)
            wait_for("its socket", pathlib.Path(at).exists)
            c.start()
            wait_for("all acks", lambda: not c.is_alive(), 60)
            assert c.problem is None, c.problem
            first += 50
        assert s.collector.text().count("listen.failed") == failed + cannot, s.collector.text()[-3000:]
        if cannot > 0:
            other.close()
            wait_for("the port", lambda: f"127.0.0.1:{port}" in
                     json.loads((s.collector.dir / "state/addresses.json").read_text())["forward"])
            socket.create_connection(("127.0.0.1", port), 10).close()
    wait_count(s.server, '{source="forward"} | who=~"other.*"', 200)
    exact(s.server, '{source="forward"} | who=~"other.*"', 7 * 10**9, first)


def away(s, path):
    """1.5 MB where 1 MB has room: the rest waits at the client."""
    s.collector.stop()
    s.collector.inputs = inputs(s.work, ", spool_bytes: 1MiB")
    s.collector.start()
    wait_for("the socket", lambda: path.exists() and metric(s, "logq_collector_forward_connections_total") == 0)
    s.server.stop()
    first = 5 * 10**9
    c = Client(path, "late", first, first + 300, per_chunk=10, filler=" " + "x" * 5000)
    c.start()
    wait_for("a full spool", lambda: metric(s, "logq_collector_forward_paused_total") >= 1, 60)
    assert c.is_alive() and c.acked < 30, c.acked
    s.server.start()
    wait_for("all acks", lambda: not c.is_alive(), 60)
    selector = '{source="forward"} | who="late"'
    wait_count(s.server, selector, 300)
    exact(s.server, selector, first, first + 300)


def inputs(work, more=""):
    return (f"  - {{type: forward, listen: ['unix:{work}/f.sock', '127.0.0.1:0'], listen_mode: '0620', "
            f"listen_group: '{GROUP}', labels: {{app: shop}}{more}}}\n")


def run():
    rnd = seed()
    with stage(inputs("@"), "metrics: {listen: '127.0.0.1:0'}\n") as s:
        path = s.work / "f.sock"
        s.collector.start()
        wait_for("the socket", path.exists)
        real_clients(s, path)
        docker_driver(s, path)
        kills(s, path, rnd)
        other_addresses(s, path)
        away(s, path)
        assert s.server.entries('{source="logq"}') == [], s.server.entries('{source="logq"}')
        s.collector.stop()
        assert os.getuid() == 0 or not path.exists()  # who was root has given up the right to remove it
        s.server.stop()


main(run)
