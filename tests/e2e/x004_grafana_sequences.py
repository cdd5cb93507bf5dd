#!/usr/bin/env python3
"""What Grafana's Loki data source, Explore and Logs Drilldown ask, in their order and their forms: each answer has what
the next step needs.  No error may come but those that Grafana looks for."""
import json
import time
import urllib.parse

from lib import Server, main, workspace
from websocket import WebSocket

S = 10**9
FLAG = {"X-Loki-Response-Encoding-Flags": "categorize-labels", "X-Query-Tags": "Source=grafana-loki-datasource"}
LEVELS = ["info", "warn", "error", "info"]


class Grafana:
    """Asks as the backend does: GET, nanoseconds, the flag; every answer but the asked-for status fails the story."""

    def __init__(self, server, now):
        self.server = server
        self.start, self.end = now - 3600 * S, now + 60 * S

    def ask(self, path, status=200, **params):
        query = urllib.parse.urlencode(params, doseq=True)
        got, body, headers = self.server.request("GET", f"/loki/api/v1/{path}" + ("?" + query if query else ""), headers=FLAG)
        assert got == status, (path, params, got, body[:500])
        if status != 200:
            return body.decode()
        assert headers["Content-Type"].startswith("application/json"), (path, headers["Content-Type"])
        return json.loads(body)

    def span(self, path, **params):
        return self.ask(path, start=self.start, end=self.end, **params)

    def range(self, query, **more):
        params = {"direction": "backward", "query": query, "step": "15000ms"} | more
        return self.span("query_range", **params)["data"]


