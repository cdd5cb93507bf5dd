#!/usr/bin/env python3
"""tests/soak/storage.py [MINUTES] [BIN] - ingest, queries, compaction, deletes and retention at once; memory and descriptors stay flat.

A release server takes about 8 MB/s of lines over push, of the last three days and of today, while five kinds of queries
run, all is compacted every half minute, a stream is deleted every minute and retention by size drops days.  Pss and
descriptors are sampled every 5 s: the median of the last third may be at most a tenth, or 16 (MB, descriptors), above that
of the middle third.
Exits 1 when not, or when any request fails.  A short run (1 minute) shows that it works, 15 minutes what it is for.
"""
import gzip
import json
import os
import pathlib
import random
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
MINUTES = float(sys.argv[1]) if len(sys.argv) > 1 else 15
BIN = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else ROOT / "build" / "release" / "bin")
DAY = 86400 * 10**9


class Server:
    def __init__(self, directory):
        self.dir = directory / "server"
        subprocess.run([BIN / "logq-server", "init", self.dir], check=True, stdout=subprocess.DEVNULL)
        conf = self.dir / "server.yaml"
        text = conf.read_text().replace(":3100", ":0").replace(":24224", ":0")
        conf.write_text(text + "\nstorage: {retention: 4d, max_bytes: 150MB, flush_age: 10s}\n" if "\nstorage:" not in text else
                        text.replace("\nstorage:", "\nstorage:\n  max_bytes: 150MB\n  flush_age: 10s", 1))
        self.process = subprocess.Popen([BIN / "logq-server", "run", "--config", conf], stdout=open(directory / "log", "wb"),
                                        stderr=subprocess.STDOUT)
        self.context = ssl.create_default_context(cafile=self.dir / "tls" / "ca.crt")
        self.token = (self.dir / "admin.token").read_text().strip()
        end = time.monotonic() + 60
        path = self.dir / "run" / "addresses.json"
        while not path.exists():
            assert self.process.poll() is None and time.monotonic() < end, (directory / "log").read_text()
            time.sleep(0.05)
        self.address = json.loads(path.read_text())["https"][0]

    def send(self, path, body=None, method=None, headers=None, **params):
        request = urllib.request.Request(f"https://{self.address}{path}?{urllib.parse.urlencode(params)}", data=body, method=method,
                                         headers={"Authorization": f"Bearer {self.token}"} | (headers or {}))
        with urllib.request.urlopen(request, timeout=120, context=self.context) as answer:
            return answer.read()

    def sample(self):
        pss = 0
        for line in open(f"/proc/{self.process.pid}/smaps_rollup"):
            if line.startswith("Pss:"):
                pss = int(line.split()[1]) / 1024
        return pss, len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def metric(self, name):
        return sum(float(line.rsplit(" ", 1)[1]) for line in self.send("/metrics").decode().splitlines()
                   if line.startswith(name) and line[len(name)] in " {")


class Soak:
    def __init__(self, server):
        self.server, self.end, self.failures, self.done = server, threading.Event(), [], {}

    def loop(self, name, pause, action):
        def body():
            rng = random.Random(name)
            while not self.end.wait(pause):
                try:
                    action(rng)
                    self.done[name] = self.done.get(name, 0) + 1
                except Exception as e:  # what it is, is the finding
                    text = e.read().decode(errors="replace") if isinstance(e, urllib.error.HTTPError) else repr(e)
                    self.failures.append(f"{name}: {e}: {text[:200]}")
                    self.end.set()
        thread = threading.Thread(target=body)
        thread.start()
        return thread

    def push(self, rng):
        now = time.time_ns()
        streams = []
        for pod in rng.sample(range(300), 10):
            back = rng.choice([0, 0, 0, 1, 2, 3]) * DAY
            values = [[str(now - back - rng.randrange(10**9)), rng.choice([
                f'{{"level":"info","status":{rng.choice([200, 200, 404, 500])},"trace":"{rng.getrandbits(128):032x}","took":{rng.random():.4f}}}',
                f"2026-11-22 10:{rng.randrange(60):02d} INFO Received block blk_{rng.randrange(10**10)} of size {rng.randrange(10**8)} from 10.1.{rng.randrange(256)}.7",
                f"level=warn component=worker msg=\"retrying call\" n={rng.randrange(10**6)} took={rng.random():.3f}ms"])]
                for _ in range(400)]
            streams.append({"stream": {"app": f"app-{pod % 7}", "pod": f"pod-{pod}"}, "values": values})
        body = gzip.compress(json.dumps({"streams": streams}).encode(), 1)
        self.server.send("/loki/api/v1/push", body, "POST", {"Content-Type": "application/json", "Content-Encoding": "gzip"})

    def query(self, rng):
        now = time.time_ns()
        text = rng.choice(['{app="app-1"} |= "Received block"', '{app=~"app-.*"} |= "blk_12345"', '{app="app-2"} |~ "status\\":5.."',
                           'sum by (app) (count_over_time({app=~".+"}[5m]))', 'sum(count_over_time({app="app-3"} | json | status >= 500 [5m]))'])
        self.server.send("/loki/api/v1/query_range", query=text, start=str(now - 3 * DAY), end=str(now), step="600", limit="500")

    def listing(self, _):
        now = time.time_ns()
        self.server.send("/loki/api/v1/label/pod/values", start=str(now - 3 * DAY), end=str(now))
        self.server.send("/loki/api/v1/patterns", query='{app="app-1"}', start=str(now - 10**11), end=str(now), step="60")

    def compact(self, _):
        self.server.send("/api/v1/admin/compact", b"", "POST")

    def delete(self, rng):
        now = time.time()
        self.server.send("/loki/api/v1/delete", b"", "POST", query=f'{{pod="pod-{rng.randrange(300)}"}} |= "retrying"',
                         start=str(int(now - 3 * 86400)), end=str(int(now)))


def verdict(name, values):
    third = len(values) // 3
    middle, last = statistics.median(values[third:2 * third]), statistics.median(values[2 * third:])
    print(f"{name}: middle third {middle:.1f}, last third {last:.1f}, peak {max(values):.1f}")
    return last <= max(1.1 * middle, middle + 16)


def main():
    with tempfile.TemporaryDirectory(prefix="logq-soak-") as directory:
        server = Server(pathlib.Path(directory))
        soak = Soak(server)
        threads = [soak.loop("push 1", 0.05, soak.push), soak.loop("push 2", 0.05, soak.push), soak.loop("query 1", 0.1, soak.query),
                   soak.loop("query 2", 0.1, soak.query), soak.loop("listing", 1, soak.listing), soak.loop("compact", 30, soak.compact),
                   soak.loop("delete", 60, soak.delete)]
        pss, fds = [], []
        stop = time.monotonic() + MINUTES * 60
        while time.monotonic() < stop and not soak.end.wait(5):
            p, f = server.sample()
            pss.append(p)
            fds.append(f)
        counted = {n: server.metric(n) for n in ("logq_store_records_total", "logq_store_partitions_dropped_total", "logq_store_segments")}
        soak.end.set()
        for thread in threads:
            thread.join()
        server.process.terminate()
        code = server.process.wait(120)
        print(f"{MINUTES:g} min: {soak.done}; {counted}; exit {code}")
        flat = [verdict("Pss MB", pss), verdict("descriptors", fds)] if len(pss) >= 6 else [False]
        for failure in soak.failures:
            print(failure)
        return 0 if all(flat) and not soak.failures and code == 0 else 1


if __name__ == "__main__":
    sys.exit(main())
