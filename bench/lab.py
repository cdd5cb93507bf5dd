"""What the suites share: the programs under measurement, their data, their report.  Standard library only."""
import contextlib
import json
import os
import pathlib
import platform
import ssl
import statistics
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = ROOT / "build" / "release" / "bin"
TICK = os.sysconf("SC_CLK_TCK")


def machine():
    model = "unknown CPU"
    with contextlib.suppress(OSError):
        for line in open("/proc/cpuinfo"):
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    return f"{os.cpu_count()} x {model}, {os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') >> 30} GiB, Linux {platform.release()}"


def calibrate():
    """Seconds of CPU for fixed work: the same before and after means that the machine was quiet."""
    data = bytes(range(256)) * 40000
    begin = time.process_time()
    for _ in range(3):
        zlib.crc32(zlib.compress(data, 6))
    return time.process_time() - begin


class Watched(subprocess.Popen):
    """A process whose CPU seconds and peak of Pss are kept."""

    def __init__(self, argv, log):
        self.peak = 0
        self.done = threading.Event()
        super().__init__([str(a) for a in argv], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        self.sampler = threading.Thread(target=self.sample, daemon=True)
        self.sampler.start()

    def sample(self):
        while not self.done.wait(0.25):
            with contextlib.suppress(OSError, ValueError):
                self.peak = max(self.peak, self.pss())

    def pss(self):
        """Bytes now, of the program's processes together."""
        total = 0
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                for line in open(f"/proc/{pid}/smaps_rollup"):
                    if line.startswith("Pss:"):
                        total += int(line.split()[1]) * 1024
        return total

    def high_water(self):
        """Bytes that were resident at once, at most, of the one that was started."""
        for line in open(f"/proc/{self.pid}/status"):
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
        return 0

    def processes(self):
        """The one that was started and those that it has started."""
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{self.pid}/task/{self.pid}/children") as f:
            return [self.pid, *map(int, f.read().split())]
        return [self.pid]

    def cpu(self):
        """Seconds of all of them, also of those that have ended."""
        return sum(self.cpu_by_name().values())

    def cpu_exact(self):
        """Seconds of all threads that live, as the scheduler counts them: clock ticks say nothing of what takes less."""
        total = 0
        for pid in self.processes():
            for task in pathlib.Path(f"/proc/{pid}/task").glob("*/schedstat"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    total += int(task.read_text().split()[0])
        return total / 1e9

    def cpu_by_name(self):
        """The same by the names of the processes; what has ended is the first one's."""
        found = {}
        for pid in self.processes():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError), open(f"/proc/{pid}/stat") as f:
                head, tail = f.read().rsplit(")", 1)
                name = head.split("(", 1)[1]
                found[name] = found.get(name, 0) + sum(map(int, tail.split()[11:15])) / TICK
        return found

    def end_at_once(self):
        self.done.set()
        self.kill()
        self.wait()

    def finish(self):
        self.done.set()
        self.terminate()
        assert self.wait(120) == 0, f"{self.args[0]} ended with {self.returncode}"


class Server:
    def __init__(self, directory):
        self.dir = directory / "server"
        subprocess.run([BIN / "logq-server", "init", self.dir], check=True, stdout=subprocess.DEVNULL)
        conf = self.dir / "server.yaml"
        conf.write_text(conf.read_text().replace(":3100", ":0").replace(":24224", ":0"))
        self.log = open(directory / "server.log", "ab")
        self.token = (self.dir / "admin.token").read_text().strip()
        self.context = ssl.create_default_context(cafile=self.dir / "tls" / "ca.crt")
        self.start()

    def start(self):
        self.process = Watched([BIN / "logq-server", "run", "--config", self.dir / "server.yaml"], self.log)
        path = self.dir / "run" / "addresses.json"
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError, ValueError):
                self.addresses = json.loads(path.read_text())
                if self.addresses["pid"] == self.process.pid:
                    break
            assert self.process.poll() is None and time.monotonic() < end, "logq-server did not start"
            time.sleep(0.02)

    def kill(self):
        self.process.end_at_once()

    def send(self, path, body=None, method=None, headers=None, **params):
        url = f"https://{self.addresses['https'][0]}{path}?{urllib.parse.urlencode(params)}"
        headers = {"Authorization": f"Bearer {self.token}"} | (headers or {})
        request = urllib.request.Request(url, data=body, method=method, headers=headers)
        with urllib.request.urlopen(request, timeout=3600, context=self.context) as answer:
            return answer.read()

    def get(self, path, **params):
        return self.send(path, **params)

    def metric(self, name):
        total = 0.0
        for line in self.get("/metrics").decode().splitlines():
            if line.startswith(name) and line[len(name)] in " {":
                total += float(line.rsplit(" ", 1)[1])
        return total

    def stored(self):
        return sum(p.stat().st_size for p in (self.dir / "data" / "tenants").rglob("*") if p.is_file())


