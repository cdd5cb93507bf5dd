#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 400
"""Real containers of ten lines each (30; 1,000 with LOGQ_LONG=1), removed by dockerd as soon as they end.  Then some that start
and are gone while the collector stands still.  Every line is there once, or its container is in one gap record that says it
was gone before its log could be opened; no gap speaks of a container that was seen."""
import concurrent.futures
import os
import pathlib
import signal

from lib import LONG, Docker, exact, gaps, main, stage, wait_for

CONTAINERS, AT_ONCE, LINES = 1_000 if LONG else 30, 4, 10
UNSEEN = 3
COMMAND = 'i=%d; while [ $i -lt %d ]; do printf "n=%%010d x\\n" $i; i=$((i + 1)); done'


def processes(parent):
    """It and its children."""
    found = [parent]
    for stat in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            if int(stat.read_text().rsplit(")", 1)[1].split()[1]) == parent:
                found.append(int(stat.parent.name))
        except OSError:
            pass
    return found


def run():
    docker = Docker()

    def live(i):
        """A container's whole life; its id."""
        command = COMMAND % (i * LINES, (i + 1) * LINES)
        docker("run", "--rm", "--name", f"s{i}", "--cidfile", docker.dir / f"cid{i}", "--network", "host", "bb:1", "/bin/sh", "-c", command)
        return (docker.dir / f"cid{i}").read_text()

    try:
        inputs = (f"  - {{type: docker, paths: ['{docker.dir}/data/containers/*/*-json.log']}}\n"
                  f"  - {{type: docker_events, socket: {docker.socket}}}\n")
        with stage(inputs) as s, concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            s.collector.start()
            wait_for("events", lambda: "events.connected" in s.collector.text())
            ids = dict(zip(pool.map(live, range(CONTAINERS)), range(CONTAINERS)))
            stopped = processes(s.collector.process.pid)
            for pid in stopped:
                os.kill(pid, signal.SIGSTOP)
            unseen = [live(i) for i in range(CONTAINERS, CONTAINERS + UNSEEN)]
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
            ids |= dict(zip(unseen, range(CONTAINERS, CONTAINERS + UNSEEN)))
            wait_for("gap records", lambda: {gap["container_id"] for gap in gaps(s.server, "never_opened")} >= set(unseen))

            def accounted():
                lines = sum(v for _, v in s.server.query('sum(count_over_time({runtime="docker", source="container"}[24h]))'))
                return lines + LINES * len(gaps(s.server)) >= LINES * len(ids)

            wait_for("all lines, or gaps", accounted, 60)
            s.collector.stop()
            found = gaps(s.server)
            missed = [ids[gap["container_id"]] for gap in found]
            print(f"{len(missed)} of {len(ids)} containers were never opened")
            assert all(gap["gap"] == "never_opened" and gap["bytes"] == 0 for gap in found), found
            assert len(set(missed)) == len(missed), "a container is in two gaps"
            gone = {n for i in missed for n in range(i * LINES, (i + 1) * LINES)}
            assert len(missed) < UNSEEN + CONTAINERS // 10, missed
            exact(s.server, '{runtime="docker", source="container"}', 0, LINES * len(ids), gone)
            s.server.stop()
    finally:
        docker.close()


main(run)
