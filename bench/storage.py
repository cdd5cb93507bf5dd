"""Suite storage: bytes, speed and memory of the store, VictoriaLogs beside it where PEER_VICTORIALOGS names one.

Names and methods: bench/README.md.  The peer gets the same records in the same run, and questions that ask the same.
"""
import contextlib
import datetime
import gzip
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import time

import victorialogs
from lab import BIN, Report, Server, calibrate, generate, ship

STREAM_FIELDS = "namespace,pod,container,stream"
SAMPLE = 20_000_000  # a small real file is repeated up to so many bytes
# Bytes that VictoriaLogs 1.26 was measured to need for files of the data directory, where it is not given.
MEASURED = {"apache_combined": 229_487, "zeek_weird": 388_874, "zeek_analyzer": 487_023}


def cpu_of_children(action):
    """CPU seconds of the processes that `action` waits for."""
    before = os.times()
    action()
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def drop_caches():
    """True when the kernel forgot what it held of files."""
    os.sync()
    with contextlib.suppress(OSError):
        pathlib.Path("/proc/sys/vm/drop_caches").write_text("3\n")
        return True
    return False


def compact(server):
    server.send("/api/v1/admin/flush", b"", "POST")
    server.send("/api/v1/admin/compact", b"", "POST", wait="1")


