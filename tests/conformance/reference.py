"""LogQL by the book: the slow and plain evaluator that the server is compared with.

Written from the description of the language alone; it shares no code and no idea of how to be fast with the server.
Queries are tuples, made by differ.py; text() says them in LogQL, log() and metric() evaluate them.  What the random
queries never hold (templates beyond names, JSON paths, escapes) is not here.
"""
import ipaddress
import json
import math
import re

ERROR, DETAILS = "__error__", "__error_details__"


class Refused(Exception):
    """The query must fail: an error in a line of a metric query, or series that cannot be paired."""


class Entry:
    """One line with its labels, which stages change."""

    def __init__(self, ts, line, stream, meta):
        self.ts, self.line = ts, line
        self.kind = {}
        self.labels = {}
        for name, value in stream.items():
            self.put(name, value, "stream")
        for name, value in meta.items():
            if name in stream:
                name += "_extracted"
            self.put(name, value, "meta")
        self.now = set()

    def put(self, name, value, kind):
        self.labels[name] = value
        self.kind[name] = kind

    def copy(self):
        other = Entry(self.ts, self.line, {}, {})
        other.labels, other.kind = dict(self.labels), dict(self.kind)
        return other

    def begin(self):
        self.now = set()

    def parsed(self, name, value):
        """What a parser found: the first of a name within one stage, beside the names that are taken."""
        if name in self.labels and self.kind[name] != "parsed":
            name += "_extracted"
        if name in self.now or (name in self.labels and self.kind[name] == "stream"):
            return
        self.now.add(name)
        self.put(name, value.replace("\ufffd", " "), "parsed")

    def fail(self, error):
        self.put(ERROR, error, "parsed")
        self.put(DETAILS, "*", "parsed")

    def failed(self):
        return self.labels.get(ERROR, "") != ""


# ---- values ----

