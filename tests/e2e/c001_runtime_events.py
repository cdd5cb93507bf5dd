#!/usr/bin/env python3
# needs: runtime
# timeout: 240
"""What a real podman (events file, then its API socket) and a real dockerd (API socket) say about a container's life comes
back as records: create, start, exec and its command, die with the exit code; each once, also over a collector's restart."""
import json

from lib import Collector, Docker, Podman, Server, main, wait_for, workspace


def actions(server, source, container):
    return [e["labels"]["action"] for e in server.entries(f'{{source="{source}", container="{container}"}}')]


def podman_story(work, server):
    podman = Podman()
    collector = Collector(work / "podman-file", server, f"  - {{type: podman_events, events_file: {podman.events}}}\n")
    try:
        collector.start()
        podman.run("first", "/bin/sh", "-c", "echo hi; exit 0")
        podman.wait("first")
        wait_for("die of 'first'", lambda: "die" in actions(server, "podman_events", "first"))
        got = actions(server, "podman_events", "first")
        assert got.count("start") == 1 and got.count("die") == 1 and got.index("start") < got.index("die"), got
        entry = server.entries('{source="podman_events", container="first", action="start"}')[0]
        assert json.loads(entry["line"])["Name"] == "first", entry
        assert entry["labels"]["runtime"] == "podman" and len(entry["attributes"]["container_id"]) == 64, entry
        collector.kill()
        podman.run("second", "/bin/true")
        podman.wait("second")
        collector.start()
        wait_for("die of 'second'", lambda: "die" in actions(server, "podman_events", "second"))
        again = actions(server, "podman_events", "first")  # "cleanup" may have come since
        assert [again.count(a) for a in got] == [1] * len(got), (got, again)
        collector.stop()
    finally:
        collector.discard()
        podman.close()


def docker_story(work, server):
    docker = Docker()
    collector = Collector(work / "docker", server, f"  - {{type: docker_events, socket: {docker.socket}}}\n")
    try:
        collector.start()
        docker.run("web", "/bin/sleep", "600")
        docker("exec", "web", "/bin/echo", "inside")
        wait_for("exec of 'web'", lambda: "exec_create" in actions(server, "docker_events", "web"))
        collector.kill()
        docker("kill", "web")
        collector.start()
        wait_for("die of 'web'", lambda: "die" in actions(server, "docker_events", "web"))
        got = actions(server, "docker_events", "web")
        assert [got.count(a) for a in ("create", "start", "exec_create", "exec_start", "die")] == [1, 1, 1, 1, 1], got
        entry = server.entries('{source="docker_events", container="web", action="exec_create"}')[0]
        assert json.loads(entry["line"])["Action"] == "exec_create: /bin/echo inside", entry
        assert entry["labels"]["image"] == "bb:1" and entry["labels"]["runtime"] == "docker", entry
        collector.stop()
    finally:
        collector.discard()
        docker.close()


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            podman_story(work, server)
            docker_story(work, server)
            server.stop()
        finally:
            server.discard()


main(run)
