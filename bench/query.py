"""Suite query: whole HTTPS requests against a restarted server, alone and many at once, and what followers wait for.

Names and methods: bench/README.md.  Where PEER_VICTORIALOGS names one, it gets the same records and the like questions.
"""
import json
import shutil
import time
import urllib.parse

import clients
import victorialogs
from lab import Report, Server, generate, ship

HOURS = 24
EVERY = '{source="container"}'
MINUTE = 60 * 10**9
STREAM_FIELDS = "namespace,pod,container,stream"
ACCESS = '<client> - - [<_>] "<method> <path> <_>" <status> <bytes> <_>'
LEVELS = 'sum by (detected_level) (count_over_time({source="container", pod!="TURN"}[1m]))'

# name, what it is, logq's question, the peer's (None: it has no like of it).  What it is: hour, day: lines of the last hour, of
# all; minutes: a metric by minute over all; instant: a metric over all, where RANGE is the span.  TURN is another number
# each time, so that no part of the answer is known from before.
QUESTIONS = [
    ("first_screen", "hour", EVERY, "*"),
    ("first_screen_day", "day", EVERY, "*"),
    ("needle", "day", EVERY + ' |= "needle-SEED"', '"needle-SEED"'),
    ("absent_needle", "day", EVERY + ' |= "nosuchtextanywhere"', '"nosuchtextanywhere"'),
    ("one_stream_needle", "day", '{container="shop"} |= "needle-SEED"', '{container="shop"} "needle-SEED"'),
    ("json_screen", "day", EVERY + " | json | status >= 500", "* | unpack_json fields (status) | filter status:>=500"),
    ("level_histogram", "minutes", LEVELS, "* | stats by (_time:1m, container) count() n"),
    ("level_histogram_again", "minutes", LEVELS.replace("TURN", "none"), "* | stats by (_time:1m, container) count() n"),
    ("regex_count", "instant", f'sum(count_over_time({EVERY} |~ "\\"status\\":5[0-9]{{2}}" [RANGE]))',
     '~"\\"status\\":5[0-9]{2}" | stats count() n'),
    ("count_by_container", "instant", f"sum by (container) (count_over_time({EVERY}[RANGE]))", "* | stats by (container) count() n"),
    ("json_filter", "instant", f"sum(count_over_time({EVERY} | json | status >= 500 [RANGE]))",
     "* | unpack_json fields (status) | filter status:>=500 | stats count() n"),
    ("topk_client", "instant", f'topk(10, sum by (client) (count_over_time({EVERY} | json | __error__="" [RANGE])))',
     "* | unpack_json fields (client) | stats by (client) count() n | sort by (n desc) limit 10"),
    ("topk_method", "instant", f'topk(10, sum by (method) (count_over_time({EVERY} | json | __error__="" [RANGE])))',
     "* | unpack_json fields (method) | stats by (method) count() n | sort by (n desc) limit 10"),
    ("logfmt_levels", "minutes", 'sum by (level) (count_over_time({container="worker"} | logfmt [1m]))',
     '{container="worker"} | unpack_logfmt fields (level) | stats by (_time:1m, level) count() n'),
    ("pattern_status", "instant", f'topk(10, sum by (status) (count_over_time({{container="nginx"}} | pattern `{ACCESS}` [RANGE])))',
     f'{{container="nginx"}} | extract `{ACCESS}` | stats by (status) count() n | sort by (n desc) limit 10'),
    ("unwrap_sum", "minutes", 'sum(sum_over_time({container="shop"} | json | unwrap duration_ms [1m]))',
     '{container="shop"} | unpack_json fields (duration_ms) | stats by (_time:1m) sum(duration_ms) n'),
    ("unwrap_average", "minutes", 'avg_over_time({container="shop"} | json | duration_ms > 2 | unwrap duration_ms [1m]) by (status)', None),
]

