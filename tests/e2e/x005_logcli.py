#!/usr/bin/env python3
"""What Loki's own logcli asks, in its forms; and each endpoint of its API by GET and by form, with times in all shapes.

logcli: PEER_LOGCLI=/path/to/logcli runs it, for each thing it can ask, beside its requests made here: it prints what these
        answer.  Without it the requests alone are made.
server: each endpoint says the same to GET and to POST, whatever shape the times have; pages by the last time lose nothing.
"""
import datetime
import json
import os
import subprocess
import time
import urllib.parse

from lib import SLOW, Server, main, workspace
from websocket import WebSocket

S = 10**9
HEADERS = {"User-Agent": "logcli/3.2.0", "X-Query-Tags": "Source=logcli"}
LINES = 2500


class Asker:
    def __init__(self, server, now):
        self.server, self.start, self.end = server, now - 3600 * S, now + 60 * S

    def ask(self, path, post=False, **params):
        text = urllib.parse.urlencode(params, doseq=True)
        if post:
            got = self.server.request("POST", f"/loki/api/v1/{path}", text.encode(),
                                      HEADERS | {"Content-Type": "application/x-www-form-urlencoded"})
        else:
            got = self.server.request("GET", f"/loki/api/v1/{path}?{text}", headers=HEADERS)
        assert got[0] == 200, (path, params, got[0], got[1][:300])
        return json.loads(got[1])

    def span(self, path, **params):
        return self.ask(path, start=self.start, end=self.end, **params)

    def batch(self, query, direction, start, end, limit):
        """One of logcli's pages: [(ns, line)] in the order of the direction."""
        data = self.ask("query_range", query=query, start=start, end=end, limit=limit, direction=direction)["data"]
        found = [(int(v[0]), v[1]) for s in data["result"] for v in s["values"]]
        return sorted(found, key=lambda e: e[0], reverse=direction == "BACKWARD")


def pages(asker):
    """Pages end where the last entry is, which comes again and is passed over: all come, each once."""
    for direction in ("BACKWARD", "FORWARD"):
        start, end, seen, last = asker.start, asker.end, [], set()
        while True:
            found = asker.batch('{app="web"}', direction, start, end, 1000)
            new = [e for e in found if e not in last]
            seen += new
            if not new:
                break
            at = new[-1][0]
            last = {e for e in seen if e[0] == at}
            start, end = (start, at + 1) if direction == "BACKWARD" else (at, end)
        assert len(seen) == len(set(seen)) == LINES, (direction, len(seen))
        assert seen == sorted(seen, reverse=direction == "BACKWARD"), direction


def looks(asker):
    """What there is; -> the answers, for a comparison with what logcli prints of them."""
    labels = asker.span("labels")["data"]
    values = asker.span("label/app/values")["data"]
    assert "app" in labels and values == ["db", "web"], (labels, values)
    series = asker.span("series", match=['{app="web"}', '{app="db"}'])["data"]
    assert {s["app"] for s in series} == {"web", "db"}, series
    stats = asker.span("index/stats", query='{app="web"}')
    assert stats["streams"] == 1 and stats["entries"] == LINES, stats
    volume = asker.span("index/volume", query='{app=~".+"}', limit=30, aggregateBy="series", targetLabels="app")["data"]["result"]
    assert [v["metric"]["app"] for v in volume] == ["web", "db"], volume
    ranged = asker.span("index/volume_range", query='{app="web"}', limit=30, aggregateBy="labels", step="300.000000")["data"]
    assert ranged["resultType"] == "matrix" and sum(float(p[1]) for s in ranged["result"] for p in s["values"]) > 0, ranged
    fields = asker.span("detected_fields", query='{app="web"}', limit=1000, line_limit=1000, step="15.000000")
    assert "took" in {f["label"] for f in fields["fields"]}, fields
    instant = asker.ask("query", query='sum by (app) (count_over_time({app="web"}[2h]))', limit=30, direction="BACKWARD", time=asker.end)
    assert instant["data"]["result"][0]["value"][1] == str(LINES), instant
    ranges = asker.span("query_range", query='sum(count_over_time({app="web"}[1m]))', step="60.000000", interval="0.000000", limit=30,
                        direction="FORWARD")["data"]
    assert ranges["resultType"] == "matrix", ranges
    return {"labels": labels, "values": values}


def follows(asker, server):
    follower = WebSocket(server, "/loki/api/v1/tail?" + urllib.parse.urlencode(
        {"delay_for": 0, "limit": 30, "query": '{app="web"} |= "tailed"', "start": asker.start}))
    assert follower.status == 101, follower.body
    server.push([({"app": "web"}, [(time.time_ns(), "tailed line")])])
    assert follower.entries(1)[0][2] == "tailed line"
    follower.close()