def generate(directory, size, streams, seed, peer=None, hours=1):
    """CRI files of `size` bytes below directory/pods, and what bench_logs says of them; `peer`: the same as JSON lines.

    Their times are those of about so many hours that ended ten minutes ago, or more: bench_logs may miss its end by a twelfth.
    """
    pods = directory / "pods"
    pods.mkdir()
    start = (int(time.time()) - 600 - int(hours * 300)) * 10**9
    argv = [BIN / "bench_logs", "--dir", pods, "--bytes", str(size), "--streams", str(streams), "--seed", str(seed), "--start", str(start),
            "--hours", str(hours)]
    argv += ["--peer", peer] if peer else []
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    return pods, json.loads(done.stdout)


def launch(server, directory, pods):
    """A collector over all files, running."""
    tls = server.dir / "collector"
    (directory / "collector.yaml").write_text(
        f"server: {{address: '{server.addresses['forward'][0]}', ca: {tls}/ca.crt, cert: {tls}/client.crt, key: {tls}/client.key}}\n"
        f"state_dir: {directory}/state\ninputs:\n  - {{type: cri, paths: ['{pods}/*/*/*.log']}}\n")
    with open(directory / "collector.log", "ab") as log:
        return Watched([BIN / "logq-collector", "run", "--config", directory / "collector.yaml"], log)


def ship(server, directory, pods, made):
    """Run a collector over all files until the server has every line; returns it, still running, and the seconds."""
    begin = time.monotonic()
    collector = launch(server, directory, pods)
    while server.metric("logq_store_records_total") < made["lines"]:
        assert collector.poll() is None and server.process.poll() is None, "a program ended early"
        assert time.monotonic() - begin < 900 + made["bytes"] / 1e7, "not all lines arrived in time"
        time.sleep(0.2)
    return collector, time.monotonic() - begin


class Report:
    def __init__(self, suite, table):
        self.suite, self.table, self.rows, self.machine, self.note = suite, table, [], machine(), ""

    def add(self, name, values, unit, note="", peer=None, peer_values=None):
        """`peer_values`: the same of the peer called `peer`; the ratio is ours over theirs."""
        value = statistics.median(values)
        theirs = statistics.median(peer_values) if peer_values else None
        row = {"suite": self.suite, "name": name, "value": round(value, 4), "unit": unit, "n": len(values),
               "min": round(min(values), 4), "max": round(max(values), 4), "machine": self.machine, "peer": peer if peer_values else None,
               "peer_value": None if theirs is None else round(theirs, 4), "ratio": round(value / theirs, 4) if theirs else None,
               "note": note}
        self.rows.append(row)
        print(json.dumps(row), flush=True)

    def end(self):
        if self.table:
            print(f"\n{self.suite} on {self.machine}{self.note and chr(10) + self.note}", file=sys.stderr)
            for r in self.rows:
                peer = "" if r["peer"] is None else f" {r['peer']} {r['peer_value']:.4g}, ratio {r['ratio']};"
                print(f"  {r['name']:34} {r['value']:12.4g} {r['unit']:10} (n {r['n']}, {r['min']:.4g} .. {r['max']:.4g}){peer} {r['note']}",
                      file=sys.stderr)
