#!/usr/bin/env python3
# needs: runtime
# timeout: 180
"""Docker's own fluentd log driver, which knows no TLS before version 23, ships through the local listener on a unix socket
with acks: lines, streams and container name come back, with the labels that the configuration forces."""
from lib import Docker, Server, main, wait_for, workspace


def run():
    with workspace() as work:
        path = work / "forward.sock"
        server = Server(work / "server").init(lambda text: text + f"forward_local: unix:{path}\nforward_local_labels: {{site: lab}}\n").start()
        docker = Docker()
        try:
            options = ["--log-driver", "fluentd", "--log-opt", f"fluentd-address=unix://{path}", "--log-opt", "fluentd-request-ack=true",
                       "--log-opt", "fluentd-sub-second-precision=true"]
            # One stream at a time: the driver's two goroutines read acks from one connection without a lock and take
            # each other's when stdout and stderr are written at once (docs/server.md).
            docker("run", "--rm", "--name", "shipped", "--network", "host", *options, "bb:1", "/bin/sh", "-c",
                   "for i in 1 2 3 4 5; do echo out $i; done")
            docker("run", "--rm", "--name", "shipped", "--network", "host", *options, "bb:1", "/bin/sh", "-c",
                   "echo 'level=error bad' >&2")
            wait_for("six records", lambda: len(server.entries('{site="lab"}')) == 6)
            lines = [e["line"] for e in server.entries('{site="lab", container="shipped", stream="stdout"}')]
            assert sorted(lines) == [f"out {i}" for i in range(1, 6)], lines
            entry = server.entries('{site="lab", stream="stderr"}')[0]
            assert entry["line"] == "level=error bad" and entry["attributes"]["detected_level"] == "error", entry
            assert entry["labels"]["runtime"] == "docker" and len(entry["attributes"]["container_id"]) == 64, entry
            assert server.metric("logq_forward_acks_total") >= 6
            server.stop()
        finally:
            docker.close()
            server.discard()


main(run)
