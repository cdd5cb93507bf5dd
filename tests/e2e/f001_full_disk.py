#!/usr/bin/env python3
# needs: runtime
# timeout: 180
"""A server on a 32 MB file system, in a mount namespace of its own, runs full: acks stop, /ready says 503 with the reason,
queries go on, nothing acknowledged is lost; when room is made everything resumes without a restart and the collector's file
is there whole, each line once."""
import json
import os
import subprocess
import sys
import time

from lib import Collector, Server, main, wait_for, workspace

LINES = 6000


def inside():
    """Runs as root of a new mount namespace: a tmpfs holds the server's directory."""
    with workspace() as work:
        small = work / "small"
        small.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m", "logq-test", small], check=True)
        server = Server(small / "server").init()
        server.log = work / "server.log"
        server.start()
        log = work / "pods" / "ns_pod_uid" / "app" / "0.log"
        log.parent.mkdir(parents=True)
        collector = Collector(work / "collector", server, f"  - {{type: cri, paths: ['{work}/pods/*/*/*.log']}}\n",
                              more="ack_timeout: 3s\n")
        hog = small / "hog"
        try:
            log.write_text("".join(line(i) for i in range(100)))
            collector.start()
            wait_for("the first lines", lambda: count(server) == 100)
            fill(hog)
            with log.open("a") as f:
                f.writelines(line(i) for i in range(100, LINES))
            wait_for("/ready to say 503", lambda: server.get("/ready")[0] == 503, 40)
            reason = server.get("/ready")[1].decode()
            assert "full" in reason or "space" in reason, reason
            print("not ready:", reason.strip())
            acked = server.metric("logq_forward_acks_total")
            durable = count(server)
            assert durable < LINES, "everything fitted: the disk was not full"
            status, body, _ = server.request("POST", "/loki/api/v1/push", json.dumps(
                {"streams": [{"stream": {"a": "b"}, "values": [[str(time.time_ns()), "x"]]}]}).encode())
            assert status == 503, (status, body)
            assert server.metric("logq_forward_acks_total") == acked
            hog.unlink()
            wait_for("/ready to say 200", lambda: server.get("/ready")[0] == 200, 30)
            assert b"This server is <strong>ready</strong>" in server.get("/")[1]
            wait_for("all lines", lambda: count(server) >= LINES, 60)
            numbers = [int(e["line"].split()[1]) for e in server.entries('{container="app"}')]
            assert sorted(numbers) == list(range(LINES)), f"{len(numbers)} records"
            collector.stop()
            server.stop()
        finally:
            collector.discard()
            server.discard()
            subprocess.run(["umount", "-l", small], check=False)


def line(i):
    # random text, so that no compression makes it fit
    now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{i:09d}Z"
    return f"{now} stdout F number {i} {os.urandom(1500).hex()}\n"


def count(server):
    return sum(v for _, v in server.query('sum(count_over_time({container="app"}[1h]))'))


def fill(path):
    """Take all room but half a megabyte."""
    with path.open("wb") as f:
        try:
            while True:
                f.write(b"\0" * 65536)
                f.flush()
        except OSError:
            pass
    os.truncate(path, max(0, path.stat().st_size - (1 << 19)))


def run():
    if "--inside" in sys.argv:
        inside()
        return
    subprocess.run(["unshare", "--mount", "--propagation", "private", sys.executable, __file__, "--inside"], check=True)


main(run)
