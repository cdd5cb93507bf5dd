#!/usr/bin/env python3
# label: story
# timeout: 200
"""Two programs write stack traces: one to stdout and stderr in turn, as Java, Python and Go print them, lines cut in pieces by
the runtime; the other records of its own shape, which a start pattern describes.  Both logs are rotated in the midst of
records, and the collector is killed while records are open.  Each record is at the server once, with the lines it was written
with, and no line is anywhere else.  The last one, which nothing follows, comes when it has not grown for a while."""
import collections
import os
import signal
import time

from lib import LONG, gaps, main, seed, stage, stamp, wait_count, wait_for

RECORDS = 6_000 if LONG else 1_500
KILLS = 20 if LONG else 5
INPUTS = """  - type: cri
    paths: ['@/pods/shop_web_1/app/*.log']
    multiline: {format: auto}
  - type: cri
    paths: ['@/pods/shop_own_2/own/*.log']
    multiline: {start: '^\\[[0-9]+\\] '}
"""


def traced(rnd, n):
    """A record as its lines; each has the number n."""
    kind = rnd.randrange(5)
    if kind == 0:
        return [f"java.lang.IllegalStateException: record {n}", *(f"\tat com.acme.Shop.f{i}(Shop.java:{n})" for i in
                range(rnd.randrange(1, 20))), f"Caused by: java.io.IOException: {n}", f"\t... {n} more"]
    if kind == 1:
        return ["Traceback (most recent call last):", *(f'  File "shop.py", line {n}, in f{i}' for i in range(rnd.randrange(1, 9))),
                f"ValueError: {n}"]
    if kind == 2:
        return [f"panic: record {n}", "", "goroutine 1 [running]:", f"main.f(0x{n})", f"\t/src/main.go:{n} +0x1d"]
    return [f"plain record {n}"]


def owned(rnd, n):
    return [f"[{n}] own record", *(f"  more of {n}: {i}" for i in range(rnd.randrange(12)))]


class Log:
    """A CRI log with two streams that is rotated by rename at any line."""

    def __init__(self, path, make, rnd, streams):
        self.path, self.make, self.rnd = path, make, rnd
        self.path.parent.mkdir(parents=True)
        self.file = open(path, "wb", buffering=0)
        self.waiting = {name: [] for name in streams}  # lines of the record that is being written
        self.written = collections.Counter()
        self.n = self.turns = 0
        self.may_rotate = False  # what was rotated before the collector saw the log is left alone

    def piece(self, stream, tag, text):
        self.file.write(f"{stamp()} {stream} {tag} {text}\n".encode())

    def line(self, stream, text):
        cut = self.rnd.randrange(1, len(text)) if len(text) > 1 and self.rnd.randrange(8) == 0 else 0
        if cut:
            self.piece(stream, "P", text[:cut])
        self.piece(stream, "F", text[cut:])

    def step(self):
        """One line of one of the streams; now and then a new file."""
        stream = self.rnd.choice(list(self.waiting))
        if not self.waiting[stream]:
            lines = self.make(self.rnd, self.n)
            self.n += 1
            self.written[stream, "\n".join(lines)] += 1
            self.waiting[stream] = lines[::-1]
        self.line(stream, self.waiting[stream].pop())
        if self.may_rotate and self.rnd.randrange(1500) == 0:
            self.turns += 1
            os.rename(self.path, f"{self.path}.{time.strftime('%Y%m%d-%H%M%S')}.{self.turns}")
            self.file = open(self.path, "wb", buffering=0)

    def finish(self):
        for stream, lines in self.waiting.items():
            while lines:
                self.line(stream, lines.pop())


def stored(server, container):
    return collections.Counter((e["labels"].get("stream") or e["attributes"]["stream"], e["line"])
                               for e in server.entries('{container="%s"}' % container))


def compare(server, log, container):
    got = stored(server, container)
    wrong = list((got - log.written).items())[:3], list((log.written - got).items())[:3]
    assert got == log.written, f"{container}: not written so {wrong[0]}, not there {wrong[1]}"
    print(f"{container}: {sum(got.values())} records, {sum(t.count(chr(10)) + 1 for _, t in got)} different lines, {log.turns} rotations")


def run():
    rnd = seed()
    with stage(INPUTS, "multiline_timeout: 10m\n") as s:
        web = Log(s.work / "pods/shop_web_1/app/0.log", traced, rnd, ("stdout", "stderr"))
        own = Log(s.work / "pods/shop_own_2/own/0.log", owned, rnd, ("stdout",))
        s.collector.start()
        kill_at = sorted(rnd.randrange(RECORDS) for _ in range(KILLS))
        while web.n < RECORDS:
            for _ in range(40):
                web.step()
                own.step()
            if not web.may_rotate:
                for container in ("app", "own"):
                    wait_for(f"a record of {container}", lambda c=container: stored(s.server, c))
                web.may_rotate = own.may_rotate = True
            while kill_at and kill_at[0] <= web.n:
                kill_at.pop(0)
                time.sleep(rnd.uniform(0, 0.4))  # a moment of the plan, not a wait for an effect
                s.collector.kill()
                s.collector.start(configure=False)
        web.finish()
        for stream in web.waiting:  # what stands alone ends what is before it
            web.line(stream, "the end")
            web.written[stream, "the end"] += 1
        own.finish()
        wait_count(s.server, '{container="app"}', sum(web.written.values()))
        wait_count(s.server, '{container="own"}', sum(own.written.values()) - 1)
        config = s.collector.dir / "collector.yaml"
        config.write_text(config.read_text().replace("multiline_timeout: 10m", "multiline_timeout: 100ms"))
        os.kill(s.collector.process.pid, signal.SIGHUP)
        wait_for("the record that nothing follows", lambda: stored(s.server, "own") == own.written)
        compare(s.server, web, "app")
        compare(s.server, own, "own")
        assert gaps(s.server) == [], gaps(s.server)
        s.collector.stop()
        s.server.stop()


main(run)
