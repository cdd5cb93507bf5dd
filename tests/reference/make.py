"""Random data and random queries: what differential.py asks.  Every random choice comes from the one generator given.

Queries say {run="@"}: `@` is replaced by the name of a data set, so that many can live in one server.
"""
import json

S = 10**9
SPAN = 1800  # seconds of data
LEVELS = ["info", "warn", "error", "debug"]
WORDS = ["user", "login", "failed", "GET", "/api/v1", "ünïcode", "日本", "x=y", "[a]", "end.", "10.0.0.1", "192.168.3.77,", "::1", "a|b",
         "\\d", "100%", "ERROR", "\x1b[31mred\x1b[0m", "tab\there", "a\"q\"", "<tag>", "2001:db8::5", "😀"]
NUMBERS = ["0", "1", "-3", "42", "3.5", "1e3", "-0.25", "007", "NaN", "+Inf", "-inf", "0x10p0", "1_000", "abc", "", " 5", "1e-3", "99999999999"]
DURATIONS = ["15ms", "1.5s", "2m", "1h2m3s", "90us", "7µs", "0", "1d", "-4s", "5", "x", "", ".5s", "1.s", "250ns"]
SIZES = ["10B", "1.5KB", "3MiB", "2 kB", "100", "1,000B", "-5B", "4K", "x", "", "0.5GiB", "1 TB", "12 q"]
ADDRESSES = ["10.0.0.1", "10.0.1.200", "192.168.3.77", "::1", "2001:db8::5", "300.1.1.1", "10.0.0.1:80", "x", ""]
NAMES = ["level", "app", "pod", "code", "dur", "size", "n", "ip", "msg", "trace", "user_id", "k8s_ns", "_1st", "app_extracted", "trace_extracted",
         "none", "détail", "rate", "bytes"]
NUMERIC, TIMED, SIZED = ["n", "code"], ["dur"], ["size"]


