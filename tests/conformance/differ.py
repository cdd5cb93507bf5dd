#!/usr/bin/env python3
"""Random queries over random lines: the server's answers against reference.py's.

usage: differ.py [QUERIES]          LOGQ_SEED repeats a run

Half of the lines are in segments, half in the head; what the server says it has, with the labels that it adds by itself,
is what the reference works on.
"""
import json
import pathlib
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
sys.path.insert(0, str(HERE))
sys.dont_write_bytecode = True
import lib  # noqa: E402
import reference as ref  # noqa: E402

S = 10**9
SPAN = 3600  # seconds of data


class World:
    """The data, and the words that queries are made of."""

    apps, pods = ["api", "web", "db"], ["p0", "p1"]
    levels, methods = ["info", "warn", "error"], ["GET", "POST", "PUT"]

    def __init__(self, rnd, now):
        self.rnd = rnd
        self.start = now - SPAN * S

    def line(self):
        r, rnd = self.rnd.random(), self.rnd
        f = {"level": rnd.choice(self.levels), "method": rnd.choice(self.methods), "app": "inner",
             "code": str(rnd.choice([200, 404, 500])), "took": rnd.choice(["15ms", "1.5s", "2m", "bad", "90us"]),
             "bytes": rnd.choice(["10B", "1.5KB", "3MiB", "x"]), "n": str(rnd.randint(-5, 50)),
             "ip": f"10.{rnd.randint(0, 2)}.0.{rnd.randint(1, 9)}"}
        names = rnd.sample(sorted(f), rnd.randint(2, len(f)))
        if r < 0.3:
            inner = {n: (int(f[n]) if n in ("code", "n") else f[n]) for n in names}
            if rnd.random() < 0.3:
                inner["req"] = {"id": f"r{rnd.randint(0, 3)}", "ok": rnd.random() < 0.5, "none": None, "list": [1, {"a": 2}]}
            return json.dumps(inner)
        if r < 0.6:
            return " ".join(f'{n}="{f[n]} {f["level"]}"' if rnd.random() < 0.1 else f"{n}={f[n]}" for n in names)
        if r < 0.8:
            return f'{f["ip"]} - {f["method"]} /{rnd.choice("abc")} {f["code"]} took {f["took"]}'
        if r < 0.9:
            return json.dumps({"_entry": f'packed {f["level"]} n={f["n"]}', "pod": "inner", "x": rnd.choice("yz")})
        return rnd.choice(["", "plain text", "ünïcödé line", "{not json", "error: " + f["ip"] + ".", "a b c"])

    def streams(self):
        """What is pushed.  Times are distinct, so that no order is left open."""
        result = []
        times = self.rnd.sample(range(SPAN * 1000), 1200)
        for app in self.apps:
            for pod in self.pods:
                mine = [times.pop() for _ in range(self.rnd.randint(60, 180))]
                values = []
                for ms in sorted(mine):
                    value = [self.start + ms * 10**6, self.line()]
                    if self.rnd.random() < 0.3:
                        value.append({"trace": f"t{self.rnd.randint(0, 3)}"})
                        if self.rnd.random() < 0.2:
                            value[-1]["pod"] = "meta"
                    values.append(value)
                result.append(({"run": "x", "app": app, "pod": pod}, values))
        return result


