"""Suite collector: what following logs costs, and what is lost; names in bench/README.md.

The generator and the sink are not ours: LOGQ_TOOLS=DIR names their sources (loggen.c, fsink.c), so that a peer has the same work.
"""
import contextlib
import json
import os
import pathlib
import queue
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request

from lab import BIN, Report, Server, Watched, calibrate

PARTS = ["speed", "forward", "journald", "idle", "latency", "restart", "faults", "size"]
LINE = 228  # mean bytes of a generated line
MESSAGE = 64 << 10  # of line text in a message of a fluent client
JOURNAL_REMOTE = pathlib.Path("/lib/systemd/systemd-journal-remote")  # makes a journal of the export format
REDACT = "redact: {detectors: [bearer, cloud_key, jwt, card, email]}\n"


def compile_tools(work):
    """Paths of loggen and fsink, or None where their sources are not given."""
    source = os.environ.get("LOGQ_TOOLS")
    if not source:
        return None
    for name in ("loggen", "fsink"):
        subprocess.run(["cc", "-O2", "-w", pathlib.Path(source) / f"{name}.c", "-o", work / name, "-lssl", "-lcrypto", "-lz", "-lzstd", "-lpthread"], check=True)
    return {"loggen": work / "loggen", "fsink": work / "fsink"}


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def percentile(values, share):
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


class Sink:
    """fsink: counts every line it got, acks, forgets it."""

    def __init__(self, tools, tls, expect=0, *options):
        self.port = free_port()
        argv = [tools["fsink"], "-p", str(self.port), "-c", tls / "tls/server.crt", "-k", tls / "tls/server.key", "-a", tls / "tls/ca.crt", "-e", str(expect), *options]
        self.process = subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, text=True)
        self.lines = queue.Queue()
        threading.Thread(target=self.read, daemon=True).start()
        self.said("READY")

    def read(self):
        for line in self.process.stdout:
            self.lines.put((time.monotonic(), line))

    def said(self, word, agent=None, seconds=1800):
        """Wait until it prints a line that begins so; returns when, and the line.  `agent` must live meanwhile."""
        end = time.monotonic() + seconds
        while True:
            assert agent is None or agent.process.poll() is None, f"{agent.process.args[0]} ended"
            assert time.monotonic() < end, f"the sink did not say {word} in {seconds} s"
            with contextlib.suppress(queue.Empty):
                at, line = self.lines.get(timeout=0.2)
                if line.startswith(word):
                    return at, line

    def kill(self):
        """Nobody listens, every connection is cut; what it has counted stays."""
        self.process.send_signal(signal.SIGUSR1)

    def start(self):
        self.process.send_signal(signal.SIGUSR2)

    def end(self):
        """Its counts."""
        self.process.send_signal(signal.SIGTERM)
        counts = json.loads(self.said("{")[1])
        self.process.wait()
        return counts


class Ours:
    """logq-collector against an address."""

    def __init__(self, directory, tls, address, inputs, more=""):
        self.dir = directory
        directory.mkdir(exist_ok=True)
        self.config = directory / "collector.yaml"
        certs = tls / "collector"
        self.config.write_text(f"server: {{address: '{address}', server_name: localhost, ca: {certs}/ca.crt, cert: {certs}/client.crt, key: {certs}/client.key}}\n"
                               f"state_dir: {directory}/state\nmetrics: {{listen: '127.0.0.1:0'}}\n{more}inputs:\n{inputs}")
        self.start()

    def start(self):
        with open(self.dir / "collector.log", "ab") as log:
            self.process = Watched([BIN / "logq-collector", "run", "--config", self.config], log)

    def kill(self):
        self.process.end_at_once()

    def health(self):
        with contextlib.suppress(OSError, ValueError):
            address = json.loads((self.dir / "state/addresses.json").read_text())["metrics"]
            address = address[0] if isinstance(address, list) else address
            with urllib.request.urlopen(f"http://{address}/health", timeout=5) as answer:
                return json.load(answer)
        return None


def has_peer():
    return bool(os.environ.get("PEER_FLUENTBIT"))