def sizes(server):
    """Stored bytes by kind, of a stopped server."""
    done = subprocess.run([BIN / "logq-server", "verify", "--structure", "--config", server.dir / "server.yaml", "--output", "json"],
                          check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["bytes"]


# ---- real files ----

def fresh(line, copy, rng):
    """A line of another day: times of day go on, long numbers and ids are others of the same length."""
    def clock(m):
        s = (int(m[1]) * 3600 + int(m[2]) * 60 + int(m[3]) + copy * 1733) % 86400
        return b"%02d:%02d:%02d" % (s // 3600, s // 60 % 60, s % 60)

    def number(m):
        return b"%0*d" % (len(m[0]), (int(m[0]) + copy * 7919 + rng.randrange(1000)) % 10 ** len(m[0]))

    def hexadecimal(m):
        return b"%0*x" % (len(m[0]), rng.getrandbits(4 * len(m[0])))

    line = re.sub(rb"\b(\d\d):(\d\d):(\d\d)\b", clock, line)
    line = re.sub(rb"(?<![0-9A-Za-z])(?=[0-9a-f]*[a-f])(?=[0-9a-f]*[0-9])[0-9a-f]{8,}(?![0-9A-Za-z])", hexadecimal, line)
    return re.sub(rb"(?<![0-9])[0-9]{5,18}(?![0-9])", number, line)


def real_lines(path):
    """The lines of a file, repeated with fresh times and ids when it is small; and whether it was."""
    text = subprocess.run(["zstd", "-dcq", path], check=True, capture_output=True).stdout
    lines = text.rstrip(b"\n").split(b"\n")
    if len(text) >= 1_000_000:
        return lines, False
    rng = random.Random(1)
    out, size, copy = list(lines), len(text), 0
    while size < SAMPLE:
        copy += 1
        for line in lines:
            out.append(fresh(line, copy, rng))
            size += len(line) + 1
    return out, True


def jittered(n, seed):
    """n ascending times, a millisecond apart on average, the last one a minute ago."""
    rng = random.Random(seed)
    ts, out = int(time.time() - 60 - n * 0.001) * 10**9, []
    for _ in range(n):
        ts += 1 + int(rng.expovariate(1e-6))
        out.append(ts)
    return out


def push(server, lines, times, labels):
    for at in range(0, len(lines), 5000):
        values = [[str(t), line.decode("utf-8", "replace")] for t, line in zip(times[at:at + 5000], lines[at:at + 5000])]
        body = gzip.compress(json.dumps({"streams": [{"stream": labels, "values": values}]}).encode(), 1)
        server.send("/loki/api/v1/push", body, "POST", {"Content-Type": "application/json", "Content-Encoding": "gzip"})


def peer_file(path, lines, times, is_json):
    with open(path, "wb") as f:
        for ts, line in zip(times, lines):
            text = line.decode("utf-8", "replace")
            row = {"_msg": text}
            if is_json:
                with contextlib.suppress(ValueError):
                    row = json.loads(text)
            f.write(json.dumps(row | {"_time": str(ts), "job": "bench"}).encode() + b"\n")


def peer_bytes(directory, lines, times, is_json):
    path = directory / "peer.jsonl"
    peer_file(path, lines, times, is_json)
    peer = victorialogs.Peer(directory)
    peer.insert(path, len(lines), "job")
    peer.merge()
    peer.process.finish()
    path.unlink()
    return peer.stored()


def one_file(directory, path):
    """raw bytes, ours after flush and after compaction by kind, zstd -19, the peer's or None."""
    lines, repeated = real_lines(path)
    lines = [line for line in lines if line]
    is_json = path.name.endswith(".jsonl.zst")
    times = jittered(len(lines), 1)
    server = Server(directory)
    push(server, lines, times, {"job": "bench"})
    server.process.finish()
    flushed = sizes(server)
    server.start()
    compact(server)
    server.process.finish()
    raw = b"\n".join(lines) + b"\n"
    xz = subprocess.run(["zstd", "-19", "--long=27", "-cq"], input=raw, check=True, capture_output=True).stdout
    theirs = peer_bytes(directory, lines, times, is_json) if victorialogs.binary() else None
    if theirs is None and not repeated:
        theirs = MEASURED.get(path.name.split(".")[0])
    return len(raw), flushed, sizes(server), len(xz), theirs, is_json, repeated


def suite_files(options, work, report):
    ratios = {True: [], False: []}
    for path in sorted(pathlib.Path(options.data).glob("*.zst")):
        directory = work / path.name
        directory.mkdir()
        raw, flushed, ours, zstd, theirs, is_json, repeated = one_file(directory, path)
        name = path.name.split(".")[0]
        peer = None if theirs is None else victorialogs.NAME
        note = (f"{raw} raw bytes{', repeated with fresh times and ids' if repeated else ''}; flushed {flushed['total']}; lines alone "
                f"{ours['lines']} = {ours['lines'] / zstd:.3f} of zstd -19 --long=27 ({zstd}); time {ours['time']}, catalog {ours['catalog']}")
        report.add(f"bytes_{name}", [ours["total"]], "B", note, peer, [theirs] if theirs else None)
        if theirs:
            ratios[is_json].append(ours["total"] / theirs)
        shutil.rmtree(directory)
    for is_json, name in ((False, "bytes_text_geomean"), (True, "bytes_json_geomean")):
        if ratios[is_json]:
            report.add(name, [statistics.geometric_mean(ratios[is_json])], "ratio", f"to {victorialogs.NAME}; worst {max(ratios[is_json]):.3f}")


# ---- ingest ----

def suite_ingest(options, work, report):
    for streams in (20, 200, 2000):
        data = work / f"data{streams}"
        data.mkdir()
        peer_path = data / "peer.jsonl" if victorialogs.binary() else None
        pods, made = generate(data, options.bytes, streams, options.seed, peer_path)
        ours, theirs, stored, peer_stored, calib = [], [], [], [], [calibrate()]
        for i in range(options.runs):
            directory = data / f"run{i}"
            directory.mkdir()
            server = Server(directory)
            collector, _ = ship(server, directory, pods, made)
            collector.finish()
            ours.append(cpu_of_children(server.process.finish))
            stored.append(server.stored())
            if peer_path:
                peer = victorialogs.Peer(directory)
                peer.insert(peer_path, made["lines"], STREAM_FIELDS)
                theirs.append(cpu_of_children(peer.process.finish))
                peer_stored.append(peer.stored())
            shutil.rmtree(directory)
            calib.append(calibrate())
        name = victorialogs.NAME
        note = f"{made['bytes'] / 1e6:.0f} MB, {made['lines']} lines, {streams} pods; calibration {min(calib):.3f}..{max(calib):.3f} s"
        report.add(f"ingest_rows_per_cpu_s_{streams}", [made["lines"] / s for s in ours], "rows/s", note, name,
                   [made["lines"] / s for s in theirs])
        report.add(f"ingest_mb_per_cpu_s_{streams}", [made["bytes"] / 1e6 / s for s in ours], "MB/s",
                   "Forward over TLS, fsynced before the ack, drained into segments; the peer: JSON lines over HTTP, no WAL", name,
                   [made["bytes"] / 1e6 / s for s in theirs])
        report.add(f"ingest_stored_bytes_{streams}", stored, "B", "after the drain, not compacted", name, peer_stored)
        shutil.rmtree(data)


# ---- queries ----

def samples(pods):
    """Ids that are in the data: a trace id, digits out of the middle of a block number."""
    def first(pattern, expression):
        for path in sorted(pods.glob(pattern)):
            with open(path, "rb") as f:
                f.seek(path.stat().st_size // 2)
                found = re.search(expression, f.read(1 << 20))
                if found:
                    return found[1].decode()
        raise AssertionError(f"no {pattern} holds {expression}")
    return {"trace": first("*shop*/shop/0.log", rb'"trace_id":"([0-9a-f]{32})"'),
            "block": first("*datanode*/datanode/0.log", rb"blk_([0-9]{10})_")}


QUESTIONS = [  # name, kind, logq's line filter, the peer's filter
    ("needle", "lines", '|= "{trace}"', '"{trace}"'),
    ("marker", "lines", '|= "needle-{seed}"', '"needle-{seed}"'),
    ("in_number", "count", '|= "{digits}"', '~"{digits}"'),
    ("regex", "count", '|~ "\\"status\\":5[0-9]{{2}}"', '~"\\"status\\":5[0-9]{{2}}"'),
    ("regex_digits", "count", '|~ "duration: [0-9]{{8,}}"', '~"duration: [0-9]{{8,}}"'),
    ("ignore_case", "count", '|~ "(?i)RECEIVED block"', '~"(?i)RECEIVED block"'),
    ("absent", "count", '|= "nosuchtextanywhere"', '~"nosuchtextanywhere"'),
]


class Asked:
    """Milliseconds of wall time and of the process' CPU for each time a question was asked, and what came back."""
    def __init__(self, process, ask, runs):
        self.wall, self.cpu = [], []
        ask()  # once before: the page cache and whatever the program keeps
        for _ in range(runs):
            before = process.cpu()
            begin = time.monotonic()
            self.hits = ask()
            self.wall.append((time.monotonic() - begin) * 1000)
            self.cpu.append((process.cpu() - before) * 1000)


def rfc3339(ns):
    return datetime.datetime.fromtimestamp(ns // 10**9, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S") + f".{ns % 10**9:09d}Z"


def ours_of(server, made, kind, text):
    span = {"start": str(made["first_ns"]), "end": str(made["last_ns"] + 1), "limit": "1000"}
    seconds = (made["last_ns"] - made["first_ns"]) // 10**9 + 2

    def lines():
        answer = json.loads(server.get("/loki/api/v1/query_range", query='{source="container"} ' + text, **span))
        return sum(len(s["values"]) for s in answer["data"]["result"])

    def count():
        query = 'sum(count_over_time({source="container"} ' + f"{text} [{seconds}s]))"
        answer = json.loads(server.get("/loki/api/v1/query", query=query, time=str(made["last_ns"] + 1)))
        return sum(int(float(s["value"][1])) for s in answer["data"]["result"])

    def by_minute():
        query = 'sum by (pod, stream) (count_over_time({source="container"}[1m]))'
        start = made["first_ns"] // (60 * 10**9) * 60 + 60
        end = made["last_ns"] // (60 * 10**9) * 60 + 60
        answer = json.loads(server.get("/loki/api/v1/query_range", query=query, start=str(start), end=str(end), step="60"))
        return sum(int(float(v[1])) for s in answer["data"]["result"] for v in s["values"])

    return {"lines": lines, "count": count, "by_minute": by_minute}[kind]


def theirs_of(peer, kind, text):
    def lines():
        return len(peer.query(text)[1])

    def count():
        return int(peer.query(f"{text} | stats count() n")[1][0]["n"])

    def by_minute():
        return sum(int(row["n"]) for row in peer.query("* | stats by (_time:1m, pod, stream) count() n")[1])

    return {"lines": lines, "count": count, "by_minute": by_minute}[kind]


def ask_all(options, report, server, peer, made, words, suffix):
    per = 200e6 / made["bytes"]
    peer_runs = 1 if suffix else options.runs  # a question of the peer's takes minutes on the large data
    for name, kind, ours, theirs in QUESTIONS:
        mine = Asked(server.process, ours_of(server, made, kind, ours.format(**words)), options.runs)
        other = Asked(peer.process, theirs_of(peer, kind, theirs.format(**words)), peer_runs) if peer else None
        note = f"{mine.hits} hits" + (f", the peer {other.hits}" if other else "")
        report.add(f"{name}_ms{suffix}", mine.wall, "ms", note, victorialogs.NAME, other and other.wall)
        report.add(f"{name}_cpu_ms_per_200mb{suffix}", [c * per for c in mine.cpu], "ms", "CPU of the server process", victorialogs.NAME,
                   other and [c * per for c in other.cpu])
        if name == "marker":
            assert mine.hits == made["needles"], (mine.hits, made)
    mine = Asked(server.process, ours_of(server, made, "by_minute", ""), options.runs)
    other = Asked(peer.process, theirs_of(peer, "by_minute", ""), peer_runs) if peer else None
    rows = made["lines"] / 1e6
    report.add(f"count_by_minute_mrows_per_cpu_s{suffix}", [rows / max(c / 1000, 1e-3) for c in mine.cpu], "Mrows/s",
               f"{mine.hits} rows; wall {statistics.median(mine.wall):.1f} ms", victorialogs.NAME,
               other and [rows / max(c / 1000, 1e-3) for c in other.cpu])


def ask_patterns(options, report, server, made, suffix):
    """The histogram of patterns over the newest million rows, or all."""
    share = min(1.0, 1e6 / made["lines"])
    start = made["last_ns"] - int((made["last_ns"] - made["first_ns"]) * share)

    def ask():
        answer = json.loads(server.get("/loki/api/v1/patterns", query='{source="container"}', start=str(start), end=str(made["last_ns"] + 1),
                                       step="60"))
        return len(answer["data"])

    got = Asked(server.process, ask, options.runs)
    report.add(f"patterns_ms{suffix}", got.wall, "ms", f"{got.hits} patterns of {made['lines'] * share:.0f} rows")


def ask_cold(options, report, server, made, words, suffix):
    times, dropped = [], True
    for _ in range(options.runs):
        server.process.finish()
        dropped = drop_caches()
        server.start()
        begin = time.monotonic()
        ours_of(server, made, "lines", f'|= "{words["trace"]}"')()
        times.append((time.monotonic() - begin) * 1000)
    report.add(f"needle_cold_ms{suffix}", times, "ms", "program restarted, " + ("page cache dropped" if dropped else "page cache not dropped"))


def fill(server, work, options, size, peer_path=None):
    pods, made = generate(work, size, options.streams, options.seed, peer_path)
    collector, wall = ship(server, work, pods, made)
    collector.finish()
    return pods, made, wall


def suite_query(options, work, report, size, suffix, keep_memory=None):
    directory = work / f"query{suffix}"
    directory.mkdir()
    peer_path = directory / "peer.jsonl" if victorialogs.binary() else None
    server, peer = Server(directory), None
    pods, made, wall = fill(server, directory, options, size, peer_path)
    words = samples(pods)
    words |= {"digits": words["block"][3:8], "seed": options.seed}
    peak = server.process.peak
    seconds = cpu_of_children(server.process.finish)  # before compaction has work for minutes
    if suffix:
        report.add(f"ingest_rows_per_cpu_s{suffix}", [made["lines"] / seconds], "rows/s",
                   f"{options.streams} pods; {made['bytes'] / 1e6 / seconds:.1f} MB per CPU second")
    if peer_path:
        peer = victorialogs.Peer(directory)
        peer.insert(peer_path, made["lines"], STREAM_FIELDS)
        peer.merge()
        peer_path.unlink()
    shutil.rmtree(pods)
    server.start()
    compact(server)
    peak = max(peak, server.process.peak)
    server.process.finish()
    server.start()
    ask_all(options, report, server, peer, made, words, suffix)
    ask_patterns(options, report, server, made, suffix)
    report.add(f"query_pss_peak_mb{suffix}", [server.process.peak / 1e6], "MB", "over all queries above", victorialogs.NAME,
               [peer.process.peak / 1e6] if peer else None)
    report.add(f"ingest_pss_peak_mb{suffix}", [peak / 1e6], "MB", f"ingest of {made['bytes'] / 1e9:.0f} GB in {wall:.0f} s, and compaction")
    if peer:
        peer.process.finish()
    ask_cold(options, report, server, made, words, suffix)
    if keep_memory:
        keep_memory(server, made)
    server.process.finish()
    report.add(f"stored_bytes_per_raw_byte{suffix}", [server.stored() / made["bytes"]], "ratio", "compacted, everything below DATA/tenants",
               victorialogs.NAME, [peer.stored() / made["bytes"]] if peer else None)
    shutil.rmtree(directory)


# ---- memory ----

def suite_idle(options, work, report):
    directory = work / "idle"
    directory.mkdir()
    server = Server(directory)
    time.sleep(5)
    report.add("idle_pss_mb", [server.process.pss() / 1e6], "MB", "5 s after the start, no data")
    server.process.finish()
    shutil.rmtree(directory)


def wide(server, made, streams=100_000, rows=5):
    """Records of so many streams more, by push."""
    now = int(time.time()) * 10**9
    for at in range(0, streams, 2000):
        body = json.dumps({"streams": [{"stream": {"job": "wide", "instance": f"host-{i}"},
                                        "values": [[str(now + k), f"sample {k} of instance {i}: value {i * k % 977}"] for k in range(rows)]}
                                       for i in range(at, at + 2000)]}).encode()
        server.send("/loki/api/v1/push", gzip.compress(body, 1), "POST", {"Content-Type": "application/json", "Content-Encoding": "gzip"})
    server.get("/loki/api/v1/label/instance/values")
    ours_of(server, made, "by_minute", "")()


def run(options, work):
    report = Report("storage", options.table)
    parts = set(options.only.split(",")) if options.only else {"files", "ingest", "query", "memory", "growth"}
    if not victorialogs.binary():
        report.note = "PEER_VICTORIALOGS is not set: own figures only"
    if "files" in parts and options.data:
        suite_files(options, work, report)
    if "ingest" in parts:
        suite_ingest(options, work, report)
    if "query" in parts:
        suite_query(options, work, report, options.bytes, "")
    if "memory" in parts:
        suite_idle(options, work, report)
    large = [options.large] if options.large else []
    for size in large + ([30 * 10**9] if options.long else []):
        if "growth" not in parts:
            break

        def after(server, made):
            wide(server, made)
            report.add(f"wide_pss_peak_mb_{size // 10**9}gb", [server.process.peak / 1e6], "MB", "100,000 streams more, label values, a count")
        suite_query(options, work, report, size, f"_{size // 10**9}gb", after)
    growth(report)
    report.end()


def growth(report):
    """How much slower and larger the large store is than the small one."""
    value = {r["name"]: r["value"] for r in report.rows}
    for name in ("needle_ms", "query_pss_peak_mb"):
        for long in ("_10gb", "_30gb"):
            if name in value and name + long in value:
                report.add(f"growth_{name}{long}", [value[name + long] / value[name]], "ratio", "large over small")