def deletes(asker, server):
    def call(method, **params):
        return server.request(method, "/loki/api/v1/delete?" + urllib.parse.urlencode(params), headers=HEADERS)
    assert call("PUT", query='{app="web"} |= "tailed"', start=asker.start // S, end=asker.end // S)[0] == 204
    requests = json.loads(call("GET")[1])
    assert [r["query"] for r in requests] == ['{app="web"} |= "tailed"'], requests
    assert asker.batch('{app="web"} |= "tailed"', "BACKWARD", asker.start, asker.end, 30) == []
    assert call("DELETE", request_id=requests[0]["request_id"], force="true")[0] == 204
    assert len(asker.batch('{app="web"} |= "tailed"', "BACKWARD", asker.start, asker.end, 30)) == 1


# Every endpoint, both ways ---------------------------------------------------------------------------------------------

ENDPOINTS = [
    ("query_range", {"query": '{app="db"}'}), ("query_range", {"query": 'count_over_time({app="db"}[5m])', "step": "60"}),
    ("labels", {}), ("label", {}), ("label/app/values", {}), ("series", {"match[]": ['{app="db"}', '{app="web"}']}),
    ("index/stats", {"query": '{app="db"}'}), ("index/volume", {"query": '{app=~".+"}'}),
    ("index/volume_range", {"query": '{app=~".+"}', "step": "5m"}), ("patterns", {"query": '{app="web"}', "step": "1m"}),
    ("detected_labels", {"query": '{app="db"}'}), ("detected_fields", {"query": '{app="db"}'}),
    ("detected_field/user/values", {"query": '{app="db"} | json'}), ("format_query", {"query": '{app = "db"}'}),
]


def shapes(ns):
    """One time in all the shapes the API takes; `ns` is a whole second."""
    rfc = datetime.datetime.fromtimestamp(ns // S, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%S")
    return [str(ns), str(ns // S), f"{ns // S}.000", f"{ns // S}.0", rfc + "Z", rfc + ".000000000Z", rfc + "+00:00"]


def plain(answer):
    """Without what measures the query."""
    if isinstance(answer.get("data"), dict):
        answer["data"].pop("stats", None)
    return answer


def both_ways(asker):
    start, end = asker.start // S * S, asker.end // S * S
    for path, params in ENDPOINTS:
        times = {} if path == "format_query" else {"start": start, "end": end}
        want = plain(asker.ask(path, **params, **times))
        assert plain(asker.ask(path, post=True, **params, **times)) == want, path
        for s, e in zip(shapes(start), shapes(end)) if times else []:
            assert plain(asker.ask(path, **params, start=s, end=e)) == want, (path, s, e)
    query = {"query": 'sum(count_over_time({app="db"}[2h]))'}
    want = plain(asker.ask("query", **query, time=end))
    assert want["data"]["result"][0]["value"] == [end // S, "200"], want
    for at in shapes(end):
        assert plain(asker.ask("query", **query, time=at)) == want == plain(asker.ask("query", post=True, **query, time=at)), at
    since = plain(asker.ask("query_range", query='{app="db"}', end=end, since="2h", limit=1000))["data"]["result"]
    assert sum(len(s["values"]) for s in since) == 200, since


# The program ---------------------------------------------------------------------------------------------------------

def logcli(path, server, *args):
    done = subprocess.run([path, "--quiet", f"--addr={server.url}", f"--ca-cert={server.dir}/tls/ca.crt", f"--bearer-token={server.token}",
                           *args], capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 0, (args, done.stderr[-1000:])
    return done.stdout


def program(path, asker, server, answers):
    times = [f"--from={datetime.datetime.fromtimestamp(asker.start // S, datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}",
             f"--to={datetime.datetime.fromtimestamp(asker.end // S, datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"]
    assert logcli(path, server, "labels", *times).split() == answers["labels"]
    assert logcli(path, server, "labels", "app", *times).split() == answers["values"]
    lines = logcli(path, server, "query", '{app="web"} |= "line "', "--limit=0", "--batch=1000", "--output=raw", "--forward", *times)
    assert [int(line.split()[2]) for line in lines.splitlines()] == list(range(LINES)), lines[:300]
    assert len(logcli(path, server, "query", '{app="db"}', "--limit=7", "--output=jsonl", *times).splitlines()) == 7
    assert str(LINES) in logcli(path, server, "instant-query", 'sum(count_over_time({app="web"} |= "line " [2h]))')
    assert 'app="web"' in logcli(path, server, "series", '{app="web"}', *times)
    assert "entries" in logcli(path, server, "stats", '{app="web"}', *times).lower()
    assert "web" in logcli(path, server, "volume", '{app=~".+"}', *times)
    assert logcli(path, server, "fmt", '{app = "web"}').strip() == '{app="web"}' if "fmt" in logcli(path, server, "--help") else True


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            now = time.time_ns() // S * S
            server.push([({"app": "web"}, [(now - 1800 * S + i * S // 2, f"took={i}ms line {i} of web") for i in range(LINES)]),
                         ({"app": "db"}, [(now - 600 * S + i * S, json.dumps({"user": f"u{i % 9}", "n": i})) for i in range(200)])])
            asker = Asker(server, now)
            pages(asker)
            answers = looks(asker)
            both_ways(asker)
            follows(asker, server)
            deletes(asker, server)
            path = os.environ.get("PEER_LOGCLI")
            if path:
                program(path, asker, server, answers)
            print("logcli ran too" if path else "PEER_LOGCLI is not set: its requests alone")
            server.stop()
        finally:
            server.discard()


main(run)
