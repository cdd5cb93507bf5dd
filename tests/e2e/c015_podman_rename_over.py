#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 200
"""A real podman with max-size: conmon renames a new file over the log when it is full, and the old one has no name from then
on.  The collector follows all the time, while the server is away for a part of it: the descriptors hold what is not sent.
Every line is there once, no gap."""
from lib import LONG, Podman, exact, gaps, main, stage, wait_count, wait_for

LINES = 60_000 if LONG else 10_000
WRITER = ('BEGIN { for (i = 1; i <= %d; i++) { printf "n=%%010d xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\\n", i;'
          ' if (i %% 100 == 0) { fflush(); system("usleep 45000") } } }' % LINES)


def run():
    podman = Podman()
    try:
        with stage(f"  - {{type: podman, paths: ['{podman.dir}/root/vfs-containers/*/userdata/ctr.log']}}\n") as s:
            s.collector.start()
            log = podman.run("rotated", "/bin/awk", WRITER, options=("--log-opt", "max-size=100k"))
            wait_for("the first ack", lambda: s.server.metric("logq_forward_acks_total") > 0)
            s.server.kill()
            for _ in range(2):
                before = log.stat().st_ino
                wait_for("a new log", lambda: log.exists() and log.stat().st_ino != before)
            s.server.start()
            podman.wait("rotated")
            wait_count(s.server, '{container="rotated"}', LINES, 15)
            s.collector.stop()
            exact(s.server, '{container="rotated"}', 1, LINES + 1)
            assert gaps(s.server) == [], gaps(s.server)
            s.server.stop()
    finally:
        podman.close()


main(run)