# What takes so long that its asker goes away before: a metric from columns, one from records, lines that no filter finds.
LONG = [
    ("columns", "instant", f'topk(10, sum by (path) (count_over_time({EVERY} | json | __error__="" [RANGE])))'),
    ("records", "instant", f'sum(count_over_time({EVERY} | json | line_format "{{{{.client}}}} {{{{.status}}}}" |= "TURN no" [RANGE]))'),
    ("lines", "day", EVERY + ' | json | line_format "{{.client}}" |= "nosuchtext TURN"'),
]

ROUNDS = 23  # of dashboards, an hour each

# The panels of a dashboard: over its last hour, by minute; LABELS is its own.
PANELS = [
    "LABELS",
    "sum by (detected_level) (count_over_time(LABELS[1m]))",
    "sum by (container) (rate(LABELS[5m]))",
    "sum by (container) (bytes_rate(LABELS[5m]))",
    'sum(count_over_time(LABELS |= "error" [1m]))',
    "sum by (status) (count_over_time(LABELS | json | status >= 400 [5m]))",
    'topk(5, sum by (method) (count_over_time(LABELS | json | __error__="" [5m])))',
    'quantile_over_time(0.95, LABELS | json | __error__="" | unwrap duration_ms [5m]) by (container)',
]


def percentile(values, share):
    """The value that `share` of them do not exceed."""
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * share))]


def fill(options, work):
    """A server with everything in compacted segments and nothing in memory, the peer or None, and what was made."""
    peer_path = work / "peer.jsonl" if victorialogs.binary() else None
    pods, made = generate(work, options.bytes, options.streams, options.seed, peer_path, HOURS)
    server, peer = Server(work), None
    collector, _ = ship(server, work, pods, made)
    collector.finish()
    shutil.rmtree(pods)
    if peer_path:
        peer = victorialogs.Peer(work)
        peer.insert(peer_path, made["lines"], STREAM_FIELDS)
        peer.merge()
        peer_path.unlink()
    server.send("/api/v1/admin/flush", b"", "POST")
    server.send("/api/v1/admin/compact", b"", "POST", wait="1")
    server.process.finish()
    server.start()
    return server, peer, made


