#!/usr/bin/env python3
# label: story
# timeout: 200
"""The server is away; containers end and their logs are deleted before anybody has read them; then the collector is
stopped and started (twice with LOGQ_LONG=1).  What only its descriptors held went to state_dir/keep: when the server is back every line is
there once, with its labels, no gap, and nothing is left in keep/."""
from lib import LONG, exact, gaps, main, stage, wait_count, wait_for

CONTAINERS = 4
LINES = 400_000 if LONG else 20_000
ID = "0123456789abcdef" * 4


def log_of(i):
    return f"docker/{i}{ID[1:]}/{i}{ID[1:]}-json.log"


def run():
    with stage("  - {type: docker, paths: ['@/docker/*/*-json.log']}\n", more="log_level: debug\nchunk: {bytes: 64KiB, bytes_busy: 64KiB, window: 2}\n") as s:
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())
        s.server.kill()
        for i in range(CONTAINERS):
            path = s.work / log_of(i)
            path.parent.mkdir(parents=True)
            (path.parent / "config.v2.json").write_text(f'{{"Name":"/web{i}","Config":{{"Image":"shop:1"}}}}')
            s.feed(log_of(i), "-f", "docker", "-s", i * LINES, "-n", LINES, "-b", 20).start().wait()
            wait_for("the log to be followed", lambda: f"file.open file={path}" in s.collector.text())
            for file in path.parent.iterdir():
                file.unlink()
            path.parent.rmdir()
        for times in range(2 if LONG else 1):
            s.collector.stop()
            kept = list((s.collector.dir / "state" / "keep").iterdir())
            print(f"{len(kept)} logs kept, {sum(k.stat().st_size for k in kept)} bytes")
            assert len(kept) == CONTAINERS, kept
            s.collector.start(configure=False)
            wait_for("the kept logs", lambda: s.collector.text().count("file=keep") == CONTAINERS * (times + 1))
        s.server.start()
        wait_count(s.server, '{image="shop:1"}', CONTAINERS * LINES)
        wait_for("keep/ to be empty", lambda: not list((s.collector.dir / "state" / "keep").iterdir()))
        s.collector.stop()
        for i in range(CONTAINERS):
            exact(s.server, f'{{container="web{i}"}}', i * LINES, (i + 1) * LINES)
        assert gaps(s.server) == [], gaps(s.server)
        s.server.stop()


main(run)
