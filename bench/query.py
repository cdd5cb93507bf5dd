"""Suite query: whole HTTPS requests against a restarted server; names in bench/README.md."""
import json
import time

from lab import Report, Server, generate, ship

QUERIES = [  # name, path, query; times cover everything
    ("needle_ms", "/loki/api/v1/query_range", '{{source="container"}} |= "needle-{seed}"'),
    ("absent_needle_ms", "/loki/api/v1/query_range", '{{source="container"}} |= "nosuchtextanywhere"'),
    ("first_screen_ms", "/loki/api/v1/query_range", '{{source="container"}}'),
    ("one_stream_needle_ms", "/loki/api/v1/query_range", '{{container="shop"}} |= "needle-{seed}"'),
    ("regex_count_ms", "/loki/api/v1/query", 'sum(count_over_time({{source="container"}} |~ "\\"status\\":5[0-9]{{2}}" [2h]))'),
    ("count_by_container_ms", "/loki/api/v1/query", 'sum by (container) (count_over_time({{source="container"}}[2h]))'),
    ("json_filter_ms", "/loki/api/v1/query", 'sum(count_over_time({{container="shop"}} | json | status >= 500 [2h]))'),
]


def run(options, work):
    report = Report("query", options.table)
    pods, made = generate(work, options.bytes, options.streams, options.seed)
    server = Server(work)
    collector, _ = ship(server, work, pods, made)
    collector.finish()
    server.process.finish()
    server.start()  # everything in segments, nothing in memory
    note = f"{made['bytes'] / 1e6:.0f} MB, {made['lines']} lines, {made['streams']} streams; page cache warm, one client"
    for name, path, text in QUERIES:
        times = []
        params = {"query": text.format(seed=options.seed), "limit": "100"}
        if path.endswith("range"):
            params |= {"start": str(made["first_ns"]), "end": str(made["last_ns"] + 1)}
        else:
            params |= {"time": str(made["last_ns"] + 1)}
        for _ in range(max(5, options.runs) + 1):
            begin = time.monotonic()
            answer = json.loads(server.get(path, **params))
            times.append((time.monotonic() - begin) * 1000)
            result = answer["data"]["result"]
        hits = sum(len(s["values"]) for s in result) if path.endswith("range") else sum(float(s["value"][1]) for s in result)
        if name == "needle_ms":
            assert hits == made["needles"], (hits, made)
        report.add(name, times[1:], "ms", f"{hits:.0f} hits; " + note)
    report.add("server_pss_peak_mb", [server.process.peak / 1e6], "MB", "over all queries above")
    server.process.finish()
    report.end()
