#!/usr/bin/env python3
"""What Loki's own logcli asks, in its forms; and each endpoint of its API by GET and by form, with times in all shapes.

logcli: PEER_LOGCLI=/path/to/logcli runs each of its verbs, in each form of output and each way to log in, beside its requests
        made here: it prints what these answer.  Without it the requests alone are made.
server: each endpoint says the same to GET and to POST, whatever shape the times have; pages by the last time lose nothing.
"""
import base64
import datetime
import json
import os
import signal
import subprocess
import time
import urllib.parse

from lib import SLOW, Server, main, wait_for, workspace
from websocket import WebSocket

S = 10**9
HEADERS = {"User-Agent": "loki-logcli/3.7.0", "X-Query-Tags": "Source=logcli"}
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
    ranged = asker.span("index/volume_range", query='{app="web"}', limit=30, aggregateBy="labels", step="300")["data"]
    assert ranged["resultType"] == "matrix" and sum(float(p[1]) for s in ranged["result"] for p in s["values"]) > 0, ranged
    fields = asker.span("detected_fields", query='{app="web"}', limit=1000, line_limit=1000, step="10s")
    assert "took" in {f["label"] for f in fields["fields"]}, fields
    took = asker.span("detected_field/took/values", query='{app="web"}', limit=5, line_limit=1000, step="10s")["values"]
    assert len(took) == 5 and all(v.endswith("ms") for v in took), took
    instant = asker.ask("query", query='sum by (app) (count_over_time({app="web"}[2h]))', limit=30, direction="BACKWARD", time=asker.end)
    assert instant["data"]["result"][0]["value"][1] == str(LINES), instant
    ranges = asker.span("query_range", query='sum(count_over_time({app="web"}[1m]))', step="60", limit=30,
                        direction="FORWARD")["data"]
    assert ranges["resultType"] == "matrix", ranges
    thinned = asker.span("query_range", query='{app="db"}', interval="50", limit=1000, direction="FORWARD")["data"]["result"]
    assert sum(len(s["values"]) for s in thinned) == 4, thinned
    return {"labels": labels, "values": values}


def follows(asker, server):
    for more in ({}, {"delay_for": 1}):  # no delay: the parameter is left out
        text = f"tailed {len(more)}"
        follower = WebSocket(server, "/loki/api/v1/tail?" + urllib.parse.urlencode(
            {"limit": 30, "query": f'{{app="web"}} |= "{text}"', "start": asker.start, **more}))
        assert follower.status == 101, follower.body
        server.push([({"app": "web"}, [(time.time_ns(), text)])])
        assert follower.entries(1)[0][2] == text
        follower.close()