def peer_tail(directory, path, kind):
    return f"    Name tail\n    Path {path}\n    Parser {kind}\n    Read_from_Head On\n    DB {directory}/tail.db\n    Tag kube.*\n"


class Peer:
    """Fluent Bit, configured as its users do: an input, Forward with mutual TLS and acks."""

    def __init__(self, directory, tls, port, source, compress):
        self.dir = directory
        directory.mkdir(exist_ok=True)
        certs = tls / "collector"
        (directory / "parsers.conf").write_text(
            "[PARSER]\n    Name cri\n    Format regex\n    Regex ^(?<time>[^ ]+) (?<stream>stdout|stderr) (?<logtag>[^ ]*) (?<message>.*)$\n"
            "    Time_Key time\n    Time_Format %Y-%m-%dT%H:%M:%S.%L%z\n    Time_Keep On\n"
            "[PARSER]\n    Name docker\n    Format json\n    Time_Key time\n    Time_Format %Y-%m-%dT%H:%M:%S.%L\n    Time_Keep On\n")
        gzip = "    Compress gzip\n" if compress else ""
        (directory / "fluent-bit.conf").write_text(
            f"[SERVICE]\n    Flush 1\n    Log_Level warn\n    Parsers_File {directory}/parsers.conf\n"
            f"[INPUT]\n{source}"
            f"[OUTPUT]\n    Name forward\n    Match *\n    Host 127.0.0.1\n    Port {port}\n    Require_ack_response On\n    Retry_Limit no_limits\n{gzip}"
            f"    tls On\n    tls.verify On\n    tls.vhost localhost\n    tls.ca_file {certs}/ca.crt\n    tls.crt_file {certs}/client.crt\n    tls.key_file {certs}/client.key\n")
        self.start()

    def start(self):
        with open(self.dir / "peer.log", "ab") as log:
            self.process = Watched([os.environ["PEER_FLUENTBIT"], "-c", self.dir / "fluent-bit.conf"], log)

    def kill(self):
        self.process.end_at_once()


def once(tools, tls, work, source, kind, more="", peer=False):
    """The whole file through one agent into the sink: CPU seconds, peak of Pss, bytes on the wire."""
    with open(source["file"], "rb", buffering=0) as log:  # as a log that was just written: the peer tells the kernel to forget it
        while log.read(1 << 20):
            pass
    sink = Sink(tools, tls, source["seqs"])
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    if peer:
        agent = Peer(directory, tls, sink.port, peer_tail(directory, source["file"], kind), "zstd" in more)
    else:
        agent = Ours(directory, tls, f"127.0.0.1:{sink.port}", f"  - {{type: {kind}, paths: ['{source['file']}']}}\n", more)
    sink.said("DONE", agent)
    cpu, peak = agent.process.cpu(), agent.process.peak
    agent.process.finish()
    counts = sink.end()
    assert counts["missing"] == 0 and counts["dup"] == 0, f"{agent.process.args[0]}: {counts}"
    shutil.rmtree(directory)
    return {"mb_per_cpu_s": source["bytes"] / 1e6 / cpu, "pss": peak / 1e6, "wire": counts["wire_bytes"] / 1e6}


def speed(report, options, work, tools, tls):
    sources = {}
    for kind in ("cri", "docker"):
        # as the runtimes name them, with what tells the container's name beside
        path = work / ("pods/default_web-1_0f2a/web/0.log" if kind == "cri" else "docker/" + "ab" * 32 + "/" + "ab" * 32 + "-json.log")
        path.parent.mkdir(parents=True)
        if kind == "docker":
            (path.parent / "config.v2.json").write_text(json.dumps({"Name": "/web", "Config": {"Image": "web:1", "Labels": {}}}))
        done = subprocess.run([tools["loggen"], "-o", path, "-b", str(options.bytes), "-f", kind, *(["-L"] if kind == "cri" else [])], check=True, capture_output=True, text=True)
        sources[kind] = json.loads(done.stdout)
    cases = [("cri", "cri", "compress: none\n"), ("cri_zstd", "cri", "compress: zstd\n"), ("cri_redact", "cri", "compress: none\n" + REDACT),
             ("docker", "docker", "compress: none\n"), ("docker_zstd", "docker", "compress: zstd\n")]
    for name, kind, more in cases:
        calib, ours, theirs = [calibrate()], [], []
        for _ in range(options.runs):
            ours.append(once(tools, tls, work, sources[kind], kind, more))
            if has_peer() and name != "cri_redact":
                theirs.append(once(tools, tls, work, sources[kind], kind, more, peer=True))
            calib.append(calibrate())
        note = f"{sources[kind]['bytes'] / 1e6:.0f} MB; calibration {min(calib):.3f}..{max(calib):.3f} s"
        for key, unit, what in (("mb_per_cpu_s", "MB/s", note), ("wire", "MB", "TLS not counted"), ("pss", "MB", "peak, all processes")):
            report.add(f"{name}_{key}", [r[key] for r in ours], unit, what, "Fluent Bit", [r[key] for r in theirs] or None)
    shutil.rmtree(work / "pods")
    shutil.rmtree(work / "docker")


