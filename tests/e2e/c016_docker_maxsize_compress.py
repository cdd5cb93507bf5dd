#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 300
"""A real dockerd rotates its json-file log: max-size 100k, max-file 20, compress.  The collector is killed twice and stays
away over several rotations; dockerd has compressed what it was reading when it comes back.  Every line is there once."""
from lib import LONG, Collector, Docker, Server, exact, gaps, main, wait_count, wait_for, workspace

LINES = 120_000 if LONG else 12_000
AWAY = 3  # rotations

WRITER = ('BEGIN { for (i = 1; i <= %d; i++) { printf "n=%%010d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\n", i;'
          ' if (i %% 100 == 0) { fflush(); system("usleep 45000") } } }' % LINES)


def run():
    docker = Docker()
    try:
        with workspace() as work:
            server = Server(work / "server").init().start()
            collector = Collector(work / "collector", server,
                                  f"  - {{type: docker, paths: ['{docker.dir}/data/containers/*/*-json.log']}}\n")
            try:
                collector.start()
                log = docker.run("rotated", "/bin/awk", WRITER, options=(
                    "--log-opt", "max-size=100k", "--log-opt", "max-file=20", "--log-opt", "compress=true"))

                def newest_packed():
                    """Changes with every rotation: the inode of the youngest compressed file."""
                    found = sorted(log.parent.glob("*.gz"), key=lambda p: p.stat().st_mtime_ns)
                    return found[-1].stat().st_ino if found else 0

                for _ in range(2):
                    acks = server.metric("logq_forward_acks_total")
                    wait_for("an ack", lambda: server.metric("logq_forward_acks_total") > acks)
                    collector.kill()
                    for _ in range(AWAY):
                        before = newest_packed()
                        wait_for("a rotation", lambda: newest_packed() != before)
                    collector.start()
                docker.wait("rotated")
                wait_count(server, '{container="rotated"}', LINES, 30)
                collector.stop()
                exact(server, '{container="rotated"}', 1, LINES + 1)
                assert gaps(server) == [], gaps(server)
                server.stop()
            finally:
                collector.discard()
                server.discard()
    finally:
        docker.close()


main(run)