UNITS = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600}
SIZES = {"": 1, "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def number(s):
    try:
        return float(s) if s.strip() == s and "_" not in s else None
    except ValueError:
        return None


def duration(s):
    if s == "0":
        return 0.0
    m = re.fullmatch(r"([-+]?)((?:\d+(?:\.\d*)?(?:ns|us|µs|ms|s|m|h))+)", s)
    if not m:
        return None
    total = sum(float(n) * UNITS[u] for n, u in re.findall(r"(\d+(?:\.\d*)?)(ns|us|µs|ms|s|m|h)", m[2]))
    return -total if m[1] == "-" else total


def size(s):
    m = re.fullmatch(r"(\d+(?:\.\d+)?) ?([A-Za-z]*)", s)
    units = {k.lower(): v for k, v in SIZES.items()}
    return int(float(m[1]) * units[m[2].lower()]) if m and m[2].lower() in units else None


def near(a, b):
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or abs(a - b) <= 1e-9 * max(1, abs(a), abs(b))


COMPARE = {"==": lambda a, b: a == b, "!=": lambda a, b: a != b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
           "<": lambda a, b: a < b, "<=": lambda a, b: a <= b}


def matches(op, value, want):
    if op in ("=", "!="):
        return (value == want) == (op == "=")
    return (re.fullmatch(want, value) is not None) == (op == "=~")


def addresses(text):
    """Each address in the text, as long as can be."""
    for run in re.findall(r"[0-9a-fA-F:.]+", text):
        for part in [run] + re.findall(r"[0-9.]+", run):
            try:
                yield ipaddress.ip_address(part.rstrip("."))
                if part is run:
                    break
            except ValueError:
                pass


def holds_ip(text, pattern):
    network = ipaddress.ip_network(pattern, strict=False)
    return any(a.version == network.version and a in network for a in addresses(text))


def pieces(pattern):
    return [p for p in re.split(r"(<[A-Za-z_]\w*>)", pattern) if p]


def has_form(pattern, line):
    """|>: each capture one byte or more, each literal at its first place, the last one at the end."""
    parts = pieces(pattern)
    if not parts:
        return line == ""
    for i, part in enumerate(parts):
        if part.startswith("<"):
            continue
        at = line.find(part)
        if at < 0 or (i > 0 and at == 0):
            return False
        line = line[at + len(part):]
    return (line != "") == parts[-1].startswith("<")


def captures(pattern, line):
    parts = pieces(pattern)
    if line and not parts[0].startswith("<"):
        if not line.startswith(parts[0]):
            return
        line, parts = line[len(parts[0]):], parts[1:]
    while line is not None and parts:
        if not line and len(parts) == len(pieces(pattern)):
            return
        name, literal = parts[0][1:-1], parts[1] if len(parts) > 1 else None
        at = line.find(literal) if literal else -1
        value, line = (line, None) if at < 0 else (line[:at], line[at + len(literal):])
        parts = parts[2:]
        if name != "_":
            yield name, value


# ---- stages: each returns whether the entry is kept ----

def line_filter(e, op, args):
    def hit(arg):
        if arg[0] == "ip":
            return holds_ip(e.line, arg[1])
        if op in ("|~", "!~"):
            return re.search(arg[1], e.line) is not None
        if op in ("|>", "!>"):
            return has_form(arg[1], e.line)
        return arg[1] in e.line
    return any(hit(a) for a in args) == op.startswith("|")


def clean_name(key, first=True):
    key = re.sub(r"[^A-Za-z0-9_]", "_", key.strip())
    return "_" + key if first and key[:1].isdigit() else key


def flatten(e, pairs, prefix):
    for key, value in pairs:
        key = clean_name(key, first=not prefix)
        name = prefix + "_" + key if prefix and key else prefix or key
        if isinstance(value, tuple):
            flatten(e, value, name)
        elif value is not None and not isinstance(value, list) and name:
            e.parsed(name, {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value)


def decode(line):
    try:
        value = json.loads(line, object_pairs_hook=tuple, parse_int=str, parse_float=str)
    except ValueError:
        return None
    return value if line.lstrip().startswith("{") else None


def extract(e, wanted, found):
    """Labels for expressions: `found` are (expression, value); what is missing becomes an empty label."""
    for label, expression in wanted:
        for key, value in found:
            if key == expression:
                e.parsed(label, value)
    for label, _ in wanted:
        if label not in e.labels:
            e.parsed(label, "")


MISSING = object()


def json_paths(e, wanted):
    e.begin()
    if e.line == "":
        return True
    if e.line.strip()[:1] not in ("{", "[", '"'):
        e.fail("JSONParserErr")
        return True
    found = []
    for _, path in wanted:
        value = decode(e.line)
        for name in path.split("."):
            value = dict(value).get(name, MISSING) if isinstance(value, tuple) else MISSING
        if isinstance(value, (str, bool)) or value is None:
            found.append((path, value if isinstance(value, str) else {True: "true", False: "false", None: ""}[value]))
    # in the order they are asked for, found or not
    for label, path in wanted:
        extract(e, [(label, path)], found)
    return True


def parse_json(e, wanted=()):
    if wanted:
        return json_paths(e, wanted)
    e.begin()
    value = decode(e.line)
    if value is None:
        e.fail("JSONParserErr")
    else:
        flatten(e, value, "")
    return True


def unpack(e):
    if e.line == "":
        return True
    e.begin()
    value = decode(e.line)
    if value is None:
        e.fail("JSONParserErr")
        return True
    texts = [(k, v) for k, v in value if isinstance(v, str) and not re.fullmatch(r"-?[\d.eE+-]+", v)]
    if any(k == "_entry" for k, v in texts):
        for key, text in texts:
            if key != "_entry":
                e.parsed(clean_name(key), text)
        e.line = [v for k, v in texts if k == "_entry"][-1]
    return True


def logfmt(e, wanted=()):
    e.begin()
    pairs = []
    for key, quoted, plain in re.findall(r'(?:^|(?<=\s))([^\s="]+)(?:=(?:"([^"]*)"|([^\s="]*)))?(?=\s|$)', e.line):
        pairs.append((key, quoted or plain))
    if wanted:
        extract(e, wanted, pairs)
        return True
    for key, value in pairs:
        if value:
            e.parsed(clean_name(key), value)
    return True


def regexp(e, pattern):
    e.begin()
    m = re.search(pattern, e.line)
    for name, value in (m.groupdict() if m else {}).items():
        e.parsed(name, value or "")
    return True


def pattern_stage(e, pattern):
    e.begin()
    for name, value in captures(pattern, e.line):
        e.parsed(name, value)
    return True


def compare_filter(e, name, op, literal, parse):
    if name not in e.labels:
        return False
    value = parse(e.labels[name])
    if value is None:
        if not e.failed():
            e.fail("LabelFilterErr")
        return True
    return COMPARE[op](value, parse(literal))


def label_filter(e, f):
    if f[0] == "and":
        results = [label_filter(e, x) for x in f[1:]]
        return all(results)
    if f[0] == "or":
        return any(label_filter(e, x) for x in f[1:])  # the first that holds ends it
    kind, name, op, value = f
    if kind == "match":
        return matches(op, e.labels.get(name, ""), value)
    if kind == "ip":
        return name in e.labels and holds_ip(e.labels[name], value) == (op == "=")
    return compare_filter(e, name, op, value, {"number": number, "duration": duration, "size": size}[kind])


def picked(e, picks):
    return {n for n, op, value in picks if n in e.labels and (op is None or matches(op, e.labels[n], value))}


def drop(e, picks):
    for name in picked(e, picks):
        del e.labels[name]
    return True


def keep(e, picks):
    wanted = picked(e, picks) | {ERROR, DETAILS}
    e.labels = {n: v for n, v in e.labels.items() if n in wanted}
    return True


def line_format(e, names):
    e.line = " ".join(e.labels.get(n, "") for n in names)
    return True


def label_format(e, to, source):
    if source in e.labels:
        value = e.labels.pop(source)
        e.put(to, value, "parsed")
    return True


STAGES = {"line": line_filter, "json": parse_json, "logfmt": logfmt, "regexp": regexp, "pattern": pattern_stage,
          "unpack": unpack, "filter": label_filter, "drop": drop, "keep": keep, "line_format": line_format,
          "label_format": label_format}


def pipeline(entries, selector, stages):
    """The entries that are selected and pass, as the stages left them."""
    for entry in entries:
        e = entry.copy()
        if all(matches(op, e.labels.get(n, "") if e.kind.get(n) == "stream" else "", v) for n, op, v in selector):
            if all(STAGES[s[0]](e, *s[1:]) for s in stages):
                yield e


def log(entries, q):
    """[(ts, line, labels)] in order of time."""
    _, selector, stages = q
    return [(e.ts, e.line, e.labels) for e in sorted(pipeline(entries, selector, stages), key=lambda e: e.ts)]


# ---- metrics: {labels as a sorted tuple: value} at one time ----

def names_error(stages):
    """Does a label filter look at __error__?  Then what parsers could not read may be counted."""
    def looks(f):
        return any(map(looks, f[1:])) if f[0] in ("and", "or") else f[1] == ERROR
    return any(s[0] == "filter" and looks(s[1]) for s in stages)


def samples(entries, q):
    _, op, _, (_, selector, stages), unwrap, _, _, grouping = q
    for e in pipeline(entries, selector, stages):
        value = len(e.line.encode())
        if unwrap:
            text = e.labels.get(unwrap[0], "")
            if text == "":
                continue
            value = {"": number, "duration": duration, "bytes": size}[unwrap[1]](text)
            if value is None:
                e.fail("SampleExtractionErr")
            if len(unwrap) > 2 and not label_filter(e, unwrap[2]):
                continue
            e.labels.pop(unwrap[0], None)
        if e.failed() and not (names_error(stages) and e.labels[ERROR] in ("JSONParserErr", "LogfmtParserErr")):
            raise Refused(e.labels[ERROR])
        yield e.ts, value, e.labels


def quantile(values, phi):
    values = sorted(values)
    rank = phi * (len(values) - 1)
    low = math.floor(rank)
    high = min(low + 1, len(values) - 1)
    return values[low] + (values[high] - values[low]) * (rank - low)


def variance(values):
    mean = sum(values) / len(values)
    return sum((v - mean) ** 2 for v in values) / len(values)


REDUCE = {"sum": sum, "min": min, "max": max, "avg": lambda v: sum(v) / len(v), "count": len, "stdvar": variance,
          "stddev": lambda v: math.sqrt(variance(v)), "first": lambda v: v[0], "last": lambda v: v[-1]}


def group(labels, grouping):
    if grouping is None:
        return tuple(sorted(labels.items()))
    word, names = grouping
    return tuple(sorted((n, v) for n, v in labels.items() if (n in names) == (word == "by")))


def range_agg(entries, q, at):
    _, op, param, inner, unwrap, seconds, offset, grouping = q
    end = at - offset * 10**9
    covered = [e for e in entries if end - seconds * 10**9 < e.ts <= end]
    found = {}
    for ts, value, labels in sorted(samples(covered, q), key=lambda s: s[0]):
        found.setdefault(group(labels, grouping), []).append(value)
    if op == "absent_over_time":
        equal = [n for n, o, v in inner[1] if o == "=" and sum(m[0] == n for m in inner[1]) == 1]
        return {} if found else {tuple(sorted((n, v) for n, o, v in inner[1] if n in equal)): 1.0}
    name = op.removesuffix("_over_time")
    if op in ("count_over_time", "rate") and not unwrap:
        reduce = len
    elif op in ("bytes_over_time", "bytes_rate", "rate"):
        reduce = sum
    elif op == "quantile_over_time":
        reduce = lambda v: quantile(v, param)  # noqa: E731
    else:
        reduce = REDUCE[name]
    divisor = seconds if op in ("rate", "bytes_rate") else 1
    return {labels: reduce(v) / divisor for labels, v in found.items()}


def vector_agg(entries, q, at):
    _, op, param, inner, grouping = q
    groups = {}
    for labels, value in metric_at(entries, inner, at).items():
        groups.setdefault(group(dict(labels), grouping or ("by", ())), {})[labels] = value
    if op in ("sort", "sort_desc"):
        return metric_at(entries, inner, at)
    if op in ("topk", "bottomk"):
        best = {}
        for members in groups.values():
            sign = 1 if op == "bottomk" else -1
            order = sorted(members.items(), key=lambda m: (math.isnan(m[1]), 0 if math.isnan(m[1]) else sign * m[1], m[0]))
            best.update(order[:param])
        return best
    return {labels: REDUCE[op](list(members.values())) for labels, members in groups.items()}


def arithmetic(op, a, b):
    if op in "/%" and b == 0:
        return math.nan
    try:
        return {"+": lambda: a + b, "-": lambda: a - b, "*": lambda: a * b, "/": lambda: a / b,
                "%": lambda: math.fmod(a, b)}[op]()
    except OverflowError:
        return math.inf


def with_number(op, as_bool, vector, scalar, scalar_left):
    result = {}
    for labels, value in vector.items():
        a, b = (scalar, value) if scalar_left else (value, scalar)
        if op not in COMPARE:
            result[labels] = arithmetic(op, a, b)
        elif as_bool:
            result[labels] = float(COMPARE[op](a, b))
        elif COMPARE[op](a, b):
            result[labels] = value
    return result


def signature(labels, matching):
    if matching is None:
        return labels
    word, names = matching
    return tuple((n, v) for n, v in labels if (n in names) == (word == "on"))


def by_signature(vector, matching):
    found = {}
    for labels, value in vector.items():
        found.setdefault(signature(labels, matching), []).append((labels, value))
    return found


def binary(entries, q, at):
    _, op, as_bool, matching, left, right = q
    if left[0] == "number" or right[0] == "number":
        is_left = left[0] == "number"
        vector = metric_at(entries, right if is_left else left, at)
        return with_number(op, as_bool, vector, (left if is_left else right)[1], is_left)
    a, b = metric_at(entries, left, at), metric_at(entries, right, at)
    ours, theirs = by_signature(a, matching), by_signature(b, matching)
    if op == "and":
        return {k: v for k, v in a.items() if signature(k, matching) in theirs}
    if op == "unless":
        return {k: v for k, v in a.items() if signature(k, matching) not in theirs}
    if op == "or":
        return {**{k: v for k, v in b.items() if signature(k, matching) not in ours}, **a}
    if any(len(series) > 1 for series in theirs.values()):
        raise Refused("duplicate series on the right")
    result = {}
    for key in ours.keys() & theirs.keys():
        if len(ours[key]) > 1:
            raise Refused("many-to-one")
        x, y = ours[key][0][1], theirs[key][0][1]
        if op not in COMPARE:
            result[key] = arithmetic(op, x, y)
        elif as_bool or COMPARE[op](x, y):
            result[key] = float(COMPARE[op](x, y)) if as_bool else x
    return result


def label_replace(entries, q, at):
    _, inner, dst, replacement, src, pattern = q
    result = {}
    for labels, value in metric_at(entries, inner, at).items():
        labels = dict(labels)
        m = re.fullmatch(pattern, labels.get(src, ""))
        if m:
            labels[dst] = re.sub(r"\$(\d)", lambda d: m[int(d[1])] or "", replacement)
            if labels[dst] == "":
                del labels[dst]
        key = tuple(sorted(labels.items()))
        if key in result:
            raise Refused("two series with the same labels")
        result[key] = value
    return result


def vector(entries, q, at):
    return {(): q[1]}


def metric_at(entries, q, at):
    known = {"range": range_agg, "agg": vector_agg, "bin": binary, "replace": label_replace, "vector": vector}
    return known[q[0]](entries, q, at)


# ---- text ----

def quote(s):
    return json.dumps(s, ensure_ascii=False)


def filter_text(f):
    if f[0] in ("and", "or"):
        return "(" + f" {f[0]} ".join(filter_text(x) for x in f[1:]) + ")"
    kind, name, op, value = f
    return name + op + (quote(value) if kind == "match" else f"ip({quote(value)})" if kind == "ip" else value)


def stage_text(s):
    kind = s[0]
    if kind == "line":
        return s[1] + " " + " or ".join(f"ip({quote(a[1])})" if a[0] == "ip" else quote(a[1]) for a in s[2])
    if kind == "filter":
        return "| " + filter_text(s[1])
    if kind in ("drop", "keep"):
        return f"| {kind} " + ", ".join(n + (op + quote(v) if op else "") for n, op, v in s[1])
    if kind == "line_format":
        return "| line_format " + quote(" ".join("{{." + n + "}}" for n in s[1]))
    if kind == "label_format":
        return f"| label_format {s[1]}={s[2]}"
    if kind in ("json", "logfmt"):
        return f"| {kind} " + ", ".join(f"{label}={quote(path)}" for label, path in (s[1] if len(s) > 1 else ()))
    return f"| {kind}" + (" " + quote(s[1]) if len(s) > 1 else "")


def grouping_text(g):
    return "" if g is None else f" {g[0]} ({', '.join(g[1])})"


def text(q):
    kind = q[0]
    if kind == "log":
        return "{" + ", ".join(n + op + quote(v) for n, op, v in q[1]) + "} " + " ".join(map(stage_text, q[2]))
    if kind == "number":
        return repr(q[1])
    if kind == "range":
        _, op, param, inner, unwrap, seconds, offset, grouping = q
        u = f" | unwrap {unwrap[1]}({unwrap[0]})" if unwrap and unwrap[1] else f" | unwrap {unwrap[0]}" if unwrap else ""
        o = f" offset {offset}s" if offset else ""
        p = f"{param}, " if param is not None else ""
        f = " | " + filter_text(unwrap[2]) if unwrap and len(unwrap) > 2 else ""
        return f"{op}({p}{text(inner)}{u}{f} [{seconds}s]{o}){grouping_text(grouping)}"
    if kind == "vector":
        return f"vector({q[1]})"
    if kind == "replace":
        return f"label_replace({text(q[1])}, " + ", ".join(map(quote, q[2:])) + ")"
    if kind == "agg":
        _, op, param, inner, grouping = q
        return f"{op}{grouping_text(grouping)} ({'' if param is None else str(param) + ', '}{text(inner)})"
    _, op, as_bool, matching, left, right = q
    m = "" if matching is None else f" {matching[0]} ({', '.join(matching[1])})"
    return f"({text(left)} {op}{' bool' if as_bool else ''}{m} {text(right)})"