def deletes(asker, server):
    def call(method, **params):
        return server.request(method, "/loki/api/v1/delete?" + urllib.parse.urlencode(params), headers=HEADERS)
    for method in ("PUT", "POST"):  # logcli posts without a body
        assert call(method, query='{app="web"} |= "tailed"', start=asker.start // S, end=asker.end // S, max_interval="1h")[0] == 204
        request = json.loads(call("GET")[1])[-1]
        assert request["query"] == '{app="web"} |= "tailed"', request
        assert (request["start_time"], request["end_time"]) == (asker.start // S, asker.end // S), request
        assert all(isinstance(request[key], int) for key in ("start_time", "end_time")), request  # logcli reads no other number
        assert asker.batch('{app="web"} |= "tailed"', "BACKWARD", asker.start, asker.end, 30) == []
        assert call("DELETE", request_id=request["request_id"], force="true")[0] == 204
        assert len(asker.batch('{app="web"} |= "tailed"', "BACKWARD", asker.start, asker.end, 30)) == 2


def basic(server, user):
    return {"Authorization": "Basic " + base64.b64encode(f"{user}:{server.token}".encode()).decode()}


def logins(asker, server):
    def status(**headers):
        return server.request("GET", f"/loki/api/v1/labels?start={asker.start}&end={asker.end}", headers=HEADERS | headers, token=False)[0]
    bearer = {"Authorization": f"Bearer {server.token}"}
    assert status() == 401
    assert status(**bearer) == status(**basic(server, "anybody")) == 200
    assert status(**bearer, **{"X-Scope-OrgID": "default"}) == 200 and status(**bearer, **{"X-Scope-OrgID": "other"}) == 403
    assert status(**bearer, **{"Cache-Control": "no-cache", "Accept-Encoding": "gzip"}) == 200
    assert status(Authorization="Bearer wrong") == 403


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

class Logcli:
    """The program at `path`, asking `server` about the time of `asker`."""

    def __init__(self, path, asker, server):
        self.path, self.server = path, server
        self.ca = f"--ca-cert={server.dir}/tls/ca.crt"
        self.times = [f"--from={self.rfc(asker.start)}", f"--to={self.rfc(asker.end)}"]
        self.count = f'sum(count_over_time({{app="web"}} |= "line " [2h]))'
        self.end = self.rfc(asker.end)

    @staticmethod
    def rfc(ns):
        return f"{datetime.datetime.fromtimestamp(ns // S, datetime.timezone.utc):%Y-%m-%dT%H:%M:%SZ}"

    def argv(self, *args, login=None):
        login = login or [f"--bearer-token={self.server.token}"]
        return [self.path, "--timezone=UTC", f"--addr={self.server.url}", self.ca, *login, *args]

    def all(self, *args, login=None, text=None, fails=False):
        done = subprocess.run(self.argv(*args, login=login), input=text, capture_output=True, text=True, timeout=60 * SLOW, check=False)
        assert (done.returncode != 0) == fails, (args, done.returncode, done.stderr[-1000:])
        return done.stdout, done.stderr

    def __call__(self, *args, login=None, text=None):
        return self.all("--quiet", *args, login=login, text=text)[0]

    def query(self, *args, login=None):
        return self("query", *args, *self.times, login=login)


def numbered(text):
    """The numbers of lines as `took=1ms line 1 of web`."""
    return [int(line.split(" line ")[1].split()[0]) for line in text.splitlines()]


def program_lines(cli):
    every = ['{app="web"} |= "line "', "--limit=0", "--batch=1000"]
    raw = cli.query(*every, "--output=raw", "--forward")
    assert numbered(raw) == list(range(LINES)), raw[:300]
    assert numbered(cli.query(*every, "--output=default")) == list(range(LINES))[::-1]
    rows = [json.loads(line) for line in cli.query('{app="db"}', "--limit=7", "--output=jsonl", "--include-common-labels").splitlines()]
    assert [json.loads(row["line"])["n"] for row in rows] == list(range(199, 192, -1)), rows
    assert all(row["labels"]["app"] == "db" for row in rows), rows
    row = cli.query('{app="db"}', "--limit=1", "--include-label=app", "--output-timestamp-format=rfc3339nano").split(" ", 2)
    assert row[0].endswith("Z") and row[1] == '{app="db"}', row
    assert "{" not in cli.query('{app="web"} |= "line 7 "', "--no-labels", "--compress", "--nocache", "--query-tags=Source=story")
    assert len(cli.query('{app="db"}', "--limit=1000", "--forward", "--interval=50s", "--output=raw").splitlines()) == 4
    parsed = cli.query('{app="web"} | logfmt | took="8ms" | line_format "{{.took}}!"', "--output=raw")
    assert parsed == "8ms!\n", parsed
    assert "parse error at line 1" in cli.all("query", '{app="web"} | json |', *cli.times, fails=True)[1]


def program_parts(cli, work):
    parts = ["--parallel-duration=10m", "--parallel-max-workers=3", f"--part-path-prefix={work}/part"]
    merged = cli.query('{app="web"} |= "line "', "--forward", "--output=raw", *parts, "--merge-parts", "--keep-parts")
    assert numbered(merged) == list(range(LINES)), merged[:300]
    kept = list(work.glob("part_*.part"))
    assert len(kept) >= 7
    for part in kept:
        part.unlink()
    again = cli.query('{app="web"} |= "line "', "--output=raw", *parts, "--overwrite-completed-parts", "--merge-parts")
    assert numbered(again) == list(range(LINES))[::-1], again[:300]
    assert not list(work.glob("part_*"))


def program_numbers(cli):
    vector = json.loads(cli("instant-query", cli.count, f"--now={cli.end}"))
    assert vector[0]["metric"] == {} and vector[0]["value"][1] == str(LINES), vector
    out, told = cli.all("--stats", "instant-query", cli.count, f"--now={cli.end}")
    assert json.loads(out) == vector and "TotalLinesProcessed" in told.replace(" ", "").replace(".", "") and str(LINES) in told, told
    assert json.loads(cli("instant-query", "1 + 2"))[1] == "3"
    matrix = json.loads(cli.query('sum by (app) (count_over_time({app=~".+"}[1m]))', "--step=60s"))
    counted = {s["metric"]["app"]: sum(int(v[1]) for v in s["values"]) for s in matrix}
    assert counted == {"db": 200, "web": LINES + 2}, counted  # two were tailed
    failed = cli.all("query", 'sum by (user) (count_over_time({app="web"} | json [1m]))', "--step=60s", *cli.times, fails=True)[1]
    assert "pipeline error: 'JSONParserErr'" in failed, failed


def program_index(cli, answers):
    assert cli("labels", *cli.times).split() == answers["labels"]
    assert cli("labels", "app", *cli.times).split() == answers["values"]
    assert cli("series", '{app="web"}', *cli.times).strip().startswith("map[") or 'app="web"' in cli("series", '{app="web"}', *cli.times)
    analysed = cli("series", "{}", "--analyze-labels", *cli.times)
    assert "Total Streams:  2" in analysed and ["app", "2", "2"] in [line.split() for line in analysed.splitlines()], analysed
    stats = dict(line.strip().split(": ", 1) for line in cli("stats", '{app="web"}', *cli.times).splitlines() if ": " in line)
    assert stats["streams"] == "1" and stats["entries"] == str(LINES + 2), stats
    volume = json.loads(cli("volume", '{app=~".+"}', "--targetLabels=app", *cli.times))
    assert [v["metric"] for v in volume] == [{"app": "web"}, {"app": "db"}], volume
    names = json.loads(cli("volume", '{app=~".+"}', "--aggregateByLabels", *cli.times))
    assert {"app": ""} in [v["metric"] for v in names], names
    ranged = json.loads(cli("volume_range", '{app="web"}', "--targetLabels=app", "--step=10m", *cli.times))
    assert ranged[0]["metric"] == {"app": "web"} and len(ranged[0]["values"]) >= 2, ranged
    fields = {line.split()[1]: line.split() for line in cli("detected-fields", '{app=~".+"}', *cli.times).splitlines()}
    assert fields["took"][3] == "duration" and fields["n"][3] == "int", fields
    raw = json.loads(cli("detected-fields", '{app="web"}', "--output=raw", *cli.times))
    assert {f["label"]: f.get("parsers") for f in raw["fields"]}["took"] == ["logfmt"], raw
    users = cli("detected-fields", '{app="db"}', "user", *cli.times).split()
    assert users == [f"u{i}" for i in range(9)], users
    text = 'sum( rate({app = "web"} [1m])) by (app)'
    formatted = json.loads(cli.server.get("/loki/api/v1/format_query", query=text)[1])["data"]
    assert "".join(cli("fmt", text=text).split()) == "".join(formatted.split()), formatted  # versions differ in blanks


def program_deletes(cli):
    assert "created" in cli.all("delete", "create", '{app="db"} |= "u3"', "--max-interval=1h", *cli.times)[0]
    assert len(cli.query('{app="db"}', "--limit=1000", "--output=raw").splitlines()) == 178
    listed = cli.all("delete", "list")[0]
    assert 'Query: {app="db"} |= "u3"' in listed and "Status: received" in listed, listed
    assert json.loads(cli("--output=jsonl", "delete", "list"))[-1]["query"] == '{app="db"} |= "u3"'
    last = json.loads(cli.server.get("/loki/api/v1/delete")[1])[-1]["request_id"]
    assert "cancelled" in cli.all("delete", "cancel", f"--request-id={last}", "--force")[0]
    assert len(cli.query('{app="db"}', "--limit=1000", "--output=raw").splitlines()) == 200


def program_logins(cli, work):
    token = work / "token"
    token.write_text(cli.server.token + "\n")
    for login in ([f"--bearer-token-file={token}"], ["--username=anybody", f"--password={cli.server.token}"],
                  [f"--bearer-token={cli.server.token}", "--org-id=default"],
                  [f"--header=Authorization: Bearer {cli.server.token}"]):
        assert cli("labels", "app", *cli.times, login=login).split() == ["db", "web"], login
    for login, status in (["--org-id=other", f"--bearer-token={cli.server.token}"], "may not use"), (["--bearer-token=wrong"], ""):
        told = cli.all("labels", *cli.times, login=login, fails=True)[1]
        assert "error response from server" in told and status in told, told
    cli.ca = "--tls-skip-verify"
    assert cli("labels", "app", *cli.times).split() == ["db", "web"]
    cli.ca = f"--ca-cert={cli.server.dir}/tls/ca.crt"


def program_tail(cli, server, work):
    for flags in (["--tail"], ["--follow", "--delay-for=1"]):
        text, out = f"followed {len(flags)}", work / "tailed"
        with open(out, "w") as to:
            tail = subprocess.Popen(cli.argv("--quiet", "--output=jsonl", "query", f'{{app="web"}} |= "{text}"', *flags), stdout=to,
                                    stderr=subprocess.STDOUT)
        try:
            server.push([({"app": "web"}, [(time.time_ns(), text)])])
            wait_for("the tailed line", lambda: out.read_text().endswith("\n"))
            row = json.loads(out.read_text().splitlines()[0])
            assert row["line"] == text and row["labels"]["app"] == "web", row
            tail.send_signal(signal.SIGTERM)
            assert tail.wait(20 * SLOW) == 0
        finally:
            if tail.poll() is None:
                tail.kill()
                tail.wait()


def program(path, asker, server, answers, work):
    cli = Logcli(path, asker, server)
    program_lines(cli)
    program_parts(cli, work)
    program_numbers(cli)
    program_index(cli, answers)
    program_deletes(cli)
    program_logins(cli, work)
    program_tail(cli, server, work)


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
            logins(asker, server)
            path = os.environ.get("PEER_LOGCLI")
            if path:
                program(path, asker, server, answers, work)
            print("logcli ran too" if path else "PEER_LOGCLI is not set: its requests alone")
            server.stop()
        finally:
            server.discard()


main(run)