def parameters(kind, text, options, made, turn):
    """Path and parameters of a question; `made` says when its records are from."""
    span = f"{(made['last_ns'] - made['first_ns']) // 10**9 + 2}s"
    text = text.replace("SEED", str(options.seed)).replace("TURN", str(turn)).replace("RANGE", span)
    end = made["last_ns"] + 1
    if kind == "instant":
        return "/loki/api/v1/query", {"query": text, "time": str(end)}
    start = made["first_ns"] if kind != "hour" else end - 60 * MINUTE
    if kind == "minutes":
        return "/loki/api/v1/query_range", {"query": text, "start": str(start // MINUTE * MINUTE + MINUTE),
                                            "end": str(end // MINUTE * MINUTE + MINUTE), "step": "60"}
    return "/loki/api/v1/query_range", {"query": text, "start": str(start), "end": str(end), "limit": "100", "direction": "backward"}


def hits_of(kind, result):
    if kind in ("hour", "day"):
        return sum(len(s["values"]) for s in result)
    return sum(float(v[1]) for s in result for v in (s["values"] if kind == "minutes" else [s["value"]]))


def ask_peer(peer, kind, text, options, made):
    """Milliseconds, and lines or what their counts add up to."""
    more = {"start": str(made["last_ns"] + 1 - 60 * MINUTE), "end": str(made["last_ns"] + 1)} if kind == "hour" else {}
    if kind in ("hour", "day"):
        more["limit"] = "100"
    begin = time.monotonic()
    rows = [json.loads(line) for line in
            peer.get("/select/logsql/query", query=text.replace("SEED", str(options.seed)), **more).splitlines()]
    took = (time.monotonic() - begin) * 1000
    return took, len(rows) if kind in ("hour", "day") else sum(round(float(row["n"])) for row in rows)


def repeat(process, ask, times):
    """Milliseconds of each ask but the first, CPU milliseconds of the process for one, and what the last brought."""
    ask(0)
    before, took = process.cpu(), []
    for i in range(times):
        took.append(ask(1 + i))
    return [ms for ms, _ in took], (process.cpu() - before) * 1000 / times, took[-1][1]


def alone(options, report, server, peer, made):
    """Each question by itself."""
    times = max(20, options.runs)
    for name, kind, ours, theirs in QUESTIONS:
        def ask(turn):
            path, params = parameters(kind, ours, options, made, turn)
            begin = time.monotonic()
            answer = json.loads(server.get(path, **params))
            return (time.monotonic() - begin) * 1000, hits_of(kind, answer["data"]["result"])
        mine, cpu, hits = repeat(server.process, ask, times)
        if name == "needle":
            assert hits == min(made["needles"], 100), (hits, made)
        note, other, other_cpu = f"{hits:.0f} hits", [], None
        if peer and theirs:
            other, other_cpu, other_hits = repeat(peer.process, lambda turn: ask_peer(peer, kind, theirs, options, made), times)
            note += f", the peer {other_hits}"
        rank = f"of {times} asks, one after another"
        report.add(f"{name}_ms", mine, "ms", note, victorialogs.NAME, other)
        report.add(f"{name}_p99_ms", [percentile(mine, 0.99)], "ms", rank, victorialogs.NAME, other and [percentile(other, 0.99)])
        report.add(f"{name}_cpu_ms", [cpu], "ms", "CPU of the server process for one", victorialogs.NAME, other and [other_cpu])
    report.add("server_pss_peak_mb", [server.process.peak / 1e6], "MB", "over all questions above", victorialogs.NAME,
               [peer.process.peak / 1e6] if peer else None)


def dashboard_paths(made, dashboards, turn):
    """What dashboards ask that open within the same seconds: each its last hour, begin and end on whole steps around it."""
    paths = []
    for i in range(dashboards):
        labels = f'{{source="container", namespace="team-{i % 8}"}}'
        now = made["last_ns"] + 1 - turn * 60 * MINUTE - i * 10**8
        start, end = (now - 60 * MINUTE) // MINUTE * MINUTE, -(-now // MINUTE) * MINUTE
        for panel in PANELS:
            paths.append("/loki/api/v1/query_range?" + urllib.parse.urlencode(
                {"query": panel.replace("LABELS", labels), "start": str(start), "end": str(end), "step": "60", "limit": "100"}))
    return paths


def add_acks(report, name, acks, when):
    note = f"of {len(acks)} pushes of 100 lines{when}"
    report.add(f"{name}_ack_p99_ms", [percentile([client for client, _ in acks], 0.99)], "ms", note)
    report.add(f"{name}_ack_server_p99_ms", [percentile([kernel for _, kernel in acks], 0.99)], "ms",
               note + ", until the client's kernel has the ack")


def load(options, server, made, nice, keep):
    """Dashboards load again and again, each time another hour, while lines are pushed.  Panels' milliseconds, failures, wall and CPU
    seconds of each round, acks before and during the rounds, and Pss at the end of each."""
    server.process.finish()
    server.start()
    server.process.done.set()  # who reads smaps holds up the server's threads: after each round is often enough
    took, wrong, walls, idle, busy, held = [], [], [], [], [], []
    with clients.Crowd(server, nice, keep) as crowd, clients.Pusher(server) as pusher:
        if keep:
            crowd.ask(dashboard_paths(made, options.dashboards, ROUNDS))
        for turn in range(ROUNDS):
            pusher.taken()
            time.sleep(2)
            idle += pusher.taken()
            before, begin = server.process.cpu(), time.monotonic()
            ms, failed = crowd.ask(dashboard_paths(made, options.dashboards, turn))
            walls.append((time.monotonic() - begin, server.process.cpu() - before))
            busy += pusher.taken()
            held.append(server.process.pss())
            took, wrong = took + ms, wrong + failed
    return took, wrong, walls, idle, busy, held


def together(options, report, server, made):
    """Fifty dashboards load at once, while lines are pushed; the acks of these beside those of an idle server."""
    took, wrong, walls, idle, busy, held = load(options, server, made, 0, False)
    peak = server.process.high_water()
    _, more, _, idle_away, away, _ = load(options, server, made, 19, False)
    kept, most, _, idle_kept, again, _ = load(options, server, made, 0, True)
    wrong += more + most
    rounds = f"{options.dashboards} dashboards of {len(PANELS)} panels at once, {len(walls)} rounds, as many of clients at nice 19, and of open ones"
    report.add("dashboards_errors", [len(wrong)], "requests", rounds + "".join(f"; {text}" for text in sorted(set(wrong))[:3]))
    report.add("dashboards_ms", took, "ms", "one panel")
    report.add("dashboards_p99_ms", [percentile(took, 0.99)], "ms", f"of {len(took)} panels")
    report.add("dashboards_kept_ms", kept, "ms", "one panel, over connections of the round before")
    report.add("dashboards_kept_p99_ms", [percentile(kept, 0.99)], "ms", f"of {len(kept)} panels")
    report.add("dashboards_wall_ms", [wall * 1000 for wall, _ in walls], "ms", "until the last panel is there")
    report.add("dashboards_cpu_ms", [sum(cpu for _, cpu in walls) * 1000 / max(1, len(took))], "ms",
               "CPU of the server process for one panel, pushes included")
    report.add("dashboards_pss_peak_mb", [max(held) / 1e6], "MB", "highest Pss at the end of a round")
    report.add("dashboards_rss_peak_mb", [peak / 1e6], "MB", "most that was resident at any time since the start (VmHWM), files included")
    add_acks(report, "idle", idle + idle_away + idle_kept, ", twenty a second")
    add_acks(report, "dashboards", busy, " while the dashboards load")
    add_acks(report, "dashboards_away", away, " while they load for clients at nice 19, which take no turns that the server wants")
    add_acks(report, "dashboards_kept", again, " while they load over connections of the round before")


def cancel(options, report, server, made):
    """From a client's going away until the server has stopped, as it counts that itself."""
    name = "logq_query_cancel_seconds"
    for what, kind, text in LONG:
        took = []
        for turn in range(max(20, options.runs)):
            path, params = parameters(kind, text, options, made, turn)
            count, total = server.metric(name + "_count"), server.metric(name + "_sum")
            clients.leave(server, path + "?" + urllib.parse.urlencode(params), 0.05 + 0.005 * turn)
            end = time.monotonic() + 60
            while server.metric(name + "_count") == count:
                assert time.monotonic() < end, f"{what}: the query was not cancelled"
            took.append((server.metric(name + "_sum") - total) * 1000)
        report.add(f"cancel_{what}_ms", took, "ms", "from the client's going away until nothing works for it")


def tails(report, server):
    """From the begin of a push to its line at a follower."""
    for count in (1, 200):
        took, acked, cpu = clients.follow(server, count, 200)
        name = f"tail_{count}" if count > 1 else "tail"
        note = f"200 pushes of a line, twenty a second; the client took {cpu * 1000:.0f} us of CPU per line and follower"
        report.add(f"{name}_ms", took, "ms", note)
        report.add(f"{name}_p99_ms", [percentile(took, 0.99)], "ms", f"of {len(took)} lines at {count} followers")
        report.add(f"{name}_ack_p99_ms", [percentile(acked, 0.99)], "ms", "until the same lines were durable: before that nobody gets them")


def run(options, work):
    report = Report("query", options.table)
    parts = set(options.only.split(",")) if options.only else {"alone", "cancel", "together", "tail"}
    if not victorialogs.binary():
        report.note = "PEER_VICTORIALOGS is not set: own figures only"
    server, peer, made = fill(options, work)
    report.note += (f"\n{made['bytes'] / 1e6:.0f} MB, {made['lines']} lines of {HOURS} hours, {made['streams']} pods; "
                    "page cache warm").lstrip("" if report.note else "\n")
    if "alone" in parts:
        alone(options, report, server, peer, made)
    if peer:
        peer.process.finish()
    if "cancel" in parts:
        cancel(options, report, server, made)
    if "together" in parts:
        together(options, report, server, made)
    if "tail" in parts:
        tails(report, server)
    server.process.finish()
    report.end()