class Maker:
    """Random queries."""

    names = ["app", "pod", "level", "method", "code", "took", "bytes", "n", "ip", "trace", "req_id", "app_extracted", "x",
             "none"]

    def __init__(self, rnd):
        self.rnd = rnd

    def one(self, *choices):
        return self.rnd.choice(choices)

    def matcher(self, name=None):
        name = name or self.one(*self.names)
        known = {"app": World.apps, "pod": World.pods, "level": World.levels, "method": World.methods}
        values = known.get(name, ["200", "t1", "a", ""])
        op = self.one("=", "!=", "=~", "!~")
        value = self.one(*values)
        return name, op, value if op in ("=", "!=") else self.one(value + ".*", f"{value}|zz", ".+", "[a-p].*")

    def selector(self):
        extra = [self.matcher(self.one("app", "pod")) for _ in range(self.rnd.randint(0, 2))]
        return tuple([("run", "=", "x")] + extra)

    def line_filter(self):
        op = self.one("|=", "!=", "|~", "!~", "|>", "!>")
        texts = {"=": ["error", "GET", "a", "took", "200", ""], "~": ["err|warn", "[0-9]+ms", "^\\{", "(?i)get", "c$"],
                 ">": ["<_> - <_>", "<_>error<_>", "<_>=<_> <_>", "{<_>}", "<_> took <_>ms"]}[op[1]]
        args = [("text", self.one(*texts)) for _ in range(self.one(1, 1, 2))]
        if op[1] == "=" and self.rnd.random() < 0.2:
            args.append(("ip", self.one("10.0.0.0/16", "10.1.0.3", "10.0.0.0/8", "::1")))
        return "line", op, args

    def condition(self, depth=0):
        if depth < 2 and self.rnd.random() < 0.25:
            return (self.one("and", "or"), self.condition(depth + 1), self.condition(depth + 1))
        kind = self.one("match", "match", "number", "duration", "size", "ip")
        if kind == "match":
            return ("match",) + self.matcher()
        if kind == "ip":
            return "ip", "ip", self.one("=", "!="), self.one("10.1.0.0/16", "10.0.0.5")
        literals = {"number": ("n", ["3", "10", "-1"]), "duration": ("took", ["100ms", "1s"]),
                    "size": ("bytes", ["1KB", "2MiB"])}
        name, values = literals[kind]
        return kind, self.one(name, name, "code", "none"), self.one(*ref.COMPARE), self.one(*values)

    def pick(self):
        return self.matcher() if self.rnd.random() < 0.4 else (self.one(*self.names), None, None)

    def stage(self):
        kind = self.one("line", "line", "json", "logfmt", "json", "logfmt", "filter", "filter", "filter", "regexp", "pattern",
                        "unpack", "drop", "keep", "line_format", "label_format")
        if kind == "line":
            return self.line_filter()
        if kind == "filter":
            return kind, self.condition()
        if kind in ("drop", "keep"):
            return kind, [self.pick() for _ in range(self.rnd.randint(1, 3))]
        if kind == "regexp":
            return kind, self.one("(?P<method>GET|POST) /(?P<x>\\w)", "n=(?P<n>\\d+)", "(?P<level>error|warn)")
        if kind == "pattern":
            return kind, self.one("<ip> - <method> <_> <code> took <took>", "<x>=<_> <n>", "{<x>}", "<x> <_>")
        if kind == "line_format":
            return kind, [self.one(*self.names) for _ in range(2)]
        if kind == "label_format":
            return kind, self.one("level", "new", "x"), self.one("method", "code", "n", "none")
        if kind in ("json", "logfmt") and self.rnd.random() < 0.3:
            paths = ["n", "method", "took", "missing", "app"] + (["req.id", "req.ok", "req.none"] if kind == "json" else [])
            labels = self.rnd.sample(["n", "method", "new", "y", "pod"], self.rnd.randint(1, 3))
            return kind, [(label, self.one(*paths)) for label in labels]
        return (kind,)

    def log(self, most=4):
        stages = []
        for _ in range(self.rnd.randint(0, most)):
            stage = self.stage()
            while stages and stages[-1][0] in ("drop", "keep") and stage[0] == "line":
                stage = self.stage()  # `drop x != "y"` is one stage
            stages.append(stage)
        return "log", self.selector(), stages

    def grouping(self):
        return self.one("by", "without"), tuple(sorted(set(self.one(*self.names) for _ in range(self.rnd.randint(1, 3)))))

    def range(self):
        op = self.one("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time", "unwrap", "unwrap")
        inner, unwrap, grouping, param = self.log(3), None, None, None
        if op == "unwrap":
            reduced = ("sum", "avg", "min", "max", "stddev", "stdvar", "quantile", "first", "last")
            op = self.one(*[x + "_over_time" for x in reduced], "rate")
            unwrap = self.one(("n", ""), ("code", ""), ("took", "duration"), ("bytes", "bytes"))
            if self.rnd.random() < 0.3:
                unwrap += (self.one(self.condition(), ("match", ref.ERROR, "=", "")),)
            if op not in ("sum_over_time", "rate") and self.rnd.random() < 0.5:
                grouping = self.grouping()
            param = self.one(0.5, 0.9, 0.25) if op == "quantile_over_time" else None
        if self.rnd.random() < 0.8:  # errors fail the query: most are taken out
            taken_out = [("filter", ("match", ref.ERROR, "=", ""))]
            counted = [("filter", ("match", ref.ERROR, "!=", "")), ("drop", [(ref.DETAILS, None, None)])]
            inner = ("log", inner[1], inner[2] + self.one(*[taken_out] * 9, counted))
        return "range", op, param, inner, unwrap, self.one(60, 300, 1800), self.one(0, 0, 0, 120, -60), grouping

    def metric(self, depth=0):
        r = self.rnd.random()
        if depth >= 2 or r < 0.3:
            return self.range()
        if r < 0.33:
            return "vector", self.one(1.0, 0.5)
        if r < 0.4:
            dst, src = self.one("x", "pod", "new"), self.one("app", "level", "none")
            pattern = self.one("(.).*", "(web|info)", "()")
            return "replace", self.metric(depth + 1), dst, self.one("$1", "a-$1", ""), src, pattern
        if r < 0.75:
            op = self.one("sum", "avg", "min", "max", "count", "stddev", "stdvar", "topk", "bottomk", "sort", "sort_desc")
            param = self.rnd.randint(1, 4) if op.endswith("k") else None
            if op.startswith("sort"):
                return "agg", op, None, self.metric(depth + 1), None
            return "agg", op, param, self.metric(depth + 1), self.one(None, self.grouping(), self.grouping())
        op = self.one("+", "-", "*", "/", "%", "and", "or", "unless", ">", "<=", "==", "!=")
        as_bool = op in ref.COMPARE and self.rnd.random() < 0.4
        left = self.metric(depth + 1)
        if op not in ("and", "or", "unless") and self.rnd.random() < 0.4:
            sides = [left, ("number", self.one(2.0, 0.0, 1.5))]
            self.rnd.shuffle(sides)
            return "bin", op, as_bool, None, *sides
        right = left if self.rnd.random() < 0.3 else self.metric(depth + 1)
        matching = self.one(None, None, ("on", ("app",)), ("ignoring", ("pod", "level")))
        return "bin", op, as_bool, matching, left, right


