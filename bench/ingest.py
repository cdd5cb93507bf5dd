"""Suite ingest: collector to server, mutual TLS, durable; names in bench/README.md."""
import os
import shutil

from lab import Report, Server, calibrate, generate, ship


def run(options, work):
    report = Report("ingest", options.table)
    pods, made = generate(work, options.bytes, options.streams, options.seed)
    mb = made["bytes"] / 1e6
    got = {k: [] for k in ("collector", "server", "stored", "collector_pss", "server_pss", "wall")}
    calib = [calibrate()]
    for i in range(options.runs):
        directory = work / f"run{i}"
        directory.mkdir()
        server = Server(directory)
        collector, wall = ship(server, directory, pods, made)
        got["wall"].append(wall)
        got["collector"].append(mb / collector.cpu())
        got["collector_pss"].append(collector.peak / 1e6)
        collector.finish()
        usage0 = os.times()
        server.process.finish()  # drains: what is in memory goes into segments, and counts
        usage1 = os.times()
        # children_* of this process grew by exactly the server's CPU seconds when it was waited for
        cpu = usage1.children_user + usage1.children_system - usage0.children_user - usage0.children_system
        got["server"].append(mb / cpu)
        got["server_pss"].append(server.process.peak / 1e6)
        got["stored"].append(server.stored() / made["bytes"])
        calib.append(calibrate())
        if i + 1 < options.runs or not options.keep:
            shutil.rmtree(directory)
    note = f"{mb:.0f} MB, {made['lines']} lines, {made['streams']} streams, seed {options.seed}; calibration {min(calib):.3f}..{max(calib):.3f} s"
    report.add("collector_mb_per_cpu_s", got["collector"], "MB/s", note)
    report.add("server_mb_per_cpu_s", got["server"], "MB/s", "start, ingest, drain into segments")
    report.add("stored_bytes_per_raw_byte", got["stored"], "ratio", "all files below DATA/tenants after the drain")
    report.add("collector_pss_peak_mb", got["collector_pss"], "MB")
    report.add("server_pss_peak_mb", got["server_pss"], "MB")
    report.add("ingest_wall_s", got["wall"], "s", "from the collector's start to the last line durable")
    report.end()
