"""Suite replay: how fast a killed server has its records back, against how fast they came; names in bench/README.md."""
import contextlib
import shutil
import signal
import time
import urllib.error

from lab import Report, Server, calibrate, generate, launch


WAL = 250_000_000  # bytes; at 256 MB a flush begins
HEAD = 60_000_000  # bytes of records in memory: a flush begins at 64 MiB


def until(server, collector, lines, head=0):
    """Wait for so many records, and until so many bytes of them are in memory only; the time and their number then."""
    while True:
        have = server.metric("logq_store_records_total")
        if have >= lines and server.metric("logq_store_head_bytes") >= head:
            return time.monotonic(), have
        assert collector.poll() is None and server.process.poll() is None, "a program ended early"
        time.sleep(0.02)


def kill(process):
    process.done.set()
    process.send_signal(signal.SIGKILL)
    process.wait()


def once(directory, pods, made, share, got):
    """Ingest at full speed, SIGKILL when `share` of the lines are durable and the head is full, start again and wait until all are back."""
    server = Server(directory)
    collector = launch(server, directory, pods)
    begin, first = until(server, collector, made["lines"] / 5)
    cpu = server.process.cpu()
    end, last = until(server, collector, made["lines"] * share, HEAD)
    cpu = server.process.cpu() - cpu
    kill(server.process)
    kill(collector)
    mb = (last - first) * made["bytes"] / made["lines"] / 1e6
    begun = time.monotonic()
    server.start()
    while server.metric("logq_store_replaying") != 0:
        time.sleep(0.1)  # each look is a TLS handshake, which takes its time from the replay
    got["ready_s"].append(time.monotonic() - begun)
    replay_cpu = server.process.cpu()
    with contextlib.suppress(urllib.error.HTTPError):
        server.get("/ready")
    lines = server.metric("logq_store_replayed_line_bytes") + server.metric("logq_store_replayed_records")
    replay = lines / 1e6 / (server.metric("logq_store_replay_milliseconds") / 1e3)
    got["ingest"].append(mb / (end - begin))
    got["ingest_cpu"].append(mb / cpu)
    got["replay"].append(replay)
    got["replay_cpu"].append(lines / 1e6 / replay_cpu)
    got["lines"].append(lines / 1e6)
    got["ratio"].append(replay / got["ingest"][-1])
    got["wal"].append(server.metric("logq_store_wal_replay_bytes") / 1e6)
    got["pss"].append(server.process.peak / 1e6)
    server.process.finish()


def full(work, pods, made, got):
    """A WAL of 256 MB of which nothing was flushed, or of all there is: a head so large is set for the ingest alone."""
    directory = work / "full"
    directory.mkdir()
    server = Server(directory)
    server.process.finish()
    conf = server.dir / "server.yaml"
    plain = conf.read_text()
    conf.write_text(plain + "\nmemory: 13GiB\nstorage: {head: 6GiB, wal: 1GB, flush_age: 1h}\n")
    server.start()
    collector = launch(server, directory, pods)
    while server.metric("logq_store_wal_bytes") < WAL and server.metric("logq_store_records_total") < made["lines"]:
        time.sleep(0.1)
    got["full_wal"].append(server.metric("logq_store_wal_bytes") / 1e6)
    kill(server.process)
    kill(collector)
    conf.write_text(plain)
    server.start()
    while server.metric("logq_store_replaying") != 0:
        time.sleep(0.1)
    got["full_s"].append(server.metric("logq_store_replay_milliseconds") / 1e3)
    got["full_lines"].append(server.metric("logq_store_replayed_line_bytes") / 1e6)
    got["full_pss"].append(server.process.peak / 1e6)
    server.process.finish()
    shutil.rmtree(directory)


def run(options, work):
    report = Report("replay", options.table)
    pods, made = generate(work, options.bytes, options.streams, options.seed)
    names = ("ingest", "ingest_cpu", "replay", "replay_cpu", "ratio", "ready_s", "lines", "wal", "pss")
    got = {k: [] for k in (*names, "full_wal", "full_s", "full_lines", "full_pss")}
    calib = [calibrate()]
    for i in range(options.runs):
        directory = work / f"run{i}"
        directory.mkdir()
        once(directory, pods, made, 0.5 + 0.3 * i / max(options.runs - 1, 1), got)
        calib.append(calibrate())
        shutil.rmtree(directory)
    full(work, pods, made, got)
    note = f"calibration {min(calib):.3f}..{max(calib):.3f} s"
    report.add("replay_mb_per_s", got["replay"], "MB/s", note)
    report.add("killed_ingest_mb_per_s", got["ingest"], "MB/s", "same run, the collector on the same machine")
    report.add("replay_ratio", got["ratio"], "ratio", "replay over ingest, both by the clock")
    report.add("replay_mb_per_cpu_s", got["replay_cpu"], "MB/s", "the server's start included")
    report.add("killed_ingest_mb_per_cpu_s", got["ingest_cpu"], "MB/s")
    report.add("replayed_mb", got["lines"], "MB", "line text that the WAL brought back")
    report.add("replayed_wal_mb", got["wal"], "MB")
    report.add("replay_ready_s", got["ready_s"], "s", "from exec until no answer lacks a record")
    report.add("replay_pss_peak_mb", got["pss"], "MB")
    report.add("full_wal_mb", got["full_wal"], "MB", "what a start finds whose head was never flushed")
    report.add("full_wal_line_mb", got["full_lines"], "MB", "line text in it")
    report.add("full_wal_replay_s", got["full_s"], "s")
    report.add("full_wal_pss_peak_mb", got["full_pss"], "MB")
    report.end()
