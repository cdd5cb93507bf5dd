#!/usr/bin/env python3
"""Random queries over random data: a server's answers against those of logql.py, exactly (numbers to 1e-9).

usage: differential.py [--seconds N | --seeds N,N...] [--queries N] [--stop N]

Each seed makes a set of records, pushed in four parts: two are flushed and compacted, one is flushed, one stays in memory.
Then random queries are asked: of logs and of numbers, instant and range, both directions, with and without categories of
labels, now and then with a word missing.  What differs is made small, query and data, and printed with both answers.

The order of a log query's answer is compared whole where an export shows it.  Loki's form has an order in each stream, and
none between streams: what the reference holds for one, because only the words of an error tell them apart, may be several.
"""
import argparse
import collections
import json
import math
import pathlib
import random
import re
import sys
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(HERE))
sys.path.insert(0, str(HERE.parent / "e2e"))
import lib  # noqa: E402
import logql  # noqa: E402
import make  # noqa: E402
import syntax  # noqa: E402
import template  # noqa: E402

S = make.S
FLAG = {"X-Loki-Response-Encoding-Flags": "categorize-labels"}
SOURCES = ("service app application app_name name app_kubernetes_io_name container container_name k8s_container_name component "
           "workload job k8s_job_name").split()
TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|`[^`]*`|\[[^\]]*\]|--[\w-]+|[\w.@]+|[|!=<>~]{2}|\S')


def service(labels):
    return next((labels[n] for n in SOURCES if labels.get(n)), "unknown_service")


class World:
    """A server and the sets of records it holds."""

    def __init__(self, server, base):
        self.server, self.base, self.sets = server, base, 0
        self.tally = collections.Counter()

    def post(self, path, body=b"", headers=None):
        status, text, _ = self.server.request("POST", path, body, headers or {})
        assert status in (200, 204), (path, status, text)

    def load(self, records):
        """Push `records` in four parts; -> (name of the set, what a query should see, in the order taken in)."""
        self.sets += 1
        name, held = f"s{self.sets}", []
        parts = [records[i * len(records) // 4:(i + 1) * len(records) // 4] for i in range(4)]
        for i, part in enumerate(parts):
            streams = {}
            for at, labels, metadata, line in part:
                labels = dict(labels, run=name)
                streams.setdefault(logql.frozen(labels), []).append((self.base + at, labels, metadata, line))
            body = {"streams": [{"stream": dict(key), "values": [[str(at), line, meta] if meta else [str(at), line] for at, _, meta, line in found]}
                                for key, found in streams.items()]}
            if part:
                self.post("/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"})
            held += [record for found in streams.values() for record in found]
            if i < 3 and part:
                self.post("/api/v1/admin/flush")
            if i == 1 and part:
                self.post("/api/v1/admin/compact?wait=1")
        return name, self.seen(name, held)

    def seen(self, name, held):
        """The records with the labels that the server adds: service_name is checked, detected_level is taken from it."""
        answer = self.ask("query_range", {"query": f'{{run="{name}"}}', "start": self.base, "end": self.base + 2 * make.SPAN * S, "limit": 5000,
                                          "direction": "forward"}, FLAG)
        levels = collections.defaultdict(list)
        for stream in answer["result"]:
            for value in stream["values"]:
                metadata = value[2].get("structuredMetadata", {})
                level = metadata.pop("detected_level", None)
                levels[key_of(int(value[0]), stream["stream"], metadata, value[1])].append(level)
        result = []
        for at, labels, metadata, line in held:
            labels = {n: v for n, v in {**labels, "service_name": service(labels)}.items() if v}
            known = levels[key_of(at, labels, logql.stages.Entry(at, labels, metadata, line).metadata, line)]
            assert known, f"not stored: {at} {labels} {metadata} {line!r}"
            level = known.pop(0)
            result.append((at, labels, {**metadata, **({"detected_level": level} if level else {})}, line))
        assert not any(levels.values()), f"stored, never sent: {[k for k, v in levels.items() if v][:3]}"
        return result

    def ask(self, endpoint, params, headers=None):
        """The `data` of an answer; what is refused is a Refused, anything else an error of the test."""
        path = f"/loki/api/v1/{endpoint}?" + urllib.parse.urlencode(params)
        status, body, _ = self.server.request("GET", path, headers=headers or {})
        if status == 400:
            raise syntax.Refused(body.decode())
        assert status == 200, (status, body[:500])
        return json.loads(body)["data"]

    def export(self, params):
        """The entries of an export, in its order."""
        status, body, _ = self.server.request("GET", "/api/v1/export?" + urllib.parse.urlencode(params))
        assert status == 200, (status, body[:500])
        return [json.loads(line) for line in body.splitlines()]


def key_of(at, labels, metadata, line):
    return at, logql.frozen(labels), logql.frozen(metadata), line


# One question --------------------------------------------------------------------------------------------------------

def question(rnd):
    """How a query is asked: everything but its text and its data."""
    start = rnd.randrange(0, make.SPAN) * S
    span = rnd.choice([60, 600, 1800])
    q = {"kind": rnd.choice(["range", "range", "range", "instant"]), "start": start if rnd.random() < 0.5 else 0}
    q["end"] = q["start"] + span * S if rnd.random() < 0.5 else make.SPAN * S + rnd.choice([0, 1, S])
    q["step"] = rnd.choice([1, 7, 15, 60, 300]) * S
    while (q["end"] - q["start"]) // q["step"] > 30:
        q["step"] *= 2
    q["limit"] = rnd.choice([1, 3, 10, 100, 1000, 1000])
    q["direction"] = rnd.choice(["forward", "backward"])
    q["categories"] = rnd.random() < 0.3
    q["interval"] = rnd.choice([0, 0, 0, 0, 10]) * S
    return q


def expected(records, text, q, base):
    """(kind, what a comparison needs); Refused and Unknown pass through."""
    if q["kind"] == "instant":
        kind, value = logql.ask_instant(records, text, base + q["end"])
        if kind == "vector":
            value = {logql.frozen(plain(labels)): v for labels, v in value}
        return kind, value
    kind, value = logql.ask_range(records, text, base + q["start"], base + q["end"], q["step"], q["limit"], q["direction"], q["interval"])
    if kind == "matrix":
        return kind, {(logql.frozen(plain(dict(labels))), at): v for labels, points in value.items() for at, v in points.items()}
    groups, order = collections.defaultdict(list), []
    for at, labels, line, (stream, metadata, parsed) in value:
        error = {"__error__": labels["__error__"]} if "__error__" in labels else {}
        key = logql.frozen(plain(stream)), logql.frozen(plain(metadata)), logql.frozen(plain({**parsed, **error}))
        order.append((at, *key, shown(line)))
        groups[key if q["categories"] else logql.frozen(plain(labels))].append((at, shown(line)))
    return kind, {key: [found] for key, found in groups.items()} | ({ORDER: order} if order and not q["interval"] else {})


ORDER = "order of all"


def shown(text):
    """Half a character, which a template can leave: each byte is shown as U+FFFD."""
    return re.sub("[\udc80-\udcff]", "\ufffd", text)


def plain(labels):
    """Without the words of an error, which are the server's own."""
    return {n: shown(v) for n, v in labels.items() if n != "__error_details__"}


def answered(world, text, q):
    params = {"query": text, "limit": q["limit"], "direction": q["direction"]}
    if q["kind"] == "instant":
        data = world.ask("query", params | {"time": world.base + q["end"]})
        if data["resultType"] == "scalar":
            return "scalar", float(data["result"][1])
        return "vector", {logql.frozen(plain(s["metric"])): float(s["value"][1]) for s in data["result"]}
    params |= {"start": world.base + q["start"], "end": world.base + q["end"]}
    data = world.ask("query_range", params | {"step": q["step"] // S} | ({"interval": q["interval"] // S} if q["interval"] else {}),
                     FLAG if q["categories"] else None)
    if data["resultType"] == "matrix":
        return "matrix", {(logql.frozen(plain(s["metric"])), round(t * 1000) * 10**6): float(v) for s in data["result"] for t, v in s["values"]}
    groups = collections.defaultdict(list)
    for s in data["result"]:
        found = collections.defaultdict(list)
        for value in s["values"]:
            key = logql.frozen(plain(s["stream"]))
            if q["categories"]:
                key = key, logql.frozen(value[2].get("structuredMetadata", {})), logql.frozen(plain(value[2].get("parsed", {})))
            found[key].append((int(value[0]), value[1]))
        for key, values in found.items():
            groups[key].append(values)
    if groups and not q["interval"]:
        groups[ORDER] = [(int(e["ts_ns"]), *(logql.frozen(plain(e[part])) for part in ("labels", "attributes", "parsed")), e["line"])
                         for e in world.export(params)]
    return "streams", dict(groups)


def near(a, b):
    if a is None or b is None:
        return a is b
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-9 * max(abs(a), abs(b)) or abs(a - b) < 1e-10


def same(got, want):
    if got[0] != want[0]:
        return False
    if got[0] == "scalar":
        return near(got[1], want[1])
    if got[1].keys() != want[1].keys():
        return False
    return all(alike(got, want, k) for k in want[1])


def alike(got, want, key):
    """Is this part of two answers of one kind the same?"""
    a, b = got[1].get(key), want[1].get(key)
    if got[0] != "streams":
        return near(a, b)
    return a == b if key == ORDER or None in (a, b) else dealt(b[0], a)


def dealt(whole, parts):
    """Can `whole` be dealt out, one after the other, so that these parts come of it?"""
    if sum(map(len, parts)) != len(whole):
        return False
    places = {(0,) * len(parts)}
    for value in whole:
        places = {p[:i] + (p[i] + 1,) + p[i + 1:] for p in places for i, part in enumerate(parts) if p[i] < len(part) and part[p[i]] == value}
    return bool(places)


class Refusal(tuple):
    """(refused, why)"""


def attempt(f):
    try:
        return f()
    except syntax.Refused as problem:
        return Refusal(("refused", str(problem)))


def differs(world, name, records, text, q):
    """None, or (got, want)."""
    text = text.replace('"@"', f'"{name}"')
    try:
        want = attempt(lambda: expected(records, text, q, world.base))
    except template.Unknown:
        world.tally["not compared"] += 1
        return None
    got = attempt(lambda: answered(world, text, q))
    if isinstance(want, Refusal) or isinstance(got, Refusal):
        equal = isinstance(want, Refusal) and isinstance(got, Refusal)
    else:
        equal = same(got, want)
    world.tally["refused" if isinstance(want, Refusal) else "empty" if not want[1] and want[0] != "scalar" else "answered"] += 1
    return None if equal else (got, want)


# Making it small -----------------------------------------------------------------------------------------------------

def class_of(difference):
    """What must stay the same while a difference is made small."""
    got, want = difference
    return isinstance(got, Refusal), isinstance(want, Refusal)


def shrink_text(world, name, records, text, q, kind):
    size = 16
    while size:
        spans = [m.span() for m in TOKEN.finditer(text)]
        i = 0
        while i + size <= len(spans):
            shorter = text[:spans[i][0]] + text[spans[i + size - 1][1]:]
            spared = shorter.count('"@"') == shorter.count("{") - shorter.count("{{") * 2 or "{{" in shorter
            found = spared and differs(world, name, records, shorter, q)
            if found and class_of(found) == kind:
                text = shorter
                spans = [m.span() for m in TOKEN.finditer(text)]
            else:
                i += 1
        size //= 2
    return re.sub(r"  +", " ", text)


def shrink_data(world, data, text, q, kind, tries=60):
    """Records without which it still differs go; each try is a set of its own in the server."""
    size = max(1, len(data) // 2)
    while size and tries:
        i = 0
        while i < len(data) and tries:
            fewer = data[:i] + data[i + size:]
            tries -= 1
            name, records = world.load(fewer)
            found = differs(world, name, records, text, q)
            if found and class_of(found) == kind:
                data = fewer
            else:
                i += size
        size //= 2
    return data


def excerpt(got, want):
    """The parts of two answers that differ."""
    if isinstance(got, Refusal) or isinstance(want, Refusal) or got[0] != want[0] or got[0] == "scalar":
        return f"  got  {str(got)[:1500]}\n  want {str(want)[:1500]}"
    keys = [k for k in sorted(got[1].keys() | want[1].keys(), key=str) if not alike(got, want, k)]
    return "\n".join(f"  at {k}\n    got  {str(got[1].get(k))[:600]}\n    want {str(want[1].get(k))[:600]}" for k in keys[:4])


def report(world, seed, number, data, name, records, text, q, found):
    print(f"\nDIFFERENCE seed {seed} query {number}: {text}\n  asked {q}", flush=True)
    kind = class_of(found)
    text = shrink_text(world, name, records, text, q, kind)
    data = shrink_data(world, data, text, q, kind)
    name, records = world.load(data)
    text = shrink_text(world, name, records, text, q, kind)
    found = differs(world, name, records, text, q) or found
    print(f"smallest: {text}\ndata ({len(data)}):")
    for record in data[:6]:
        print("  ", record)
    print(excerpt(*found), flush=True)


# Runs ----------------------------------------------------------------------------------------------------------------

def mangled(rnd, text):
    """A word less, twice, or somewhere else."""
    spans = [m.span() for m in TOKEN.finditer(text)]
    a, b = spans[rnd.randrange(len(spans))]
    how = rnd.randrange(3)
    if how == 0:
        return text[:a] + " " + text[b:]
    if how == 1:
        return text[:b] + " " + text[a:b] + text[b:]
    c, d = spans[rnd.randrange(len(spans))]
    return text[:a] + " " + text[c:d] + " " + text[b:]


def is_answered(records, text, q, base):
    try:
        kind, value = expected(records, text, q, base)
    except (syntax.Refused, template.Unknown):
        return False
    return kind == "scalar" or bool(value)


def run_seed(world, seed, queries, end=None):
    """-> (queries asked, differences)"""
    rnd = random.Random(seed)
    data = make.Data(rnd, rnd.choice([40, 240, 600])).records
    name, records = world.load(data)
    maker, bad = make.Queries(rnd), 0
    for number in range(queries):
        for _ in range(4):  # most of what comes to mind finds nothing, or fails; some is asked all the same
            text, q = maker.query(), question(rnd)
            if rnd.random() < 0.1 or is_answered(records, text.replace('"@"', f'"{name}"'), q, world.base):
                break
        if rnd.random() < 0.06:
            text = mangled(rnd, text)
        if '"@"' not in text:
            continue
        found = differs(world, name, records, text, q)
        if found:
            bad += 1
            report(world, seed, number, data, name, records, text, q, found)
        if end and time.monotonic() > end:
            return number + 1, bad
    return queries, bad


def main(seeds=None, queries=60, seconds=None, stop=1):
    """Run the seeds, or new ones for so many seconds; -> differences found (at most `stop`)."""
    asked = bad = 0
    end = time.monotonic() + seconds if seconds else None
    with lib.workspace() as directory:
        server = lib.Server(directory / "server", dev=True)
        server.init(lambda text: text + "query:\n  series: 100000\n").start()
        try:
            world = World(server, (time.time_ns() // S - 2 * make.SPAN) * S)
            for seed in seeds or iter(lambda: random.SystemRandom().randrange(1 << 31), None):
                try:
                    n, wrong = run_seed(world, seed, queries, end)
                except BaseException:
                    print(f"in seed {seed}", flush=True)
                    raise
                asked, bad = asked + n, bad + wrong
                if bad >= stop or (end and time.monotonic() > end):
                    break
            server.stop()
        finally:
            server.discard()
    print(f"{asked} queries, {bad} differences; " + ", ".join(f"{n} {what}" for what, n in world.tally.most_common()), flush=True)
    assert bad or world.tally["answered"] > asked * 0.3, "too few queries have an answer to say anything"
    return bad


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--seeds", type=lambda v: [int(s) for s in v.split(",")])
    parser.add_argument("--queries", type=int, default=60)
    parser.add_argument("--stop", type=int, default=1, help="end after so many differences")
    options = parser.parse_args()
    sys.exit(main(options.seeds, options.queries, options.seconds, options.stop) != 0)
