#!/usr/bin/env python3
"""Does memory or a descriptor leak?  soak_storage.py [SECONDS] (default 900).

A server under everything at once: pushes spread over twenty days, queries, flushes, compaction, retention by size, delete
requests.  Every 20 s (in short runs more often) the load rests until nothing is under way, as what queries and compaction
hold for the moment is more than all the rest; the head is flushed; then the server is asked for the bytes that its
allocator has handed out, and the kernel for its anonymous memory and open descriptors.  It fails if one of them in the last
third exceeds that of the middle third by more than a tenth (in runs shorter than 5 min, which are over before caches are
full: by more than the same again), if anything is answered with an error, or if one of the parts did nothing.

Of memory the lower quartile of a third counts: compaction and retention work on their own account too.  Pss is printed but
not judged: pages of libraries count by how many other processes have them.
Standard library only; LOGQ_BIN: where the programs are; LOGQ_SEED repeats a run's data.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LOGQ_BIN", ROOT / "build" / "release" / "bin"))
DAY = 86400 * 10**9
DAYS, LINES, APPS = 20, 2000, 12
PAUSE = 0.25  # between pushes: about 8,000 lines/s
CONFIG = """
http:
  listen: 127.0.0.1:0
forward:
  listen: 127.0.0.1:0
storage:
  head: 8MiB
  wal: 32MB
  ballast: 1MB
  flush_age: 5s
  max_bytes: {max_bytes}
query:
  cache: 8MiB
