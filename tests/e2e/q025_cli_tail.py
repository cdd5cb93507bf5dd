#!/usr/bin/env python3
# timeout: 300
"""`logq tail` is told by the server what becomes durable, over TLS and with a token.

logq: shows each line before the next is pushed, asking nothing in between; over restarts of a busy server it shows every line
once, many of the same time, and those that are late; where its own reader is slow it says so, and still shows every line once;
it ends at once when that reader goes, and with 4 when its token is taken away; it leaves a server that fell silent, and shows
what one lacked that still read its WAL.
server: holds one tail for each logq, and none when it has ended.
"""
import os
import signal
import subprocess
import threading
import time

from lib import BIN, SLOW, Server, free_port, main, wait_for, workspace

S = 10**9
LINES, RESTARTS, DROPPED = 600, 3, 3000
SECOND = "  - name: second\n    token_file: second.token\n    tenants: [default]\n    role: reader\n"


class Tail:
    """`logq tail` whose stdout is read as long as `reads` is set."""

    def __init__(self, server, *args, **env):
        self.process = subprocess.Popen([BIN / "logq", "tail", *args], env=dict(os.environ, **server.environment(), **env),
                                        text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.lines, self.said = [], []
        self.reads = threading.Event()
        self.reads.set()
        self.threads = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.said))]
        for thread in self.threads:
            thread.start()

    def read(self, stream, to):
        for line in stream:
            to.append(line.rstrip("\n"))
            if to is self.lines:
                self.reads.wait()

    def wait(self, what, done):
        end = time.monotonic() + 60 * SLOW
        while not done():
            assert time.monotonic() < end and self.process.poll() is None, (
                what, self.process.poll(), len(self.lines), self.lines[-3:], self.said)
            time.sleep(0.01)

    def end(self, code=0, told=True):
        if told:
            self.process.terminate()
        assert self.process.wait(20 * SLOW) == code, self.said
        for thread in self.threads:
            thread.join()


def push(server, app, *lines, ts=None):
    server.push([({"app": app}, [(ts or time.time_ns(), line) for line in lines])])


def at_once(server):
    tail = Tail(server, '{app="now"}', "--since", "1m")
    wait_for("the tail to be open", lambda: server.metric("logq_tail_open") == 1)
    before = server.metric("logq_http_requests_total")
    took = []
    for i in range(20):
        began = time.monotonic()
        push(server, "now", f"line {i}")
        while len(tail.lines) <= i:
            assert time.monotonic() < began + 20 * SLOW, (i, tail.lines, tail.said)
            time.sleep(0.002)
        took.append(time.monotonic() - began)
    print(f"shown {sorted(took)[10] * 1000:.0f} ms after the push began, at most {max(took) * 1000:.0f} ms")
    assert tail.lines == [f"line {i}" for i in range(20)], tail.lines
    asked = server.metric("logq_http_requests_total") - before
    assert asked <= 22, f"{asked} requests for 20 pushes"  # and two of ours
    tail.end()
    assert tail.said == [], tail.said
    wait_for("the tail to be gone", lambda: server.metric("logq_tail_open") == 0)


def restarts(server):
    """A sender goes on meanwhile: three lines of the same time, one of them late, and again what was not acknowledged."""
    tail = Tail(server, '{app="busy"}', "--limit", "0")
    stopped = threading.Event()
    sent = []

    def send():
        n = 0
        while not stopped.is_set() or n < LINES:
            ts = time.time_ns() // S * S
            lines = [f"n {n + i}" for i in range(3)]
            while True:
                try:
                    push(server, "busy", lines[0], lines[1], ts=ts)
                    push(server, "busy", lines[2], ts=ts - 2 * S)
                    break
                except (OSError, AssertionError, AttributeError, TypeError):  # away, or not yet where it was
                    time.sleep(0.01)
                    lines[0] += "'"  # but this may be stored twice: it is a line of its own then
                    lines[1] += "'"
                    lines[2] += "'"
            sent.extend(lines)
            n += 3

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    for i in range(RESTARTS):
        seen = len(tail.lines)
        tail.wait("lines to come", lambda seen=seen: len(tail.lines) > seen + 100)
        if i == 0:
            server.kill()
        else:
            server.stop()
        tail.wait("word of its absence", lambda i=i: len(tail.said) == 2 * i + 1)
        server.start()
        tail.wait("word of its return", lambda i=i: len(tail.said) == 2 * i + 2)
    stopped.set()
    sender.join()
    stored = [e["line"] for e in server.entries('{app="busy"}')]
    assert len(stored) == len(set(stored)) and set(sent) <= set(stored)
    tail.wait("all lines", lambda: len(tail.lines) >= len(stored))
    tail.end()
    assert sorted(tail.lines) == sorted(stored), (len(tail.lines), len(stored), set(stored) ^ set(tail.lines))
    assert all("trying again" in said for said in tail.said[::2]) and all("again" in said for said in tail.said[1::2]), tail.said
    print(f"{len(stored)} lines over {RESTARTS} restarts")


