#!/usr/bin/env python3
# label: story
# timeout: 300
"""1,000 containers (10,000 with LOGQ_LONG=1), one of them floods: the trickle of all others arrives while it does, a new file
is found, every line is there once.  The whole takes few file descriptors beyond one per file, and little memory."""
import pathlib
import resource
import time

from lib import LONG, exact, gaps, main, stage, stamp, wait_count, wait_for

NOW = stamp()
FILES = 10_000 if LONG else 1_000
FLOOD = 400_000 if LONG else 60_000


def line(number):
    return f"{NOW} stdout F n={number:010d} x\n"


def run():
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        logs = []
        for i in range(FILES):
            log = s.work / f"pods/ns_p{i}_uid-{i}/c" / "0.log"
            log.parent.mkdir(parents=True)
            log.write_text(line(i))
            logs.append(log)
        s.collector.start()
        wait_count(s.server, '{container="c"}', FILES, 60)
        flood = s.feed("pods/ns_flood_uid-f/flood/0.log", "-n", FLOOD)
        flood.start()
        for i, log in enumerate(logs):
            with open(log, "a") as f:
                f.write(line(FILES + i))
        begin = time.monotonic()
        wait_count(s.server, '{container="c"}', 2 * FILES, 60)
        print(f"the trickle took {time.monotonic() - begin:.1f} s")
        flood.wait()
        wait_count(s.server, '{container="flood"}', FLOOD, 120)
        late = s.work / "pods/ns_late_uid-l/late/0.log"
        late.parent.mkdir(parents=True)
        late.write_text(line(7))
        wait_count(s.server, '{container="late"}', 1)
        fds = len(list(pathlib.Path(f"/proc/{s.collector.process.pid}/fd").iterdir()))
        assert fds <= FILES + 100, fds
        s.collector.stop()
        exact(s.server, '{container="c"}', 0, 2 * FILES)
        exact(s.server, '{container="flood"}', 1, FLOOD + 1)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