class Data:
    """Records of some streams, in pushes: [(ns after the start, stream, metadata, line)]."""

    def __init__(self, rnd, count=240):
        self.rnd = rnd
        streams = []
        for app in rnd.sample(["api", "web", "db", 'q"uo\\te', "ünï"], 3):
            for pod in rnd.sample(["p0", "p1", "p2", None], 2):
                labels = {"run": "@", "app": app}
                if pod:
                    labels["pod"] = pod
                if rnd.random() < 0.2:
                    labels["level"] = "stream"
                if rnd.random() < 0.1:
                    del labels["app"]
                if rnd.random() < 0.2:
                    labels["tier"] = rnd.choice(["front", "back"])
                if labels not in streams:
                    streams.append(labels)
        style = rnd.choice(["mixed", "mixed", "json", "logfmt", "text"])
        grain = rnd.choice([1, 10**6, S, 10 * S])
        seen, self.records = set(), []
        for _ in range(count):
            at = rnd.randrange(SPAN * S // grain) * grain
            stream = rnd.randrange(len(streams))
            line = self.line(style)
            if (at, stream, line) in seen:
                continue
            seen.add((at, stream, line))
            self.records.append((at, streams[stream], self.metadata(), line))

    def metadata(self):
        rnd, result = self.rnd, {}
        if rnd.random() < 0.4:
            result["trace"] = rnd.choice(["t1", "t2", "tü", '"'])
        if rnd.random() < 0.1:
            result["app"] = rnd.choice(["m1", "m2"])
        if rnd.random() < 0.1:
            result["n"] = rnd.choice(["5", "7", "x"])
        return result

    def field(self, name):
        rnd = self.rnd
        if name == "level":
            return rnd.choice(LEVELS)
        if name in ("n", "code"):
            return rnd.choice(NUMBERS) if rnd.random() < 0.3 else str(rnd.choice([200, 404, 500, 7, 12, 2.5, 31]))
        if name == "dur":
            return rnd.choice(DURATIONS)
        if name == "size":
            return rnd.choice(SIZES)
        if name == "ip":
            return rnd.choice(ADDRESSES)
        return rnd.choice(["a", "b", "", "c d", "ü", 'x"y', "1", "p0", "back\\slash", "new\nline", "a=b", "\ufffdz"])

    def names(self):
        return self.rnd.sample(["level", "app", "pod", "code", "dur", "size", "n", "ip", "msg", "trace"], self.rnd.randint(1, 6))

    def line(self, style):
        kind = style if style != "mixed" else self.rnd.choice(["json", "logfmt", "text", "access", "packed"])
        text = getattr(self, kind)()
        return text.replace("\x00", "")

    def json(self):
        rnd = self.rnd
        parts = []
        for name in self.names():
            parts.append((name, self.json_value(self.field(name), name)))
        if rnd.random() < 0.3:
            parts.append(("user", json.dumps({"id": rnd.randint(1, 3), "": "blank", "name": self.field("msg")}, ensure_ascii=False)))
        if rnd.random() < 0.2:
            parts.append((rnd.choice(["k8s.ns", " pad ", "1st", "ké", "list", "deep", "", "n", "user_id"]),
                          rnd.choice(['"v"', "null", "true", "1.50", '[1,{"a":"b"},"c"]', '{"a":{"b":[0,1]}}', '"\\u00fc\\n\\/"', '"\\ud83d\\ude00"', '{}',
                                      '""', '-0', '1E5'])))
        if rnd.random() < 0.25:
            parts.append(("tags", json.dumps(self.array(rnd.choice([0, 0, 1, 2])), ensure_ascii=False)))
        rnd.shuffle(parts)
        space = rnd.choice(["", "", " "])
        text = "{" + ("," + space).join(json.dumps(n, ensure_ascii=rnd.random() < 0.5) + ":" + space + v for n, v in parts) + "}"
        chance = rnd.random()
        if chance < 0.05:
            return text[:rnd.randrange(len(text))]
        if chance < 0.08:
            return text + rnd.choice([" x", "}", "{}", " "])
        if chance < 0.1:
            return text[:-1] + ",}"
        return text

    def array(self, depth):
        rnd = self.rnd
        inner = [lambda: self.field("msg"), lambda: rnd.choice([0, 7, 31, 200, -3]), lambda: self.field("dur"), lambda: self.field("ip"),
                 lambda: rnd.choice([None, True, ""])]
        if depth:
            inner += [lambda: self.array(depth - 1), lambda: {"id": rnd.randint(1, 3), "tags": self.array(0)}]
        return [rnd.choice(inner)() for _ in range(rnd.choice([0, 1, 2, 3, 5]))]

    def json_value(self, value, name):
        if name in ("n", "code") and self.rnd.random() < 0.6:
            return str(self.rnd.choice([0, 7, 12.5, 31, 200, 404, -3]))
        return json.dumps(value, ensure_ascii=self.rnd.random() < 0.3)

    def logfmt(self):
        rnd, parts = self.rnd, []
        for name in self.names():
            value = self.field(name)
            quote = any(c in value for c in ' "=\n\\') or rnd.random() < 0.2
            parts.append(name + "=" + (json.dumps(value, ensure_ascii=False) if quote else value))
        if rnd.random() < 0.2:
            parts.insert(rnd.randint(0, len(parts)), rnd.choice(["alone", "a==1", "a=1=2", 'a=b"c', '"a"=1', "k8s.ns=v", "1st=2", "n=8", "é=1", "=x", "msg='s q'"]))
        if rnd.random() < 0.03:
            parts.append('msg="open')
        return rnd.choice([" ", " ", "  "]).join(parts)

    def text(self):
        rnd = self.rnd
        if rnd.random() < 0.05:
            return ""
        return " ".join(rnd.choice(WORDS) for _ in range(rnd.randint(1, 6)))

    def access(self):
        f = self.field
        return f'{f("ip") or "-"} - {self.rnd.choice(["GET", "PUT"])} /{self.rnd.choice("abc")} {f("code")} took {f("dur")}'

    def packed(self):
        rnd = self.rnd
        parts = {"pod": "inner", "x": rnd.choice("yz"), "n": rnd.choice([1, "2"])}
        if rnd.random() < 0.8:
            parts["_entry"] = rnd.choice([self.logfmt, self.text])()
        return json.dumps(parts, ensure_ascii=False)


def quoted(rnd, text):
    if "`" not in text and rnd.random() < 0.4 and "\r" not in text:
        return "`" + text + "`"
    return json.dumps(text, ensure_ascii=rnd.random() < 0.3 and all(ord(c) < 0x10000 for c in text)).replace("\x7f", "\\x7f")


REGEXES = ["a.*", ".+", ".*", "(?i)error", "p[01]", "a|b", "^\\{", "[0-9]{3}$", "x.?y", "ü", "(GET|PUT) ", "\\d+ms", "e(r+)or", "^$", "\\s/", "\\bfailed\\b",
           "info|warn", "t1", "api|web", "\"n\":\\s*\\d", "l[^e]?g", "p.", "(api|db).*", "[^a]", "\\\\d"]
TEXTS = ["error", "GET", "level", "", "a", "10.0.0.1", "ü", "\"", "took 1", "n=", "{", "日本", "zzz", "failed", "info", "dur", ":", "ERROR", "p0", "200"]
PATTERNS = ["<_> - <_>", "<_>GET<_>", "<_> took <_>", "{<_>}", "level=<_>", "<_>level=<_>", "{<_>", "<_>", "", "10<_>", "<_>}", "a"]
CAPTURES = ["<ip> - <method> <_> <code> took <dur>", "<_>level=<level> <_>", "<ip> <_>", "{<msg>}", "<msg>", "<app>=<n> <_>", "<_> - <method> /<pod> "]
NAMED = ["(?P<n>\\d+)", "level=(?P<level>\\w+)", "(?<ip>\\d+\\.\\d+\\.\\d+\\.\\d+)", "took (?P<dur>\\S+)", "(?P<app>a)|(?P<x>b)", "(?P<code>[0-9]+)(?P<msg>[a-z]*)", "^(?P<level>\\w+) (?P<rest>.*)$"]
NETWORKS = ["10.0.0.1", "10.0.0.0/16", "192.168.0.0-192.168.9.255", "::1", "2001:db8::/32", "0.0.0.0/0"]
TEMPLATES = ["{{.level}} {{.app}}", "{{ .n | default \"none\" }}", "{{__line__}}", "{{ .msg | trunc 2 | upper }}", "{{if eq .level \"info\"}}I{{else}}O{{end}}",
             "{{ .level | replace \"e\" \"\" }}-{{.pod}}", "{{ToUpper .app}}", "constant", "", "{{ printf \"%s\" .app }}", "{{ add 1 2 }}:{{ .n | int | mul 2 }}",
             "{{ substr 0 2 .level }}", "{{ .code | contains \"0\" }}", "{{ if and .n .code }}{{.n}}/{{.code}}{{ else if .n }}{{.n}}{{ end }}", "{{ div 10 .n }}",
             "a {{- .app -}} b", "{{ .msg | b64enc }}", "{{ len .app }}", "{{ alignLeft 3 .level }}|{{ alignRight 4 .app }}|", "n={{.n}} level={{.level}}",
             "{{ .app | trimPrefix \"a\" | lower }}", "{{ lt .app \"b\" }}", "{{ (.level) }}", "{\"a\":\"{{.level}}\"}", "{{ .dur }}", "{{ index . \"app\" }}",
             "{{ .app | urlencode }}", "{{ repeat 2 .level }}", "{{ if not .none }}no{{end}}", "{{ hasPrefix \"a\" .app }}"]


class Queries:
    def __init__(self, rnd):
        self.rnd = rnd

    def pick(self, *choices):
        return self.rnd.choice(choices)

    def chance(self, p):
        return self.rnd.random() < p

    def text(self, words):
        return quoted(self.rnd, self.rnd.choice(words))

    def name(self):
        return self.rnd.choice(NAMES)

    # logs

    def matcher(self):
        name = self.pick("app", "pod", "level", "tier", "service_name", "none")
        if self.chance(0.5):
            return f'{name} {self.pick("=", "!=")} {self.text(["api", "web", "p0", "p1", "", "front", "stream", "ünï"])}'
        return f'{name}{self.pick("=~", "!~")}{self.text(REGEXES)}'

    def selector(self):
        return "{" + self.pick(", ", ",").join(['run="@"'] + [self.matcher() for _ in range(self.pick(0, 0, 1, 1, 2))]) + "}"

    def line_filter(self):
        op = self.pick("|=", "!=", "|~", "!~", "|>", "!>", "|=", "|=")
        args = []
        for _ in range(self.pick(1, 1, 1, 2, 3)):
            if op in ("|=", "!=") and self.chance(0.1):
                args.append(f"ip({self.text(NETWORKS)})")
            else:
                args.append(self.text({"=": TEXTS, "~": REGEXES, ">": PATTERNS}[op[1]]))
        return f'{op} {" or ".join(args)}'

    def parser(self):
        return self.pick(
            lambda: "| json", lambda: "| json", lambda: "| logfmt", lambda: "| logfmt", lambda: "| json --arrays" + self.pick("", " | " + self.element_filter()),
            lambda: "| logfmt " + self.pick("--strict", "--keep-empty", "--strict --keep-empty"),
            lambda: "| json " + ", ".join(self.pick('n', 'level', 'x="user.id"', 'app="level"', 'lst="list[1].a"', 'y="user"', 'k="[\\"k8s.ns\\"]"', 'd="deep.a.b[0]"', 'z="code"')
                                          for _ in range(self.pick(1, 2))),
            lambda: "| logfmt " + ", ".join(self.pick('n', 'level', 'x="dur"', 'app="level"', 'y="k8s_ns"', 'y="msg"', 'y="k8s.ns"') for _ in range(self.pick(1, 2))),
            lambda: "| regexp " + self.text(NAMED), lambda: "| pattern " + self.text(CAPTURES), lambda: "| unpack")()

    def filter_term(self):
        op = self.pick("=", "==", "!=", ">", ">=", "<", "<=")
        string = self.pick("=", "!=", "=~", "!~")
        value = self.text(REGEXES if "~" in string else ["info", "", "a", "api", "p0", "200", "ü", "JSONParserErr", "LabelFilterErr", "t1"])
        return self.pick(
            lambda: f'{self.name()}{string}{value}', lambda: f'{self.name()} {string} {value}',
            lambda: f'{self.pick(*NUMERIC)} {op} {self.pick("", "", "", "-", "+")}{self.pick("200", "7", "2.5", "1e2", "0")}',
            lambda: f'dur {op} {self.pick("", "", "-")}{self.pick("1s", "15ms", "1m30s", "1h", "100us", "1.5s")}',
            lambda: f'size{op}{self.pick("10B", "1.5KB", "3MiB", "1kB", "2GB")}',
            lambda: f'ip {self.pick("=", "!=")} ip({self.text(NETWORKS)})',
            self.element_filter,
            lambda: f'__error__{string}{value}', lambda: f'{self.name()} {op} {self.pick("5", "1s", "10B")}')()

    def element_filter(self):
        string, op = self.pick("=", "!=", "=~", "!~"), self.pick("=", "==", "!=", ">", ">=", "<", "<=")
        value = self.text(REGEXES if "~" in string else ["", "a", "user", "7", "true", "10.0.0.1"])
        return self.pick(
            lambda: f'any({self.pick("tags", "tags", "tags_id", "tags_tags", "n", "none")}){string}{value}',
            lambda: f'any({self.pick("tags", "tags_tags")}) {op} {self.pick("7", "200", "15ms", "1KB")}', lambda: f"any(tags_id) {op} 2",
            lambda: f'any(tags) {self.pick("=", "!=")} ip({self.text(NETWORKS)})')()

    def label_filter(self, depth=0):
        if depth > 1 or self.chance(0.6):
            return self.filter_term()
        op = self.pick(" and ", " or ", ", ", " ")
        left, right = self.label_filter(depth + 1), self.label_filter(depth + 1)
        if self.chance(0.25):
            left = f"({left})"
        return left + op + (f"({right})" if self.chance(0.2) else right)

    def items(self):
        return ", ".join(self.name() if self.chance(0.6) else f'{self.name()}{self.pick("=", "!=")}{self.text(["info", "a", "p0"])}' if self.chance(0.5)
                         else f'{self.name()}{self.pick("=~", "!~")}{self.text(REGEXES)}' for _ in range(self.pick(1, 1, 2, 3)))

    def label_format(self):
        names = self.rnd.sample(["level", "app", "new", "n", "pod", "msg", "lf"], self.pick(1, 1, 2))
        return "| label_format " + ", ".join(f"{n}={self.name()}" if self.chance(0.5) else f"{n}={self.text(TEMPLATES)}" for n in names)

    def stage(self):
        return self.pick(
            self.line_filter, self.line_filter, self.parser, self.parser, lambda: "| " + self.label_filter(), lambda: "| " + self.label_filter(),
            lambda: "| line_format " + self.text(TEMPLATES), self.label_format, lambda: "| decolorize",
            lambda: "| drop " + self.pick("__error__", "__error__, __error_details__", self.items()), lambda: "| keep " + self.items())()

    def stages(self, most=4):
        return [self.stage() for _ in range(self.rnd.randint(0, most))]

    def counted(self, most=3):
        """Stages of a metric query: none leaves the words of an error, which are not compared, as a label."""
        return [s.replace("drop __error__,", "drop").replace("drop __error_details__", "drop __error__, __error_details__").replace(
            "drop __error__", "drop __error__, __error_details__") if s.count("__error") == 1 and "drop" in s else s for s in self.stages(most)]

    def log(self):
        stages = self.stages()
        if self.chance(0.15):
            by = f' by ({", ".join(self.name() for _ in range(self.pick(1, 1, 2)))})'
            stages.insert(self.rnd.randint(0, len(stages)), "| dedup" + self.pick("", by, by))
        return " ".join([self.selector(), *stages])

    # numbers

    def clean(self):
        """What keeps failed lines from failing the query, most of the time."""
        return self.pick(["| __error__=\"\""], ["| drop __error__, __error_details__"], ["| __error__ = ``"], [])

    def range(self):
        length = "[" + self.pick("30s", "1m", "2m", "5m", "10m", "1h", "90s", "1m30s", "7s", "500ms") + "]"
        offset = self.pick("", "", "", " offset 1m", " offset -2m", " offset 30s")
        op = self.pick("count_over_time", "rate", "bytes_over_time", "bytes_rate", "absent_over_time", "sum", "avg", "min", "max", "stdvar", "stddev", "quantile",
                       "first", "last", "rate_counter", "unwrap rate", "sum", "avg", "count_over_time")
        parts, parameter = self.counted(), ""
        if self.chance(0.06):
            op, parameter = "count_distinct_over_time", self.name() + ", "
            body = [*parts, *(self.clean() if parts else [])]
        elif op.endswith("_time") or op in ("rate", "bytes_rate"):
            body = [*parts, *(self.clean() if parts else [])]
            if op == "absent_over_time" and self.chance(0.2):
                body += ["| unwrap n"] + (["| __error__=\"\""] if self.chance(0.7) else [])
        else:
            if self.chance(0.85):
                parts = [self.pick("| json", "| logfmt", "| json | logfmt"), *parts]
            unwrap = self.pick("n", "n", "code", "bytes(size)", "duration(dur)", "duration_seconds(dur)", "n")
            body = [*parts, "| unwrap " + unwrap] + (["| __error__=\"\""] if self.chance(0.85) else [])
            if self.chance(0.1):
                body.append("| " + self.label_filter())
            parameter = self.pick("0.5, ", "0.99,", "0,", "1,", "1.5 , ", "0.25,") if op == "quantile" else ""
            op = {"rate_counter": op, "unwrap rate": "rate"}.get(op, op + "_over_time")
        if self.chance(0.1):
            inner = " ".join([self.selector(), length + offset, *body])
        elif self.chance(0.1):
            inner = "(" + " ".join([self.selector(), *body]) + ")" + length + offset
        else:
            inner = " ".join([self.selector(), *body]) + " " + length + offset
        allowed = op in ("count_distinct_over_time", "avg_over_time", "stddev_over_time", "stdvar_over_time", "quantile_over_time", "max_over_time", "min_over_time", "first_over_time",
                         "last_over_time")
        return f"{op}({parameter}{inner})" + (self.grouping() if allowed and self.chance(0.5) else "")

    def grouping(self):
        names = [self.pick("app", "pod", "level", "code", "none", "trace", "detected_level", "service_name", "method") for _ in range(self.pick(0, 1, 1, 2))]
        return f' {self.pick("by", "by", "without")} ({", ".join(names)})'

    def vector(self, depth):
        op = self.pick("sum", "sum", "sum", "avg", "count", "max", "min", "stddev", "stdvar", "topk", "bottomk", "sort", "sort_desc", "approx_topk")
        k = self.pick("1", "2", "3", "5") + ", " if op in ("topk", "bottomk", "approx_topk") else ""
        inner = self.metric(depth + 1)
        if op in ("sort", "sort_desc", "approx_topk") or self.chance(0.25):
            return f"{op}({k}{inner})"
        if self.chance(0.03):
            return f"sum by (__error__) ({inner})"
        return f"{op}{self.grouping()} ({k}{inner})" if self.chance(0.5) else f"{op}({k}{inner}){self.grouping()}"

    def number(self):
        return self.pick("", "", "", "-", "+") + self.pick("1", "2", "0", "100", "0.5", "1e3", "3", "60")

    def flag(self, op):
        """Of what is no comparison it changes nothing."""
        return " bool" if self.chance(0.33 if op[0] in "=!<>" else 0.05) else ""

    def binary(self, depth):
        kind = self.rnd.random()
        op = self.pick("+", "-", "*", "/", "%", "^", "==", "!=", ">", ">=", "<", "<=")
        if kind < 0.5:
            flag = self.flag(op)
            left, right = self.metric(depth + 1), self.number()
            if self.chance(0.3):
                left, right = right, left
            return f"{left} {op}{flag} {right}"
        if kind < 0.65:
            op = self.pick("and", "or", "unless")
        flag = self.flag(op)
        match = self.pick("", "", " on (app)", " ignoring (pod)", " on ()", " on (app, level)", " ignoring (level)")
        if match and self.chance(0.1 if op in ("and", "or", "unless") else 0.4):
            match += self.pick(" group_left", " group_right", " group_left (pod)", " group_right (level)", " group_left ()")
        left = self.metric(depth + 1)
        right = left if self.chance(0.3) else self.metric(depth + 1)
        return f"({left}) {op}{flag}{match} ({right})" if self.chance(0.7) else f"{left} {op}{flag}{match} {right}"

    def metric(self, depth=0):
        r = self.rnd.random()
        if depth > 2 or r < 0.35:
            return self.range() if self.chance(0.93) else self.pick(f"vector({self.pick('1', '0', '2.5')})", f"({self.number()})")
        if r < 0.75:
            return self.vector(depth)
        if r < 0.92:
            return self.binary(depth)
        if r < 0.96:
            return f"({self.metric(depth + 1)})"
        return f'label_replace({self.metric(depth + 1)}, "{self.pick("new", "app", "pod")}", "{self.pick("$1", "x-$1", "", "${1}y")}", "{self.pick("app", "level", "none")}", "{self.pick("(.*)", "(a).*", "", "(.)(.*)")}")'

    def extended(self):
        """Extensions with little around them: deep in other queries they are seldom met."""
        parser, clean = self.pick("", "| json", "| logfmt", "| json --arrays"), "| drop __error__, __error_details__"
        arrays = f'{self.selector()} | json --arrays {self.pick("", clean)} | {self.element_filter()}'
        seen = self.pick("app", "level", "n", "code", "msg", "trace", "tags_0", "tags_len", "ip", "dur")
        return self.pick(
            lambda: arrays, lambda: f'{arrays} {self.stage()}', lambda: f'sum{self.grouping()} (count_over_time({arrays} {clean} [10m]))',
            lambda: f'{self.selector()} {parser} | dedup by ({seen})', lambda: f'{self.selector()} {parser} | dedup by ({seen}, pod) {self.stage()}',
            lambda: f'count_distinct_over_time({seen}, {self.selector()} {parser} {clean} [{self.pick("1m", "10m", "1h")}]){self.pick("", self.grouping())}')()

    def query(self):
        if self.chance(0.1):
            return self.extended()
        return self.log() if self.chance(0.4) else self.metric()