def fill(server, now):
    """Two services of a minute each: JSON with a level a line, and logfmt."""
    for app, line in (("shop", lambda i: json.dumps({"level": LEVELS[i % 4], "status": 200 + i % 3, "took": f"{i}ms",
                                                     "user": {"id": i % 5}})),
                      ("pay", lambda i: f"level={LEVELS[i % 4]} msg=\"order {i} paid\" status={200 + i % 3}")):
        server.push([({"app": app, "namespace": "prod"},
                      [(now - 60 * S + i * S // 2, line(i), {"trace_id": f"t{i}"}) for i in range(100)])])


def data_source(grafana):
    """Save & test, then the pickers of the query builder."""
    vector = grafana.ask("query", direction="backward", query="vector(1)+vector(1)", time=4000000000)["data"]
    assert vector["resultType"] == "vector" and [s["value"][1] for s in vector["result"]] == ["2"], vector
    assert grafana.ask("status/buildinfo")["version"].startswith("3."), "features"
    names = grafana.span("labels")["data"]
    assert {"app", "namespace", "service_name"} <= set(names) and names == sorted(names), names
    assert grafana.span("label/app/values", query='{namespace="prod"}')["data"] == ["pay", "shop"]
    assert grafana.span("label/app/values", query='{app="pay"}', limit=1000)["data"] == ["pay"]
    series = grafana.span("series", **{"match[]": ['{app="shop"}']})["data"]
    assert series == [{"app": "shop", "namespace": "prod", "service_name": "shop"}], series
    assert grafana.ask("format_query", query='{app = "shop"}|="x"')["data"] == '{app="shop"} |= "x"'


def explore(grafana):
    """A query, its size hint, its logs, its volume, context of a row, a broken query."""
    hint = grafana.span("index/stats", query='{app="shop"}')
    assert hint["streams"] == 1 and hint["entries"] == 100 and hint["bytes"] > 1000, hint
    logs = grafana.range('{app="shop"} | json', limit=1000)
    assert logs["resultType"] == "streams" and logs["encodingFlags"] == ["categorize-labels"], logs["resultType"]
    rows = [(s["stream"], v) for s in logs["result"] for v in s["values"]]
    assert len(rows) == 100 and all(set(s) == {"app", "namespace", "service_name"} for s, _ in rows), rows[0]
    newest = max(rows, key=lambda r: int(r[1][0]))
    assert newest[1][2]["structuredMetadata"]["trace_id"] == "t99" and newest[1][2]["parsed"]["user_id"] == "4", newest
    assert {"bytesProcessedPerSecond", "totalLinesProcessed", "execTime"} <= set(logs["stats"]["summary"]), logs["stats"]
    volume = grafana.range('sum by (level, detected_level) (count_over_time({app="shop"} | json | drop __error__ [15s]))')
    assert volume["resultType"] == "matrix", volume
    sums = {}
    for s in volume["result"]:
        sums[s["metric"]["detected_level"]] = sums.get(s["metric"]["detected_level"], 0) + sum(float(v[1]) for v in s["values"])
    assert sums == {"info": 50, "warn": 25, "error": 25}, sums
    at = int(rows[50][1][0])
    labels = "{" + ", ".join(f'{k}="{v}"' for k, v in rows[50][0].items()) + "}"
    for direction, start, end in (("backward", at - 7200 * S, at), ("forward", at, at + 7200 * S)):
        around = grafana.ask("query_range", query=labels, start=start, end=end, direction=direction, limit=10,
                             step="7200000ms")["data"]["result"]
        times = [int(v[0]) for s in around for v in s["values"]]
        assert len(times) == 10 and times == sorted(times, reverse=direction == "backward"), times
    broken = grafana.ask("query_range", status=400, query='{app="shop"} | jsn', start=grafana.start, end=grafana.end)
    assert broken.startswith("parse error at line 1, col "), broken


def live(grafana, server):
    """Live: some versions probe v2alpha and want anything but 400; then frames as rows come."""
    status, _ = server.get("/loki/api/v2alpha/tail", query='{app="shop"}')
    assert status == 404, status
    follower = WebSocket(server, "/loki/api/v1/tail?query=" + urllib.parse.quote('{app="shop"} |= "live"'))
    assert follower.status == 101, follower.body
    server.push([({"app": "shop", "namespace": "prod"}, [(time.time_ns(), "live row")])])
    labels, _, line = follower.entries(1)[0]
    assert line == "live row" and labels["app"] == "shop" and labels["detected_level"] == "unknown", labels
    follower.close()


def drilldown(grafana):
    """The services, one of them, its labels, fields and patterns."""
    limits = grafana.ask("drilldown-limits")
    assert limits["limits"]["volume_enabled"] and limits["pattern_ingester_enabled"], limits
    volume = grafana.span("index/volume", query='{service_name=~".+"}', targetLabels="service_name", limit=5000)["data"]
    assert {v["metric"]["service_name"] for v in volume["result"]} == {"shop", "pay"}, volume
    sizes = [float(v["value"][1]) for v in volume["result"]]
    assert sizes == sorted(sizes, reverse=True) and all(sizes), sizes
    ranged = grafana.span("index/volume_range", query='{service_name=~".+"}', targetLabels="service_name", step="15s")["data"]
    assert ranged["resultType"] == "matrix", ranged
    assert sum(float(v[1]) for s in ranged["result"] for v in s["values"]) == sum(sizes), (ranged, sizes)
    levels = grafana.range('sum by (detected_level) (count_over_time({service_name="pay"} [15s]))')["result"]
    assert {s["metric"]["detected_level"] for s in levels} == {"info", "warn", "error"}, levels
    labels = grafana.span("detected_labels", query='{service_name="pay"}')["detectedLabels"]
    assert {"label": "namespace", "cardinality": 1} in labels, labels
    fields = {f["label"]: f for f in grafana.span("detected_fields", query='{service_name="shop"}', line_limit=1000,
                                                  limit=1000)["fields"]}
    assert fields["user_id"] == {"label": "user_id", "type": "int", "cardinality": 5, "parsers": ["json"],
                                 "jsonPath": ["user", "id"]}, fields["user_id"]
    assert fields["took"]["type"] == "duration" and fields["trace_id"]["parsers"] is None, fields
    values = grafana.span("detected_field/status/values", query='{service_name="shop"}', line_limit=1000, limit=1000)
    assert values["values"] == ["200", "201", "202"], values
    per_field = grafana.range('sum by (status) (count_over_time({service_name="shop"} | json | logfmt | '
                              'drop __error__, __error_details__ | status!="" [15s]))')["result"]
    assert {s["metric"]["status"]: sum(float(v[1]) for v in s["values"]) for s in per_field} == {
        "200": 34, "201": 33, "202": 33}, per_field
    patterns = grafana.span("patterns", query='{service_name="pay"}', step="15s")["data"]
    assert patterns and all({"pattern", "samples"} <= set(p) for p in patterns), patterns


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            now = time.time_ns()
            fill(server, now)
            grafana = Grafana(server, now)
            data_source(grafana)
            explore(grafana)
            live(grafana, server)
            for _ in range(2):  # from memory, then from segments
                drilldown(grafana)
                assert server.request("POST", "/api/v1/admin/flush", b"")[0] == 200
            server.stop()
        finally:
            server.discard()


main(run)