class Checker:
    def __init__(self, server, world):
        self.server, self.world = server, world
        self.entries = []

    def ask(self, path="query_range", **params):
        """(status, text) of a query."""
        status, body = self.server.get("/loki/api/v1/" + path, **params)
        return status, body.decode()

    def load(self):
        """What the server has, as it says."""
        status, body = self.ask(query='{run="x"}', start=self.world.start - S,
                                end=self.world.start + (SPAN + 1) * S, limit=5000, direction="forward")
        assert status == 200, body
        for stream in json.loads(body)["data"]["result"]:
            fixed = {n: v for n, v in stream["stream"].items() if n in ("run", "app", "pod", "service_name")}
            other = {n: v for n, v in stream["stream"].items() if n not in fixed}
            for ts, line in stream["values"]:
                e = ref.Entry(int(ts), line, fixed, {})
                for n, v in other.items():
                    e.put(n, v, "meta")
                self.entries.append(e)

    def log(self, q):
        status, body = self.ask(query=ref.text(q), start=self.world.start - S,
                                end=self.world.start + (SPAN + 1) * S, limit=5000, direction="forward")
        assert status == 200, f"{status} {body}"
        got = {int(ts): (line, plain(s["stream"])) for s in json.loads(body)["data"]["result"] for ts, line in s["values"]}
        want = {ts: (line, plain(labels)) for ts, line, labels in ref.log(self.entries, q)}
        for ts in sorted(got.keys() | want.keys()):
            assert got.get(ts) == want.get(ts), f"at {ts}:\n  got  {got.get(ts)}\n  want {want.get(ts)}"

    def instant(self, q, at):
        """One time; what sorts also says in which order."""
        status, body = self.ask("query", query=ref.text(q), time=at)
        try:
            want = ref.metric_at(self.entries, q, at)
        except ref.Refused as refusal:
            assert status == 400, f"{status}, must be refused: {refusal}"
            return
        if status == 400 and "maximum number of series" in body:
            return
        assert status == 200, f"{status} {body}"
        result = json.loads(body)["data"]["result"]
        got = {tuple(sorted(series["metric"].items())): float(series["value"][1]) for series in result}
        compare(got, want)
        if q[0] == "agg" and q[1] in ("topk", "sort_desc", "bottomk", "sort"):
            values = [v for v in (float(series["value"][1]) for series in result) if v == v]
            assert values == sorted(values, reverse=q[1] in ("topk", "sort_desc")), f"order: {values}"

    def metric(self, q):
        start = self.world.start + 900 * S
        step, n = 600, 5
        status, body = self.ask(query=ref.text(q), start=start, end=start + (n - 1) * step * S, step=step)
        try:
            steps = [ref.metric_at(self.entries, q, start + i * step * S) for i in range(n)]
        except ref.Refused as refusal:
            assert status == 400, f"{status}, must be refused: {refusal}"
            return
        if status == 400 and "maximum number of series" in body:
            return  # nearly each line a series of its own
        assert status == 200, f"{status} {body}"
        want = {(labels, i): v for i, s in enumerate(steps) for labels, v in s.items()}
        got = {}
        for series in json.loads(body)["data"]["result"]:
            for t, v in series["values"]:
                got[tuple(sorted(series["metric"].items())), round((t * S - start) / (step * S))] = float(v)
        compare(got, want)


