"""Many clients of one server: pushes whose acks are timed, requests all at once, followers.  Standard library only.

Followers and pushes are processes of their own, so that no client waits for another's interpreter; times are CLOCK_MONOTONIC,
which all processes of a machine share.
"""
import base64
import contextlib
import http.client
import json
import multiprocessing
import os
import re
import selectors
import socket
import ssl
import struct
import time
import urllib.parse

FORK = multiprocessing.get_context("fork")


def connection(server):
    return http.client.HTTPSConnection(server.addresses["https"][0], context=server.context, timeout=600)


class Pushes:
    """A connection that pushes.  Each ack has two times: until the client has it, and until the kernel has it for the client
    (SO_TIMESTAMPING).  In between the client waits for its turn on the processors, which in earnest are not the server's."""
    STAMP, SOFTWARE = 37, 1 << 3 | 1 << 4

    def __init__(self, server):
        host, port = server.addresses["https"][0].rsplit(":", 1)
        self.head = (f"POST /loki/api/v1/push HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {server.token}\r\n"
                     "Content-Type: application/json\r\nContent-Length: ")
        self.socket = socket.create_connection((host, int(port)), 600)
        self.socket.setsockopt(socket.SOL_SOCKET, self.STAMP, self.SOFTWARE)
        self.into, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = server.context.wrap_bio(self.into, self.out, server_hostname=host)
        self.call(self.tls.do_handshake)

    def receive(self):
        """What comes goes to TLS; the time of its last byte, as the kernel has it."""
        data, extra, _, _ = self.socket.recvmsg(65536, 256)
        assert data, "the server has closed"
        self.into.write(data)
        return next(seconds + nanoseconds / 1e9 for level, kind, stamp in extra if (level, kind) == (socket.SOL_SOCKET, self.STAMP)
                    for seconds, nanoseconds in [struct.unpack_from("qq", stamp)])

    def call(self, step):
        """Its result, and when the last byte for it came."""
        came = 0.0
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self.socket.sendall(self.out.read())
                came = self.receive()
            else:
                self.socket.sendall(self.out.read())
                return result, came

    def push(self, body):
        """Milliseconds until the client has the ack, and until its kernel has it."""
        self.tls.write(f"{self.head}{len(body)}\r\n\r\n{body}".encode())
        request, answer = self.out.read(), b""
        begin, sent = time.monotonic(), time.time()
        self.socket.sendall(request)
        while b"\r\n\r\n" not in answer:
            piece, came = self.call(lambda: self.tls.read(65536))
            answer += piece
        assert answer.startswith(b"HTTP/1.1 204 "), answer
        return (time.monotonic() - begin) * 1000, (came - sent) * 1000


def push_forever(server, pipe):
    """A hundred lines twenty times a second; "taken" hands over the times since the last, anything else ends it."""
    pushes, took, serial = Pushes(server), [], 0
    due = time.monotonic()
    while True:
        while pipe.poll(max(0.0, due - time.monotonic())):
            word = pipe.recv()
            pipe.send(took)
            took = []
            if word != "taken":
                return
        due = max(due + 0.05, time.monotonic())
        now = time.time_ns()
        values = [[str(now + k), f"ping {serial + k} of the one who pushes, status {k % 5}00"] for k in range(100)]
        took.append(pushes.push(json.dumps({"streams": [{"stream": {"job": "pusher"}, "values": values}]})))
        serial += 100


