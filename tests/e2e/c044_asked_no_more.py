#!/usr/bin/env python3
"""What is asked for, and until when.

    reload      an input goes, and another excludes a log: what was there is shipped, the file is closed, and what is written
                later stays where it is; asked for again, it is read on from there, once
    SIGTERM     what was written just before is shipped: whoever ends may delete it at once
    Docker's    behind the name of a pod's log (cri-dockerd): its own time, its stream, its text
"""
import json
import os
import signal
import urllib.request

from lib import exact, gaps, main, stage, stamp, wait_count, wait_for

LAST = 100_000
INPUTS = """  - {type: cri, paths: ['@/pods/*/*/*.log']}
  - {type: file, paths: ['@/a/*.log'], labels: {app: a}}
  - {type: file, paths: ['@/b/*.log'], labels: {app: b}}
"""


def write(path, first, end):
    with open(path, "a") as f:
        f.write("".join(f"n={n:010d} text\n" for n in range(first, end)))


def run():
    with stage(INPUTS, "metrics: {listen: '127.0.0.1:0'}\n") as s:
        a, b = s.work / "a/a.log", s.work / "b/b.log"
        docker = s.work / "pods/ns_pod_uid-1/app/0.log"
        for path in (a, b, docker):
            path.parent.mkdir(parents=True)
        s.collector.start()
        config = s.collector.dir / "collector.yaml"
        good = config.read_text()
        reloads = 0

        def ask(path):
            address = json.loads((s.collector.dir / "state/addresses.json").read_text())["metrics"]
            return urllib.request.urlopen(f"http://{address}{path}", timeout=10).read().decode()

        def reload(text):
            nonlocal reloads
            config.write_text(text)
            os.kill(s.collector.process.pid, signal.SIGHUP)
            reloads += 1
            wait_for("a reload", lambda: f"config_reload_total {reloads}\n" in ask("/metrics"))

        def followed():
            return {f["path"] for f in json.loads(ask("/files"))}

        line = json.dumps({"log": "a \"quoted\" line\n", "stream": "stderr", "time": stamp()})
        docker.write_text(line + "\n")
        write(a, 1, 1001)
        write(b, 1, 1001)
        wait_count(s.server, '{source="file"}', 2000)
        without_a = "".join(part for part in good.splitlines(True) if "app: a" not in part)
        reload(without_a.replace("labels: {app: b}", f"labels: {{app: b}}, exclude: ['{b}']"))
        wait_for("both closed", lambda: not followed() & {str(a), str(b)})
        write(a, 1001, 1501)
        write(b, 1001, 1501)
        reload(good.replace("labels: {app: b}", f"labels: {{app: b}}, exclude: ['{b}']"))
        wait_count(s.server, '{app="a"}', 1500)
        exact(s.server, '{app="a"}', 1, 1501)
        exact(s.server, '{app="b"}', 1, 1001)
        reload(good)
        wait_count(s.server, '{app="b"}', 1500)
        exact(s.server, '{app="b"}', 1, 1501)

        for path in (a, b):
            write(path, 1501, LAST + 1)
        s.collector.stop()
        for path in (a, b):
            path.unlink()
        for query in ('{app="a"}', '{app="b"}'):
            exact(s.server, query, 1, LAST + 1)
        got = s.server.entries('{container="app"}')
        assert [(e["line"], e["labels"]["stream"]) for e in got] == [('a "quoted" line', "stderr")], got
        assert "undecoded" not in got[0]["attributes"] and gaps(s.server) == [], got
        s.server.stop()


main(run)