"""
QUERIES = [
    '{app=~".+"} |= "4711"',
    '{app=~".+"} |~ "took [0-9]{3} ms"',
    '{app="app-3"} |~ "(?i)ERROR"',
    'sum by (app) (count_over_time({app=~".+"}[6h]))',
    'sum by (level) (count_over_time({app="app-1"} | logfmt | __error__="" [1d]))',
    'max_over_time({app="app-2"} | logfmt | unwrap took | __error__="" [10m]) by (app)',
]


class Server:
    def __init__(self, directory, max_bytes):
        self.directory = directory
        config = directory / "server.yaml"
        config.write_text(CONFIG.format(max_bytes=max_bytes))
        self.log = open(directory / "server.log", "ab")
        self.process = subprocess.Popen(
            [BIN / "logq-server", "run", "--dev", "--config", config, "--data", directory / "data"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        addresses = directory / "run" / "addresses.json"
        end = time.monotonic() + 30
        while not (addresses.exists() and addresses.stat().st_size):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit((directory / "server.log").read_text() + "the server does not start")
            time.sleep(0.05)
        self.url = "http://" + json.loads(addresses.read_text())["https"][0].split("://")[-1]

    def ask(self, path, body=None, **parameters):
        url = self.url + path + ("?" + urllib.parse.urlencode(parameters) if parameters else "")
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"} if body else {},
                                         method="POST" if body is not None else "GET")
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return answer.read()
        except urllib.error.HTTPError as problem:
            raise RuntimeError(f"{path} {parameters}: {problem.code} {problem.read()[:300]!r}") from problem

    def sample(self):
        """What is judged and shown, by name; kB but for descriptors."""
        pid = self.process.pid
        kb = {line.split(":")[0]: int(line.split()[1]) for line in open(f"/proc/{pid}/smaps_rollup") if line.endswith(" kB\n")}
        return {"allocated": int(self.metric("logq_memory_allocated_bytes")) >> 10, "anonymous": kb["Anonymous"], "Pss": kb["Pss"],
                "cache": int(self.metric("logq_store_cache_bytes")) >> 10, "descriptors": len(os.listdir(f"/proc/{pid}/fd"))}

    def metric(self, name):
        for line in self.ask("/metrics").decode().splitlines():
            if line.split(" ")[0].split("{")[0] == name:
                return float(line.rsplit(" ", 1)[1])
        raise KeyError(name)


class Load:
    """Threads that each do one thing until told to end; the first problem ends all."""

    def __init__(self, server, rng):
        self.server, self.rng = server, rng
        self.over = threading.Event()
        self.changed = threading.Condition()  # guards the next two
        self.resting, self.busy = False, 0
        self.problem = None
        self.done = dict.fromkeys(("push", "query", "flush", "compact", "delete"), 0)
        self.threads = [threading.Thread(target=self.loop, args=a, daemon=True) for a in (
            ("push", self.push, PAUSE), ("query", self.query, 0.1), ("flush", self.flush, 7), ("compact", self.compact, 20),
            ("delete", self.delete, 15))]
        for thread in self.threads:
            thread.start()

    def loop(self, name, work, pause):
        while not self.over.wait(pause):
            with self.changed:
                self.changed.wait_for(lambda: not self.resting)
                self.busy += 1
            try:
                work()
            except Exception as problem:  # whatever it is, the run has failed
                self.problem = self.problem or f"{name}: {problem}"
                self.over.set()
                return
            finally:
                with self.changed:
                    self.busy -= 1
                    self.changed.notify_all()
            self.done[name] += 1

    @contextlib.contextmanager
    def rest(self):
        """Nothing is asked of the server meanwhile."""
        with self.changed:
            self.resting = True
            idle = self.changed.wait_for(lambda: self.busy == 0, 180)
        try:
            if not idle:
                raise RuntimeError("a request took longer than 3 min")
            yield
        finally:
            with self.changed:
                self.resting = False
                self.changed.notify_all()

    def push(self):
        now = time.time_ns()
        base = now - self.rng.randrange(DAYS) * DAY
        streams = {}
        for i in range(LINES):
            n = self.rng.getrandbits(40)
            line = (f"level={('info', 'warn', 'error')[n % 3]} took={n % 997} id={n:010x} msg=\"request {i} served\"" if n % 4
                    else f"GET /item/{n % 5000} took {n % 1000} ms, {('ok', 'Error: timeout')[n % 2]}")
            streams.setdefault(n % APPS, []).append([str(base - 10**9 + i * 10**5), line])
        body = {"streams": [{"stream": {"app": f"app-{app}", "host": f"h{app % 3}"}, "values": values}
                            for app, values in streams.items()]}
        self.server.ask("/loki/api/v1/push", json.dumps(body).encode())

    def query(self):
        end = time.time_ns()
        text = QUERIES[self.done["query"] % len(QUERIES)]
        self.server.ask("/loki/api/v1/query_range", query=text, start=end - DAYS * DAY, end=end, limit=100, step="6h")

    def flush(self):
        self.server.ask("/api/v1/admin/flush", b"")

    def compact(self):
        self.server.ask("/api/v1/admin/compact", b"", wait="1")

    def delete(self):
        end = time.time_ns()
        app = self.rng.randrange(APPS)
        text = f'{{app="app-{app}"}} |= "took {self.rng.randrange(1000)} ms"'
        self.server.ask("/loki/api/v1/delete", b"", query=text, start=(end - DAYS * DAY) // 10**9, end=end // 10**9)

    def end(self):
        self.over.set()
        for thread in self.threads:
            thread.join(180)


def grew(samples, name, part, factor):
    """The quantile of the last third over that of the middle third."""
    values = [s[name] for s in samples]
    third = len(values) // 3
    middle, last = (sorted(v)[int(len(v) * part)] for v in (values[third:2 * third], values[2 * third:]))
    print(f"{name}: {values[0]} at first, {part:.0%} below {middle} in the middle third, below {last} in the last ({last / middle - 1:+.1%}); "
          f"{max(values)} at most")
    return last > factor * middle


def main():
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else 900
    seed = int(os.environ.get("LOGQ_SEED", random.SystemRandom().randrange(1 << 31)))
    print(f"soak: {seconds:.0f} s, seed {seed}", flush=True)
    directory = pathlib.Path(tempfile.mkdtemp(prefix="logq-soak-"))
    # Small enough that days are being dropped well before the middle third.
    server = Server(directory, int(seconds * 20_000))
    load = Load(server, random.Random(seed))
    samples = []
    every = min(20, seconds / 30)
    begin = time.monotonic()
    end = begin + seconds
    while time.monotonic() < end and not load.over.wait(every):
        try:
            with load.rest():
                load.flush()
                samples.append(server.sample())
        except (OSError, KeyError, RuntimeError) as problem:
            load.problem = load.problem or f"the server is gone: {problem}"
            break
        if len(samples) % 5 == 0:
            print(f"{time.monotonic() - begin:6.0f} s  {samples[-1]}  {load.done}", flush=True)
    load.end()
    failed = [load.problem] if load.problem else []
    if not failed:
        dropped = server.metric("logq_store_partitions_dropped_for_size_total")
        print(f"done: {load.done}, days dropped {dropped:.0f}")
        failed += [f"no {name} was done" for name, n in load.done.items() if n == 0]
        failed += ["retention dropped nothing"] if dropped == 0 else []
        factor = 1.1 if seconds >= 300 else 2
        for name, part in (("allocated", 0.25), ("anonymous", 0.25), ("descriptors", 0.5)):
            failed += [f"{name} grew"] if grew(samples, name, part, factor) else []
        grew(samples, "Pss", 0.5, factor)
    server.process.terminate()
    if server.process.wait(60) != 0:
        failed.append(f"the server ended with {server.process.returncode}")
    if failed:
        raise SystemExit(f"soak: FAILED: {'; '.join(failed)}; kept {directory}")
    shutil.rmtree(directory)
    print("soak: passed")


main()