def compare(got, want):
    for key in sorted(got.keys() | want.keys(), key=repr):
        a, b = got.get(key), want.get(key)
        assert a is not None and b is not None and ref.near(a, b), f"{key}: got {a}, want {b}"


def plain(labels):
    """Without the words of an error, which are the server's own."""
    return {n: v if n != ref.DETAILS else "*" for n, v in labels.items()}


def run(checker, make, count):
    failures = 0
    for i in range(count):
        q = make.log() if i % 2 else make.metric()
        try:
            if i % 2:
                checker.log(q)
            elif i % 4:
                checker.metric(q)
            else:
                checker.instant(q, checker.world.start + 2000 * S)
        except AssertionError as difference:
            failures += 1
            print(f"query {i}: {ref.text(q)}\n  {difference}", flush=True)
    return failures


def main(count):
    rnd = lib.seed()
    world = World(rnd, (int(time.time()) - 60) // 60 * 60 * S)
    with lib.workspace() as work:
        server = lib.Server(work / "server", dev=True).init()
        server.start()
        try:
            streams = world.streams()
            server.push(streams[::2])
            status, body, _ = server.request("POST", "/api/v1/admin/flush", b"")
            assert status == 200, (status, body)
            server.push(streams[1::2])
            checker = Checker(server, world)
            checker.load()
            failures = run(checker, Maker(rnd), count)
        finally:
            server.discard()
    print(f"{count} queries over {len(checker.entries)} lines, {failures} answers differ")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1000)
