#!/usr/bin/env python3
"""A metric query over past hours is asked again and again; what was worked out is kept.  A delete request, its withdrawal and
lines that arrive late change the answer at once, never only when what was kept is forgotten.  What a delete request hides
does not stay behind in what was kept, either.

server: kept results are used (its counters say so) as long as nothing changes; the answer is always that of what may be seen.
"""
import json
import time
import urllib.parse

from lib import Server, main, workspace

S, HOUR = 10**9, 3600 * 10**9
QUERY = 'sum by (user) (count_over_time({app="web"} | logfmt [5m]))'


class Asker:
    def __init__(self, server, start):
        self.server, self.start = server, start

    def total(self, query=QUERY):
        """{user: lines of all steps}; each line is in one range alone."""
        status, body = self.server.get("/loki/api/v1/query_range", query=query, start=self.start, end=self.start + 4 * HOUR, step="5m")
        assert status == 200, body
        return {s["metric"].get("user", ""): sum(float(v[1]) for v in s["values"]) for s in json.loads(body)["data"]["result"]}

    def kept(self):
        """Asked once more: the answer, and how many pieces of it were there already."""
        before = self.server.metric("logq_query_results_hits_total")
        answer = self.total()
        return answer, self.server.metric("logq_query_results_hits_total") - before

    def delete(self, method, **params):
        status, body, _ = self.server.request(method, "/loki/api/v1/delete?" + urllib.parse.urlencode(params))
        assert status in (200, 204), (status, body)
        return body


def settle(asker, want):
    """The new answer at once; then it is kept again."""
    assert asker.total() == want, (asker.total(), want)
    answer, hits = asker.kept()
    assert answer == want and hits > 0, (answer, want, hits)


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            start = (time.time_ns() // HOUR - 6) * HOUR
            asker = Asker(server, start)
            lines = [(start + i * 10 * S, f"user=u{i % 4} line {i}") for i in range(1400)]
            server.push([({"app": "web"}, lines)])
            assert server.request("POST", "/api/v1/admin/flush", b"")[0] == 200
            whole = {f"u{i}": 350.0 for i in range(4)}
            settle(asker, whole)

            span = {"start": start // S, "end": start // S + 4 * 3600}
            assert server.metric("logq_query_results_bytes") > 0
            asker.delete("POST", query='{app="web"} |= "user=u1 "', **span)
            assert server.metric("logq_query_results_bytes") == 0
            without = {user: n for user, n in whole.items() if user != "u1"}
            settle(asker, without)
            # the middle of a kept hour
            asker.delete("POST", query='{app="web"} |= "user=u2 "', start=start // S + 1800, end=start // S + 2 * 3600)
            gone = sum(1 for at, line in lines if "user=u2 " in line and start + 1800 * S <= at < start + 2 * HOUR)
            fewer = without | {"u2": 350.0 - gone}
            settle(asker, fewer)

            requests = json.loads(asker.delete("GET"))
            assert len(requests) == 2, requests
            first = next(r for r in requests if "u1" in r["query"])
            asker.delete("DELETE", request_id=first["request_id"], force="true")
            settle(asker, fewer | {"u1": 350.0})

            late = [(start + 2 * HOUR + i * 60 * S, f"user=u9 late {i}") for i in range(30)]
            server.push([({"app": "web"}, late)])
            assert asker.total() == fewer | {"u1": 350.0, "u9": 30.0}, asker.total()  # while they are in memory
            assert server.request("POST", "/api/v1/admin/flush", b"")[0] == 200
            settle(asker, fewer | {"u1": 350.0, "u9": 30.0})

            server.stop()
            server.start()
            settle(asker, fewer | {"u1": 350.0, "u9": 30.0})
            server.stop()
        finally:
            server.discard()


main(run)