def slow_reader(server):
    tail = Tail(server, '{app="slow"}', "--limit", "0")
    wait_for("the tail to be open", lambda: server.metric("logq_tail_open") == 1)
    push(server, "slow", "first")
    tail.wait("the first line", lambda: tail.lines)
    tail.reads.clear()
    sent = ["first"]
    dropped = server.metric("logq_tail_dropped_total")
    while server.metric("logq_tail_dropped_total") < dropped + DROPPED:
        lines = [f"{len(sent) + i} " + "x" * 1000 for i in range(1000)]
        push(server, "slow", *lines)
        sent += lines
        assert len(sent) < 200000, "nothing is ever dropped"
    tail.reads.set()
    tail.wait("all lines", lambda: len(tail.lines) >= len(sent))
    push(server, "slow", "last")
    tail.wait("the last line", lambda: tail.lines[-1] == "last")
    tail.end()
    assert sorted(tail.lines) == sorted(sent + ["last"]), (len(tail.lines), len(sent))
    assert sum("faster than they are read" in said for said in tail.said) == 1, tail.said
    print(f"{len(sent)} lines, {server.metric('logq_tail_dropped_total') - dropped:.0f} of them dropped for the slow reader")


def ends(server):
    push(server, "end", "one", "two", "three", "four")
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {BIN}/logq tail '{{app=\"end\"}}' | head -n 3"], text=True,
                          capture_output=True, env=dict(os.environ, **server.environment()), timeout=30 * SLOW, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "one\ntwo\nthree\n", ""), done
    long = '{app=~"' + "|".join(f"name{i}" for i in range(5000)) + '|end"}'  # too long for a request line
    tail = Tail(server, long, "-n", "1")
    tail.wait("the newest line", lambda: tail.lines == ["four"])
    push(server, "end", "five")
    tail.wait("the next", lambda: tail.lines == ["four", "five"])
    tail.end()


def silent(server):
    """A server that says nothing is left: not after a minute here, but at the tenth look in vain."""
    armed = server.dir / "silent.fault"
    push(server, "still", "before")
    tail = Tail(server, '{app="still"}', LOGQ_FAULT_FILE=str(armed))
    tail.wait("what is stored, so from now on it listens", lambda: tail.lines == ["before"])
    server.process.send_signal(signal.SIGSTOP)
    armed.write_text("tail.silent:fail:10\n")
    try:
        tail.wait("word of its silence", lambda: tail.said)
        assert len(tail.said) == 1 and "fell silent" in tail.said[0], tail.said
        armed.write_text("")
    finally:
        server.process.send_signal(signal.SIGCONT)
    tail.wait("word of its return", lambda: len(tail.said) == 2)
    push(server, "still", "there")
    tail.wait("a line", lambda: tail.lines == ["before", "there"])
    tail.end()
    assert "again" in tail.said[1], tail.said


def replay(server, held):
    """A server that has not read its WAL yet answers in part: what it lacks is shown when it has."""
    old, new = [f"old {i}" for i in range(20)], [f"new {i}" for i in range(5)]
    push(server, "wal", *old, ts=time.time_ns() - 1800 * S)
    server.kill()
    held.token, held.context = server.token, server.context
    try:
        held.start(ready=False)
        wait_for("addresses.json", held.addresses)
        push(held, "wal", *new[:3])
        tails = [Tail(held, '{app="wal"}', "--limit", limit) for limit in ("0", "10")]
        for tail in tails:
            tail.wait("the first lines", lambda tail=tail: sorted(tail.lines) == new[:3])
        push(held, "wal", *new[3:])
        for tail in tails:
            tail.wait("all that there is", lambda tail=tail: sorted(tail.lines) == new)
        held.kill()
        server.start()
        for tail in tails:
            tail.wait("the old lines", lambda tail=tail: len(tail.lines) >= len(old + new))
            tail.end()
            assert sorted(tail.lines) == sorted(old + new), tail.lines
    finally:
        held.discard()


def refused(server):
    tail = Tail(server, '{app="end"}', "-n", "1", "--token-file", server.dir / "second.token")
    tail.wait("a line", lambda: tail.lines)
    config = server.dir / "server.yaml"
    config.write_text(config.read_text().replace(SECOND, ""))
    server.process.send_signal(signal.SIGHUP)
    tail.end(4, told=False)
    assert "trying again" in tail.said[0] and "unknown token" in tail.said[-1], tail.said


def run():
    with workspace() as work:
        port = free_port()  # the same after a restart
        server = Server(work / "server").init(lambda text: text.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1) + SECOND)
        (server.dir / "second.token").write_text("lq_" + "2" * 43 + "\n")
        try:
            server.start()
            at_once(server)
            silent(server)
            slow_reader(server)
            ends(server)
            refused(server)
            restarts(server)
            replay(server, Server(work / "server", env={"LOGQ_FAULT": "replay.body:stop:1"}))
            server.stop()
        finally:
            server.discard()


main(run)