class Pusher:
    """One that pushes while it is entered."""

    def __init__(self, server):
        self.pipe, theirs = FORK.Pipe()
        self.process = FORK.Process(target=push_forever, args=(server, theirs), daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def ask(self, word):
        self.pipe.send(word)
        assert self.pipe.poll(600), "pushes do not return"
        return self.pipe.recv()

    def taken(self):
        """Of every ack since the last time, milliseconds until the client has it and until its kernel has it."""
        return self.ask("taken")

    def __exit__(self, *what):
        self.ask("end")
        self.process.join(10)


def leave(server, path, after):
    """Ask, and go away so many seconds later without an answer."""
    wire = connection(server)
    wire.connect()
    wire.request("GET", path, headers={"Authorization": f"Bearer {server.token}"})
    time.sleep(after)
    wire.close()


class Asker:
    """One connection that asks, driven by whoever selects: its handshake, then a request and its answer, and perhaps more of them."""

    def __init__(self, server):
        host, port = server.addresses["https"][0].rsplit(":", 1)
        plain = socket.create_connection((host, int(port)), 60)
        plain.setblocking(False)
        self.wire = server.context.wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
        self.head = f" HTTP/1.1\r\nHost: {host}:{port}\r\nAuthorization: Bearer {server.token}\r\n"
        self.answer, self.wanted, self.shaken, self.ended = bytearray(), None, False, False

    def shake(self):
        """Go on with the handshake; true: it is over."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.wire.do_handshake()
            self.shaken = True
        return self.shaken

    def ask(self, path, keep):
        """`keep`: this is not the last request."""
        self.answer, self.wanted = bytearray(), None
        self.begin = time.monotonic()
        self.wire.sendall(f"GET {path}{self.head}{'' if keep else 'Connection: close' + chr(13) + chr(10)}\r\n".encode())

    def read(self):
        """Take what is there; true: the answer has come, or ended early."""
        with contextlib.suppress(ssl.SSLWantReadError):
            while self.wanted is None or len(self.answer) < self.wanted:
                piece = self.wire.recv(65536)
                self.ended = not piece
                if self.ended:
                    return True
                self.answer += piece
                end = self.answer.find(b"\r\n\r\n") if self.wanted is None else -1
                if end >= 0:
                    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", self.answer[:end])
                    self.wanted = end + 4 + int(length[1]) if length else None
            return True
        return False

    def failure(self):
        """What is wrong with the answer; "": nothing."""
        head, _, body = self.answer.partition(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200 "):
            return (head.split(b"\r\n")[0] + b" " + body[:120]).decode("utf-8", "replace")
        return "" if self.wanted == len(self.answer) else "the answer was cut"


def select_all(askers, step):
    """Call step(asker) for each that can be read, until it was true for every one."""
    end = time.monotonic() + 600
    with selectors.EpollSelector() as selector:
        for asker in askers:
            selector.register(asker.wire, selectors.EVENT_READ, asker)
        while selector.get_map():
            assert time.monotonic() < end, f"{len(selector.get_map())} clients still wait"
            for key, _ in selector.select(1):
                if step(key.data):
                    selector.unregister(key.data.wire)


def open_all(server, count):
    """So many connections, their handshakes at once."""
    askers = [Asker(server) for _ in range(count)]
    for asker in askers:
        asker.shake()
    select_all(askers, Asker.shake)
    return askers


def ask_all(askers, paths, keep):
    """All at once; milliseconds of each answer, and what failed."""
    took = []

    def answered(asker):
        if not asker.read():
            return False
        took.append((time.monotonic() - asker.begin) * 1000)
        return True

    for asker, path in zip(askers, paths):
        asker.ask(path, keep)
    select_all(askers, answered)
    return took, list(filter(None, map(Asker.failure, askers)))


def crowd_until_end(server, nice, keep, pipe):
    os.nice(nice)
    askers = []
    while paths := pipe.recv():
        askers += open_all(server, len(paths) - len(askers))
        pipe.send(ask_all(askers, paths, keep))
        for asker in askers:
            if asker.ended or not keep:
                asker.wire.close()
        askers = [asker for asker in askers if keep and not asker.ended]


class Crowd:
    """Clients that ask all at once whenever they are told, each path over a connection of its own: of new ones each time, with their
    handshakes at once before, or of those they have (`keep`).  One process and one thread: hundreds that run at the same time would
    take the server's turns on this machine, which clients on machines of their own do not; at nice 19 it gives way to the server and
    to who pushes altogether."""

    def __init__(self, server, nice, keep):
        self.pipe, theirs = FORK.Pipe()
        self.process = FORK.Process(target=crowd_until_end, args=(server, nice, keep, theirs), daemon=True)

    def __enter__(self):
        self.process.start()
        return self

    def ask(self, paths):
        """Milliseconds of each answer, and what failed."""
        self.pipe.send(paths)
        return self.pipe.recv()

    def __exit__(self, *what):
        self.pipe.send(None)
        self.process.join(10)


def open_tail(server, query):
    """A socket that follows; its handshake is over."""
    host, port = server.addresses["https"][0].rsplit(":", 1)
    wire = server.context.wrap_socket(socket.create_connection((host, int(port)), 60), server_hostname=host)
    key = base64.b64encode(os.urandom(16)).decode()
    wire.sendall((f"GET /loki/api/v1/tail?limit=0&query={urllib.parse.quote(query)} HTTP/1.1\r\nHost: {host}:{port}\r\n"
                  f"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
                  f"Authorization: Bearer {server.token}\r\n\r\n").encode())
    head = b""
    while b"\r\n\r\n" not in head:
        more = wire.recv(4096)
        assert more, head
        head += more
    assert head.split(b" ", 2)[1] == b"101", head
    wire.setblocking(False)
    return wire


def push_lines(server, lines, start, acks):
    """A line every 50 ms that holds the time at which its push began; sends the milliseconds of the acks."""
    wire, took = connection(server), []
    wire.connect()
    start.wait()
    for _ in range(lines):
        begin = time.monotonic_ns()
        values = [[str(time.time_ns()), f"t={begin}."]]
        wire.request("POST", "/loki/api/v1/push", json.dumps({"streams": [{"stream": {"job": "followed"}, "values": values}]}),
                     {"Authorization": f"Bearer {server.token}", "Content-Type": "application/json"})
        answer = wire.getresponse()
        answer.read()
        assert answer.status == 204, answer.status
        took.append((time.monotonic_ns() - begin) / 1e6)
        time.sleep(0.05)
    acks.send(took)


def follow(server, followers, lines):
    """Milliseconds from the begin of a push until each follower has its line, and until its ack; this process' CPU milliseconds for
    one line at one follower."""
    start, (acks, theirs) = FORK.Event(), FORK.Pipe()
    pusher = FORK.Process(target=push_lines, args=(server, lines, start, theirs), daemon=True)
    pusher.start()
    wires = [open_tail(server, '{job="followed"}') for _ in range(followers)]
    selector = selectors.EpollSelector()
    for wire in wires:
        selector.register(wire, selectors.EVENT_READ)
    took, seen, end = [], dict.fromkeys(wires, 0), time.monotonic() + 60 + lines * 0.1
    start.set()
    cpu = time.process_time()
    while len(took) < followers * lines:
        assert time.monotonic() < end, f"{len(took)} of {followers * lines} lines came"
        for key, _ in selector.select(1):
            try:
                while True:
                    data = key.fileobj.recv(65536)
                    assert data, "the server has closed"
                    now = time.monotonic_ns()
                    came = re.findall(rb"t=(\d+)\.", data)  # a line is far smaller than a TLS record, so it comes whole
                    took += [(now - int(t)) / 1e6 for t in came]
                    seen[key.fileobj] += len(came)
            except (ssl.SSLWantReadError, BlockingIOError):
                pass
    cpu = time.process_time() - cpu
    assert set(seen.values()) == {lines}, "a follower got a line twice"
    acked = acks.recv()
    pusher.join(10)
    for wire in wires:
        wire.close()
    return took, acked, cpu * 1000 / len(took)
