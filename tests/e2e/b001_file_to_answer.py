#!/usr/bin/env python3
# label: thread
"""CRI files of two pods, written before and after the collector starts, come back through LogQL: every line once, in order,
with the labels of their path; parts are one line; a restart of the collector and of the server stores nothing twice."""
import time

from lib import Collector, Server, main, wait_for, workspace

POD = "shop_web-7d4b_0a1b2c3d-1111-2222-3333-444455556666"


def stamp(i):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{i:09d}Z"


def run():
    with workspace() as work:
        pods = work / "pods"
        log = pods / POD / "nginx" / "0.log"
        log.parent.mkdir(parents=True)
        log.write_text("".join(f"{stamp(i)} stdout F GET /{i} 200\n" for i in range(100)))
        server = Server(work / "server").init().start()
        collector = Collector(work / "collector", server, f"  - {{type: cri, paths: ['{pods}/*/*/*.log']}}\n")
        collector.start()
        try:
            def lines(query='{container="nginx"}'):
                return [e["line"] for e in server.entries(query)]

            wait_for("100 lines", lambda: len(lines()) == 100)
            assert lines() == [f"GET /{i} 200" for i in range(100)]
            entry = server.entries('{container="nginx"}')[0]
            want = {"namespace": "shop", "pod": "web-7d4b", "container": "nginx", "stream": "stdout", "source": "container"}
            assert want.items() <= entry["labels"].items(), entry
            assert entry["labels"]["service_name"] == "nginx" and entry["attributes"]["detected_level"] == "unknown", entry

            with log.open("a") as f:  # parts of two streams, interleaved; the last line is not finished
                f.write(f"{stamp(200)} stdout P one \n{stamp(201)} stderr P bad \n{stamp(202)} stdout P two \n"
                        f"{stamp(203)} stderr F error\n{stamp(204)} stdout F three\n")
            wait_for("the joined lines", lambda: len(lines()) == 102)
            assert lines('{container="nginx", stream="stderr"}') == ["bad error"]
            assert lines('{container="nginx"} |= "two"') == ["one two three"]
            assert server.entries('{stream="stderr"}')[0]["attributes"]["detected_level"] == "error"

            other = pods / POD / "sidecar" / "0.log"  # a file that appears later
            other.parent.mkdir()
            other.write_text(f"{stamp(1)} stdout F hello from the sidecar\n")
            wait_for("the new file", lambda: lines('{container="sidecar"}') == ["hello from the sidecar"])

            collector.stop()
            collector.start()
            server.stop()
            server.start()
            collector.kill()
            collector.start()  # the server has a new port: written to its configuration by start
            with other.open("a") as f:
                f.write(f"{stamp(2)} stdout F after the restarts\n")
            wait_for("a line after the restarts", lambda: len(lines('{container="sidecar"}')) == 2)
            assert len(lines()) == 102 and len(lines('{source="container"}')) == 104
            assert server.query('sum by (container) (count_over_time({source="container"}[1h]))') == [
                ({"container": "nginx"}, 102.0), ({"container": "sidecar"}, 2.0)]
            collector.stop()
            server.stop()
        finally:
            collector.discard()
            server.discard()


main(run)