def until_done(sink, agent, size):
    """What one run of `size` (bytes or entries) has cost, once the sink has every line."""
    sink.said("DONE", agent)
    cpu, peak = agent.process.cpu_by_name(), agent.process.peak
    agent.process.finish()
    counts = sink.end()
    assert counts["missing"] == 0 and counts["dup"] == 0, f"{agent.process.args[0]}: {counts}"
    return {"per_cpu_s": size / sum(cpu.values()), "pss": peak / 1e6, "cpu": cpu}


def add_runs(report, name, key, unit, runs, note, peers=()):
    report.add(f"{name}_{key}", [r["per_cpu_s"] for r in runs], unit, note, "Fluent Bit", [r["per_cpu_s"] for r in peers] or None)
    for process in sorted(runs[0]["cpu"]):
        report.add(f"{name}_cpu_s_{process}", [r["cpu"].get(process, 0) for r in runs], "s", "user + system of that process; clock ticks of 0.01 s")
    report.add(f"{name}_pss", [r["pss"] for r in runs], "MB", "peak, all processes", "Fluent Bit", [r["pss"] for r in peers] or None)


def text_of(no, size):
    """A line of so many bytes that says its number, and is not all of one letter."""
    text = f"level=info seq={no:09d} client=10.0.{no >> 8 & 255}.{no & 255} path=/api/v1/orders/{no * 7919} took={no % 977}ms "
    return (text + "payload " * (size // 8))[:size]


def fluent_messages(path, size, record):
    """Messages of a fluent client that asks for acks, `size` bytes of line text; how many records and messages they are."""
    per_message, records = MESSAGE // record, size // record
    messages = -(-records // per_message)
    with open(path, "wb") as out:
        for i in range(messages):
            first = i * per_message
            entries = b"".join(b"\x92\xd7\x00" + (1795288478).to_bytes(4, "big") + (no % 10**9).to_bytes(4, "big") + b"\x82\xa6stream\xa6stdout\xa3log\xda" +
                               record.to_bytes(2, "big") + text_of(no, record).encode() for no in range(first, min(records, first + per_message)))
            token = f"{i:032x}".encode()
            out.write(b"\x93\xa3app\xc6" + len(entries).to_bytes(4, "big") + entries + b"\x81\xa5chunk\xd9\x20" + token)
    return records, messages


class FluentClient(threading.Thread):
    """Sends all it has as fast as that is taken, and counts acks."""

    def __init__(self, address, path, messages):
        super().__init__(daemon=True)
        self.path, self.messages, self.acked = path, messages, 0
        self.socket = socket.socket(socket.AF_UNIX)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
                self.socket.connect(address)
                break
            assert time.monotonic() < end, f"nobody listens at {address}"
            time.sleep(0.02)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()
        self.start()

    def run(self):
        with open(self.path, "rb") as f:
            self.socket.sendfile(f)

    def read(self):
        rest = b""
        while self.acked < self.messages and (got := self.socket.recv(1 << 16)):
            rest += got
            self.acked += rest.count(b"\xa3ack")
            rest = rest[-3:]  # the beginning of one, perhaps

    def finish(self):
        self.join(60)
        self.reader.join(60)
        self.socket.close()
        assert self.acked == self.messages, f"{self.acked} of {self.messages} messages were acknowledged"


def forward(report, options, work, tools, tls):
    """A fluent client on a unix socket, through the spool, until the sink has every record."""
    size = min(options.bytes, 200_000_000)
    for record in (1024, 200):
        messages = work / "messages"
        records, n = fluent_messages(messages, size, record)
        calib, runs = [calibrate()], []
        for _ in range(options.runs):
            sink = Sink(tools, tls, records)
            directory = pathlib.Path(tempfile.mkdtemp(dir=work))
            directory.chmod(0o755)
            (directory / "run").mkdir()
            (directory / "run").chmod(0o777)
            agent = Ours(directory, tls, f"127.0.0.1:{sink.port}", f"  - {{type: forward, listen: ['unix:{directory}/run/f.sock'], listen_mode: '0666'}}\n", "compress: none\n")
            client = FluentClient(f"{directory}/run/f.sock", messages, n)
            runs.append(until_done(sink, agent, records * record / 1e6))
            client.finish()
            shutil.rmtree(directory)
            calib.append(calibrate())
        add_runs(report, f"forward_{record}", "mb_per_cpu_s", "MB/s", runs,
                 f"{records * record / 1e6:.0f} MB of line text in {n} messages; calibration {min(calib):.3f}..{max(calib):.3f} s")
        messages.unlink()


def make_journal(path, entries):
    """As Docker's driver writes it."""
    boot, container = "b" * 32, "d" * 64
    fields = (f"_BOOT_ID={boot}\n_MACHINE_ID={'a' * 32}\n_HOSTNAME=host\n_TRANSPORT=journal\n_PID=4711\n_UID=0\n_GID=0\n_COMM=dockerd\n_SYSTEMD_UNIT=docker.service\n"
              f"PRIORITY=6\nSYSLOG_IDENTIFIER={container[:12]}\nCONTAINER_ID={container[:12]}\nCONTAINER_ID_FULL={container}\nCONTAINER_NAME=web\nCONTAINER_TAG={container[:12]}\nIMAGE_NAME=web:1\n")
    begin = (int(time.time()) - 3600) * 10**6
    with subprocess.Popen([JOURNAL_REMOTE, "-o", path, "-"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, text=True) as remote:
        for no in range(entries):
            at = begin + no * 100
            remote.stdin.write(f"__REALTIME_TIMESTAMP={at}\n__MONOTONIC_TIMESTAMP={at - begin + 1}\n_SOURCE_REALTIME_TIMESTAMP={at}\n{fields}"
                               f"CONTAINER_LOG_EPOCH={no}\nMESSAGE={text_of(no, 200)}\n\n")
        remote.stdin.close()
    assert remote.returncode == 0, "systemd-journal-remote failed"


def journal_once(tools, tls, work, journal, entries, peer=False):
    sink = Sink(tools, tls, entries)
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    if peer:
        source = f"    Name systemd\n    Path {journal}\n    Read_From_Tail Off\n    DB {directory}/journal.db\n    Tag host.*\n"
        agent = Peer(directory, tls, sink.port, source, False)
    else:
        agent = Ours(directory, tls, f"127.0.0.1:{sink.port}", f"  - {{type: journald, directory: '{journal}', since: all}}\n", "compress: none\n")
    run = until_done(sink, agent, entries)
    shutil.rmtree(directory)
    return run


def journald(report, options, work, tools, tls):
    """A journal that is there, from its first entry, until the sink has every one."""
    if not JOURNAL_REMOTE.exists():
        print(f"suite collector: there is no {JOURNAL_REMOTE}: journald is not measured", file=sys.stderr)
        return
    entries = min(options.bytes, 60_000_000) // 200
    journal = work / "journal"
    journal.mkdir()
    work.chmod(0o755)
    make_journal(journal / "system.journal", entries)
    calib, runs, peers = [calibrate()], [], []
    for _ in range(options.runs):
        runs.append(journal_once(tools, tls, work, journal, entries))
        if has_peer():
            peers.append(journal_once(tools, tls, work, journal, entries, peer=True))
        calib.append(calibrate())
    add_runs(report, "journald", "entries_per_cpu_s", "1/s", runs,
             f"{entries} entries with lines of 200 bytes and 20 fields, as Docker's driver writes them; calibration {min(calib):.3f}..{max(calib):.3f} s", peers)
    shutil.rmtree(journal)


def caught_up(agent, seconds=120):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        health = agent.health()
        if health and health["connected"] and health["files"] > 0 and health["lag_bytes"] == 0:
            return
        time.sleep(0.1)
    raise AssertionError(f"not caught up: {agent.health()}")


def quiet(work, tools, tls, files, peer):
    """Twelve times the memory in MB, and the processor time in s, of an agent in a minute in which `files` files say nothing."""
    lines = 10
    sink = Sink(tools, tls, files * lines)
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    for i in range(files):
        log = directory / f"pods/default_web-{i}_0f2a/web/0.log"
        log.parent.mkdir(parents=True)
        log.write_text("".join(f"2026-08-22T10:00:00.000000000Z stdout F seq={i * lines + n:09d} a line\n" for n in range(lines)))
    time.sleep(1)  # directories of quiet files are not made a moment before
    paths = f"{directory}/pods/*/*/*.log"
    if peer:
        agent = Peer(directory, tls, sink.port, peer_tail(directory, paths, "cri"), False)
        sink.said("DONE", agent)
    else:
        agent = Ours(directory, tls, f"127.0.0.1:{sink.port}", f"  - {{type: cri, paths: ['{paths}']}}\n")
        caught_up(agent)
    time.sleep(15)
    cpu = agent.process.cpu_exact()
    pss = []
    for _ in range(12):
        time.sleep(5)
        pss.append(agent.process.pss() / 1e6)
    cpu = agent.process.cpu_exact() - cpu
    agent.process.finish()
    sink.end()
    shutil.rmtree(directory)
    return pss, [cpu]


def idle(report, options, work, tools, tls):
    for files in (1, 100, 1000, *([10000] if options.long else [])):
        ours = quiet(work, tools, tls, files, peer=False)
        theirs = quiet(work, tools, tls, files, peer=True) if has_peer() else (None, None)
        report.add(f"idle_pss_mb_{files}", ours[0], "MB", "all processes", "Fluent Bit", theirs[0])
        report.add(f"idle_cpu_s_per_min_{files}", ours[1], "s", "as the scheduler counts; one walk of all globs is among it", "Fluent Bit", theirs[1])


def latency(report, options, work):
    """1 MB/s into one file; by the server's counter of durable records, and by a query that counts them, both asked all the time."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    server = Server(directory)
    log = directory / "pods/default_web-1_0f2a/web/0.log"
    log.parent.mkdir(parents=True)
    log.touch()
    agent = Ours(directory, server.dir, server.addresses["forward"][0], f"  - {{type: cri, paths: ['{log}']}}\n")
    caught = time.monotonic() + 60
    while not (agent.health() or {}).get("connected"):
        assert time.monotonic() < caught, "the collector did not connect"
        time.sleep(0.05)
    seconds, written, durable, found = 30, [], [], []
    stop = threading.Event()
    line = b"2026-08-22T10:00:00.000000000Z stdout F " + b"x" * (LINE - 41) + b"\n"
    stamped = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime()).encode()

    def ask(seen, what):
        while not stop.is_set():
            n = what()
            seen.append((time.monotonic(), n))

    def count():
        found_now = json.loads(server.get("/loki/api/v1/query", query='sum(count_over_time({source="container"}[1h]))'))["data"]["result"]
        return float(found_now[0]["value"][1]) if found_now else 0

    threads = [threading.Thread(target=ask, args=(durable, lambda: server.metric("logq_store_records_total"))),
               threading.Thread(target=ask, args=(found, count))]
    base = server.metric("logq_store_records_total")
    for thread in threads:
        thread.start()
    batch, begin, n = 44, time.monotonic(), 0  # 44 lines each 10 ms: 1 MB/s
    with open(log, "ab", buffering=0) as out:
        while time.monotonic() - begin < seconds:
            out.write(line.replace(line[:30], stamped) * batch)
            n += batch
            written.append((time.monotonic(), n))
            time.sleep(max(0.0, begin + n / batch * 0.01 - time.monotonic()))
    end = time.monotonic() + 30
    while time.monotonic() < end and not (found and found[-1][1] >= n):
        time.sleep(0.05)
    stop.set()
    for thread in threads:
        thread.join()
    for name, seen, offset in (("durable", durable, base), ("queryable", found, 0)):
        late, i = [], 0
        for at, number in written:
            while i < len(seen) and seen[i][1] - offset < number:
                i += 1
            assert i < len(seen), f"only {seen[-1][1] - offset} of {number} lines are {name}"
            late.append((seen[i][0] - at) * 1e3)
        report.add(f"line_to_{name}_p50_ms", [statistics.median(late)], "ms", f"{len(late)} writes of {batch} lines, one each 10 ms; what asks is part of it")
        report.add(f"line_to_{name}_p99_ms", [percentile(late, 0.99)], "ms", f"looked {len(seen)} times")
    agent.process.finish()
    server.process.finish()
    shutil.rmtree(directory)


def back_again(work, tools, tls, peer):
    """20,000 lines a second; the server is away five times for two seconds and the last line is written while it is: seconds from its
    return until it has all."""
    cycle, rate = 4.0, 20000
    lines = int((5 * cycle - 1) * rate)
    sink = Sink(tools, tls, lines)
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    log = directory / "pods/default_web-1_0f2a/web/0.log"
    log.parent.mkdir(parents=True)
    agent = (Peer(directory, tls, sink.port, peer_tail(directory, log, "cri"), False) if peer else
             Ours(directory, tls, f"127.0.0.1:{sink.port}", f"  - {{type: cri, paths: ['{log}']}}\n"))
    writer = subprocess.Popen([str(tools["loggen"]), "-o", str(log), "-n", str(lines), "-r", str(rate)], stdout=subprocess.DEVNULL)
    begin = time.monotonic()
    for i in range(5):
        time.sleep(max(0.0, begin + i * cycle + 2 - time.monotonic()))
        sink.kill()
        time.sleep(2)
        if i == 4:
            assert writer.wait(60) == 0
        sink.start()
    for _ in range(5):
        up, _ = sink.said("UP", agent)
    late = sink.said("DONE", agent)[0] - up
    agent.process.finish()
    counts = sink.end()
    assert counts["missing"] == 0, counts
    shutil.rmtree(directory)
    return late


def restart(report, options, work, tools, tls):
    ours, theirs = [], []
    for _ in range(options.runs):
        ours.append(back_again(work, tools, tls, peer=False))
        if has_peer():
            theirs.append(back_again(work, tools, tls, peer=True))
    report.add("after_restart_s", ours, "s", "from the fifth return until every line is acked; 20,000 lines/s, the last outage's lines are the backlog",
               "Fluent Bit", theirs or None)


def seqs(server):
    """How often each seq= is stored."""
    argv = [BIN / "logq", "query", "--limit", "0", "--since", "24h", "-o", "raw", '{source="container"}']
    env = dict(os.environ, LOGQ_ADDR=f"https://{server.addresses['https'][0]}", LOGQ_TOKEN=server.token, LOGQ_CA_FILE=str(server.dir / "tls/ca.crt"))
    seen = {}
    with subprocess.Popen([str(a) for a in argv], stdout=subprocess.PIPE, env=env) as process:
        for line in process.stdout:
            at = line.find(b"seq=")
            if at >= 0:
                n = int(line[at + 4:at + 13])
                seen[n] = seen.get(n, 0) + 1
    assert process.returncode == 0, "logq query failed"
    return seen


def fault(work, tools, lines, rate, disturb, *rotation):
    """Lines lost and stored twice, of a live log that is disturbed meanwhile."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    server = Server(directory)
    log = directory / "pods/default_web-1_0f2a/web/0.log"
    log.parent.mkdir(parents=True)
    conf = server.dir / "server.yaml"  # it comes back where it was
    http, forward = conf.read_text().split("forward:", 1)
    conf.write_text(http + "forward:" + forward.replace(":0", ":" + server.addresses["forward"][0].rsplit(":", 1)[1], 1))
    agent = Ours(directory, server.dir, server.addresses["forward"][0], f"  - {{type: cri, paths: ['{log}']}}\n")
    writer = subprocess.Popen([str(tools["loggen"]), "-o", str(log), "-n", str(lines), "-r", str(rate), *rotation], stdout=subprocess.DEVNULL)
    disturb(agent, server, lines / rate)
    assert writer.wait(600) == 0
    caught_up(agent, 300)
    seen = seqs(server)
    agent.process.finish()
    server.process.finish()
    shutil.rmtree(directory)
    return lines - len(seen), sum(n - 1 for n in seen.values())


def peer_fault(work, tools, tls, lines, rate, disturb, *rotation):
    """The same for the peer, which is asked to store at the sink; what is not there three minutes after the last line is lost."""
    directory = pathlib.Path(tempfile.mkdtemp(dir=work))
    sink = Sink(tools, tls, lines)
    log = directory / "pods/default_web-1_0f2a/web/0.log"
    log.parent.mkdir(parents=True)
    agent = Peer(directory, tls, sink.port, peer_tail(directory, log, "cri"), False)
    writer = subprocess.Popen([str(tools["loggen"]), "-o", str(log), "-n", str(lines), "-r", str(rate), *rotation], stdout=subprocess.DEVNULL)
    disturb(agent, sink, lines / rate)
    assert writer.wait(600) == 0
    with contextlib.suppress(AssertionError):
        sink.said("DONE", agent, 180)
        time.sleep(15)  # what comes twice comes later
    agent.kill()
    counts = sink.end()
    shutil.rmtree(directory)
    return counts["missing"], counts["dup"]


def kill_agent(agent, _, seconds):
    for _ in range(5):
        time.sleep(seconds / 6)
        agent.kill()
        agent.start()


def stop_server(_, server, seconds):
    time.sleep(seconds / 5)
    server.kill()
    time.sleep(30)
    server.start()


def faults(report, options, work, tools, tls):
    every = str(10_000_000 // LINE)
    cases = [("kill9", 600_000, 20000, kill_agent, ()), ("rename_outage", 375_000, 5000, stop_server, ("-R", "rename", "-E", every, "-k", "4")),
             ("copytruncate_outage", 375_000, 5000, stop_server, ("-R", "copytruncate", "-E", every, "-k", "4"))]
    for name, lines, rate, disturb, rotation in cases:
        ours = fault(work, tools, lines, rate, disturb, *rotation)
        theirs = peer_fault(work, tools, tls, lines, rate, disturb, *rotation) if has_peer() else None
        for i, what in enumerate(("lost", "twice")):
            report.add(f"{name}_{what}", [ours[i]], "lines", f"of {lines}", "Fluent Bit", theirs and [theirs[i]])


def size(report, work):
    bytes_of = []
    for program in (BIN / "logq-collector", os.environ.get("PEER_FLUENTBIT")):
        if program:
            stripped = work / "stripped"
            subprocess.run(["strip", "-o", stripped, program], check=True)
            bytes_of.append(stripped.stat().st_size)
    report.add("binary_bytes", bytes_of[:1], "bytes", "stripped, dynamic, libraries not counted", "Fluent Bit", bytes_of[1:] or None)


def run(options, work):
    report = Report("collector", options.table)
    parts = options.only.split(",") if options.only else PARTS
    tools = compile_tools(work)
    if not tools:
        print("suite collector: LOGQ_TOOLS is not given, so only latency and size are measured", file=sys.stderr)
        parts = [p for p in parts if p in ("latency", "size")]
    if tools and not has_peer():
        print("suite collector: PEER_FLUENTBIT is not given: our figures only", file=sys.stderr)
    tls = work / "tls"
    subprocess.run([BIN / "logq-server", "init", tls], check=True, stdout=subprocess.DEVNULL)
    calls = {"speed": lambda: speed(report, options, work, tools, tls), "forward": lambda: forward(report, options, work, tools, tls),
             "journald": lambda: journald(report, options, work, tools, tls), "idle": lambda: idle(report, options, work, tools, tls),
             "latency": lambda: latency(report, options, work), "restart": lambda: restart(report, options, work, tools, tls),
             "faults": lambda: faults(report, options, work, tools, tls), "size": lambda: size(report, work)}
    for part in parts:
        calls[part]()
    report.end()
