"""LogQL text to a tree: lexer, parser, the checks that follow.  Deliberately plain; what is refused raises Refused.

Trees are tuples whose first item names the node:
  log      (log, [matcher], [stage])
  range    (range, op, parameter, log, unwrap or None, [filter behind unwrap], range_ns, offset_ns, grouping)
  vector   (vector, op, parameter, expression, grouping)         grouping: None or (by|without, [name])
  binary   (binary, op, left, right, bool, matching)             matching: None or (on|ignoring, [name], card, [name])
  number   (number, value)      constant (constant, value) is vector(n)     replace (replace, expression, dst, to, src, regex)
Stages of extensions: (dedup, [name] or None), (json, [], True), filters (any, comparison); count_distinct_over_time has a label as
its parameter.  Stages are tuples, too: (line, op, [argument]), (filter, tree), (json|logfmt|..., ...).
"""
import ipaddress
import re

import template
from operators import COMPARE, fold
from template import Refused, unquote

RESERVED = set("by without bool offset on ignoring group_left group_right or and unless json regexp logfmt unpack pattern "
               "label_format line_format decolorize drop keep unwrap".split())
UNWRAPPED = {f + "_over_time" for f in "sum avg min max stddev stdvar quantile first last".split()} | {"rate_counter"}
DISTINCT = "count_distinct_over_time"
RANGE_OPS = UNWRAPPED | {"rate", "count_over_time", "bytes_rate", "bytes_over_time", "absent_over_time", DISTINCT}
GROUPED = {f + "_over_time" for f in "avg stddev stdvar quantile max min first last count_distinct".split()}
BARE = {"bytes_over_time", "bytes_rate", "count_over_time", "rate", "absent_over_time"}
VECTOR_OPS = set("sum avg count max min stddev stdvar bottomk topk approx_topk sort sort_desc".split())
WITH_K = {"topk", "bottomk", "approx_topk"}
FUNCTIONS = RANGE_OPS | VECTOR_OPS | {"vector", "label_replace", "bytes", "duration", "duration_seconds", "ip"}
PRECEDENCE = {"or": 1, "and": 2, "unless": 2, **{op: 3 for op in COMPARE}, "+": 4, "-": 4, "*": 5, "/": 5, "%": 5, "^": 6}
UNITS = {"ns": 1, "us": 10**3, "µs": 10**3, "μs": 10**3, "ms": 10**6, "s": 10**9, "m": 60 * 10**9, "h": 3600 * 10**9,
         "d": 86400 * 10**9, "w": 7 * 86400 * 10**9, "y": 365 * 86400 * 10**9}
BYTES = {"B": 1, **{p + "B": 1000**(i + 1) for i, p in enumerate("kMGTP")}, "KB": 1000,
         **{p + "iB": 1024**(i + 1) for i, p in enumerate("KMGTP")}}


def regex(text, flags=0):
    """RE2 by Python's re, which shares the common part; flags in front only."""
    if re.search(r"\(\?(=|!|<=|<!|P=|#|>)|\\[1-9]|\*\+|\+\+|\?\+", text):
        raise Refused("regex " + text)
    lead = re.match(r"\(\?([ims]+)\)", text)
    if lead:
        text = text[lead.end():]
        for flag in lead[1]:
            flags |= {"i": re.I, "m": re.M, "s": re.S}[flag]
    out, i, inside = "", 0, False
    while i < len(text):
        if text[i] == "\\":
            out += "\\Z" if text[i:i + 2] == "\\z" else text[i:i + 2]
            i += 2
            continue
        inside = text[i] == "[" or (inside and text[i] != "]")
        out += "\\Z" if text[i] == "$" and not inside and not flags & re.M else text[i]
        i += 1
    out = re.sub(r"\(\?<([A-Za-z_])", r"(?P<\1", out)
    try:
        return re.compile(out, flags | (0 if flags & re.I and not out.isascii() else re.A))
    except (re.error, OverflowError, RecursionError) as problem:
        raise Refused(f"regex {text}: {problem}") from None


def anchored(text):
    """A matcher's: the whole value, in which `.` is any character."""
    found = regex(text, re.S)
    return lambda value: found.fullmatch(value) is not None


# Lexer ---------------------------------------------------------------------------------------------------------------

SPACE = re.compile(r"(?:[ \t\r\n]+|#[^\n]*|//[^\n]*|/\*.*?\*/)*", re.S)
WORD = re.compile(r"[^\W\d]\w*")
DURATION = re.compile(r"(?:\d+(?:\.\d+)?(?:ns|us|µs|μs|ms|s|m|h|d|w|y))+(?!\w)")
SIZE = re.compile(r"(\d+(?:\.\d+)?)([kKMGTP]i?B|B)(?!\w)")
NUMBER = re.compile(r"0[xX][0-9a-fA-F]+(?:\.[0-9a-fA-F]*)?[pP][+-]?\d+|(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?")
SIGN = re.compile(r"\|=|\|~|\|>|!=|!~|!>|=~|==|>=|<=|--strict(?!\w)|--keep-empty(?!\w)|--arrays(?!\w)|[{}(),|=<>+\-*/%^]")
RAW = re.compile(r"`([^`]*)`")
QUOTED = re.compile(r'"((?:[^"\\\n]|\\.)*)"')


class Number(float):
    """A literal, with the text that it was written as."""
    def __new__(cls, value, text):
        made = super().__new__(cls, value)
        made.text = text
        return made


def span(text):
    """A range's duration: whole numbers, units from long to short, each once."""
    m = re.fullmatch(r"(?:(\d+)y)?(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?", text)
    if text == "0":
        return 0
    if not m or not text:
        raise Refused("range " + text)
    return sum(int(n) * UNITS[u] for n, u in zip(m.groups(), "y w d h m s ms".split()) if n)


def duration(text):
    """A duration of a filter or an offset."""
    try:
        return span(text)
    except Refused:
        pass
    if re.search(r"[dwy]", text):
        raise Refused("duration " + text)
    return sum(int(float(n) * UNITS[u]) if "." in n else int(n) * UNITS[u]
               for n, u in re.findall(r"(\d+(?:\.\d+)?)(ns|us|µs|μs|ms|s|m|h)", text))


def tokens(text):
    """[(kind, value)]: word, keyword, function, string, number, duration, size, range, sign, end."""
    if len(text.encode()) >= 131072:
        raise Refused("input size too long")
    result, i = [], 0
    while True:
        i = SPACE.match(text, i).end()
        if i == len(text):
            return result + [("end", "")]
        if m := WORD.match(text, i):
            word, low = m[0], m[0].lower()
            after = text[SPACE.match(text, m.end()).end():]
            called = after.startswith("(") or re.match(r"(?:by|without)\s*\(", after, re.I)
            if low in RESERVED:
                result.append(("keyword", low))
            elif low in FUNCTIONS and called:
                result.append(("function", low))
            else:
                result.append(("word", word))
        elif m := RAW.match(text, i):
            result.append(("string", m[1].replace("\r", "")))
        elif m := QUOTED.match(text, i):
            result.append(("string", unquote(m[1])))
        elif text[i] == "-" and (m := DURATION.match(text, i + 1)):
            result.append(("duration", -duration(m[0])))
        elif m := DURATION.match(text, i):
            result.append(("duration", duration(m[0])))
        elif m := SIZE.match(text, i):
            result.append(("size", int(float(m[1]) * BYTES[m[2]]) if m[2] in BYTES else None))
            if result[-1][1] is None:
                raise Refused("size " + m[0])
        elif m := NUMBER.match(text, i):
            if WORD.match(text, m.end()) or not re.fullmatch(r"[^_]*(\d_\d[^_]*)*", m[0]):
                raise Refused("number " + m[0])
            plain = m[0].replace("_", "")
            value = float.fromhex(plain) if re.match("0[xX]", plain) else float(plain)
            result.append(("number", Number(value, m[0])))
        elif text[i] == "[":
            end = text.find("]", i)
            if end < 0:
                raise Refused("missing ]")
            result.append(("range", span(text[i + 1:end])))
            i = end + 1
            continue
        elif m := SIGN.match(text, i):
            result.append(("sign", m[0]))
        else:
            raise Refused("character " + text[i])
        i = m.end()


# Arguments of stages that have a language of their own ----------------------------------------------------------------

def addresses(text):
    """ip()'s argument -> (first, last) of one version."""
    try:
        if "/" in text:
            net = ipaddress.ip_network(text, strict=False)
            return net[0], net[-1]
        if "-" in text:
            low, high = map(ipaddress.ip_address, text.split("-"))
            if low.version != high.version or low > high:
                raise ValueError(text)
            return low, high
        return ipaddress.ip_address(text), ipaddress.ip_address(text)
    except ValueError:
        raise Refused("ip " + text) from None


def json_path(text):
    """`a.b[0]["k k"]` -> [a, b, 0, k k]"""
    result, i = [], 0
    field = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    while i < len(text):
        if m := re.compile(r'\[(?:(\d+)|"((?:[^"\\]|\\.)*)")\]').match(text, i):
            result.append(int(m[1]) if m[1] else unquote(m[2]))
        elif m := re.compile((r"\." if result else "") + "(" + field.pattern + ")").match(text, i):
            result.append(m[1])
        else:
            raise Refused("path " + text)
        i = m.end()
    if not result:
        raise Refused("empty path")
    return result


def pattern(text):
    """[(capture, name) or (literal, text)]"""
    result = []
    for part in re.split(r"(<(?:[A-Za-z_][A-Za-z0-9_]*)>)", text):
        if re.fullmatch(r"<[A-Za-z_]\w*>", part, re.A):
            if result and result[-1][0] == "capture":
                raise Refused("captures side by side")
            result.append(("capture", part[1:-1]))
        elif part:
            result.append(("literal", part))
    return result


def check_pattern(text):
    parts = pattern(text)
    names = [v for k, v in parts if k == "capture" and v != "_"]
    if not names or len(set(names)) < len(names):
        raise Refused("pattern " + text)
    return parts


# Parser --------------------------------------------------------------------------------------------------------------

class Parser:
    def __init__(self, text):
        self.t, self.i = tokens(text), 0

    def peek(self, kind, value=None, ahead=0):
        k, v = self.t[min(self.i + ahead, len(self.t) - 1)]
        return k == kind and (value is None or v == value or (isinstance(value, (set, tuple)) and v in value))

    def take(self, kind, value=None):
        if not self.peek(kind, value):
            return None
        self.i += 1
        return self.t[self.i - 1][1]

    def need(self, kind, value=None):
        got = self.take(kind, value)
        if got is None:
            raise Refused(f"unexpected {self.t[self.i]}, expecting {value or kind}")
        return got

    # selectors and stages

    def selector(self):
        self.need("sign", "{")
        result = []
        while not self.take("sign", "}"):
            if result:
                self.need("sign", ",")
            result.append(self.matcher())
        return result

    def matcher(self):
        name, op, value = self.need("word"), self.need("sign", ("=", "!=", "=~", "!~")), self.need("string")
        if op in ("=~", "!~"):
            anchored(value)
        return name, op, value

    def stages(self):
        result = []
        while True:
            if self.peek("sign", ("|=", "!=", "|~", "!~", "|>", "!>")):
                result.append(self.line_filter())
            elif self.peek("sign", "|") and not self.peek("keyword", "unwrap", 1):
                self.i += 1
                result.append(self.stage())
            else:
                return result

    def line_filter(self):
        op = self.need("sign")
        args = [self.line_argument(op)]
        while self.take("keyword", "or"):
            args.append(self.line_argument(op))
        return "line", op, args

    def line_argument(self, op):
        if self.take("function", "ip"):
            self.need("sign", "(")
            text = self.need("string")
            self.need("sign", ")")
            if op not in ("|=", "!="):
                raise Refused("ip() with " + op)
            addresses(text)
            return "ip", text
        text = self.need("string")
        if op in ("|~", "!~"):
            regex(text)
        if op in ("|>", "!>") and any(k == "capture" and v != "_" for k, v in pattern(text)):
            raise Refused("named capture in a filter")
        return "text", text

    def stage(self):
        if self.is_dedup():
            self.i += 1
            names = self.names() if self.take("keyword", "by") else None
            if names == []:
                raise Refused("dedup by nothing")
            return "dedup", names
        if not self.peek("keyword"):
            return "filter", self.label_filter()
        word = self.need("keyword")
        if word == "json" and self.take("sign", "--arrays"):
            return "json", [], True
        if word == "json":
            return "json", [(n, json_path(p)) for n, p in self.extractions()], False
        if word == "logfmt":
            flags = set()
            while self.peek("sign", ("--strict", "--keep-empty")):
                flags.add(self.need("sign"))
            found = self.extractions()
            for _, path in found:
                if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", path):
                    raise Refused("logfmt key " + path)
            return "logfmt", flags, found
        if word in ("unpack", "decolorize"):
            return (word,)
        if word == "regexp":
            text = self.need("string")
            names = [n for n in re.findall(r"\(\?P?<(\w+)>", text)]
            if not names or len(set(names)) < len(names):
                raise Refused("regexp names")
            regex(text)
            return "regexp", text
        if word == "pattern":
            return "pattern", check_pattern(self.need("string"))
        if word == "line_format":
            text = self.need("string")
            template.parse(text)
            return "line_format", text
        if word == "label_format":
            return "label_format", self.formats()
        if word in ("drop", "keep"):
            found = [self.name_or_matcher()]
            while self.take("sign", ","):
                found.append(self.name_or_matcher())
            return word, found
        raise Refused("unexpected " + word)

    def is_dedup(self):
        """Not where it is compared: then it is a label."""
        return self.peek("word") and self.t[self.i][1].lower() == "dedup" and not self.peek("sign", ("=~", "!~", "=", *COMPARE), 1)

    def extractions(self):
        result = []
        while self.peek("word"):
            name = self.need("word")
            result.append((name, self.need("string") if self.take("sign", "=") else name))
            if not self.take("sign", ","):
                break
            if not self.peek("word"):
                raise Refused("trailing comma")
        return result

    def formats(self):
        result = []
        while True:
            name = self.need("word")
            self.need("sign", "=")
            if self.peek("word"):
                result.append((name, "rename", self.need("word")))
            else:
                result.append((name, "template", self.need("string")))
                template.parse(result[-1][2])
            if not self.take("sign", ","):
                break
        names = [n for n, _, _ in result]
        if len(set(names)) < len(names) or "__error__" in names:
            raise Refused("label_format destination")
        return result

    def name_or_matcher(self):
        if self.peek("sign", ("=", "!=", "=~", "!~"), 1):
            return self.matcher()
        return self.need("word"), None, None

    # label filters: `,` and nothing shift, so what is to their right comes first

    def label_filter(self):
        values, ops = [self.filter_term()], []

        def reduce():
            right, left = values.pop(), values.pop()
            values.append(("or" if ops.pop() == "or" else "and", left, right))
        while True:
            if self.peek("keyword", ("and", "or")):
                op = self.need("keyword")
            elif self.take("sign", ","):
                op = ","
            elif self.peek("word") or self.peek("sign", "("):
                op = ","
            else:
                break
            while ops and op != "," and ops[-1] != "," and not (ops[-1] == "or" and op == "and"):
                reduce()
            ops.append(op)
            values.append(self.filter_term())
        while ops:
            reduce()
        return values[0]

    def filter_term(self):
        if self.take("sign", "("):
            result = self.label_filter()
            self.need("sign", ")")
            return result
        if self.peek("word") and self.t[self.i][1].lower() == "any" and self.peek("sign", "(", 1):
            self.i += 2
            name = self.need("word")
            self.need("sign", ")")
            return "any", self.comparison(name)
        return self.comparison(self.need("word"))

    def comparison(self, name):
        op = self.need("sign", ("=", "=~", "!~", *COMPARE))
        if op in ("=~", "!~"):
            text = self.need("string")
            anchored(text)
            return "match", name, op, text
        if op in ("=", "!=") and self.peek("string"):
            return "match", name, op, self.need("string")
        if op in ("=", "!=") and self.take("function", "ip"):
            self.need("sign", "(")
            text = self.need("string")
            self.need("sign", ")")
            addresses(text)
            return "ip", name, op, text
        op = "==" if op == "=" else op
        for kind in ("duration", "size"):
            if self.peek(kind):
                return kind, name, op, self.need(kind)
        sign = self.take("sign", ("+", "-"))
        return "number", name, op, self.need("number") * (-1 if sign == "-" else 1)

    # metric expressions

    def expression(self, least=1):
        left = self.primary()
        while True:
            op = self.t[self.i][1] if self.peek("keyword", ("or", "and", "unless")) or self.peek("sign") else None
            if op not in PRECEDENCE or PRECEDENCE[op] < least:
                return left
            self.i += 1
            left = self.binary(op, left)

    def binary(self, op, left):
        as_bool = bool(self.take("keyword", "bool"))
        matching = None
        if self.peek("keyword", ("on", "ignoring")):
            kind, names, card, include = self.need("keyword"), self.names(), "one", []
            if self.peek("keyword", ("group_left", "group_right")):
                card = self.need("keyword")
                include = self.names() if self.peek("sign", "(") else []
            matching = kind, names, card, include
        right = self.expression(PRECEDENCE[op] + (0 if op == "^" else 1))
        if left[0] == "log" or right[0] == "log":
            raise Refused("binary operator on a log query")
        numbers = left[0] == "number", right[0] == "number"
        if op in ("and", "or", "unless") and any(numbers):
            raise Refused("set operator on a literal")
        if all(numbers):
            return "number", fold(op, left[1], right[1])
        return "binary", op, left, right, as_bool, matching

    def names(self):
        self.need("sign", "(")
        result = []
        while not self.take("sign", ")"):
            if result:
                self.need("sign", ",")
            result.append(self.need("word"))
        return result

    def grouping(self):
        if self.peek("keyword", ("by", "without")):
            return self.need("keyword"), self.names()
        return None

    def primary(self):
        if self.peek("sign", "{"):
            log = "log", self.selector(), self.stages()
            check_selector(log[1])
            return log
        if self.take("sign", "("):
            result = self.expression()
            self.need("sign", ")")
            return result
        if self.peek("number"):
            return "number", self.need("number")
        if self.peek("sign", ("+", "-")):
            sign = self.need("sign")
            return "number", self.need("number") * (-1 if sign == "-" else 1)
        word = self.need("function")
        if word in RANGE_OPS:
            return self.range_aggregation(word)
        if word in VECTOR_OPS:
            return self.vector_aggregation(word)
        self.need("sign", "(")
        if word == "vector":
            result = "constant", self.need("number")
        elif word == "label_replace":
            result = ["replace", self.metric()]
            for _ in range(4):
                self.need("sign", ",")
                result.append(self.need("string"))
            regex(result[-1])
            result = tuple(result)
        else:
            raise Refused("unexpected " + word)
        self.need("sign", ")")
        return result

    def metric(self):
        result = self.expression()
        if result[0] == "log":
            raise Refused("a log query where numbers are wanted")
        return result

    def parameter(self):
        if self.peek("number") and self.peek("sign", ",", 1):
            self.i += 2
            return self.t[self.i - 2][1]
        return None

    def vector_aggregation(self, op):
        before = self.grouping()
        self.need("sign", "(")
        k = self.parameter()
        inner = self.metric()
        self.need("sign", ")")
        grouping = before or self.grouping()
        if op in WITH_K:
            if k is None or not re.fullmatch("[0-9]+", k.text) or k <= 0:
                raise Refused("parameter of " + op)
        elif k is not None:
            raise Refused("parameter of " + op)
        if inner[0] == "number":
            raise Refused("literal in " + op)
        if grouping and (op == "approx_topk" or (op.startswith("sort") and grouping[1])):
            raise Refused("grouping of " + op)
        return "vector", op, k, inner, grouping

    def range_aggregation(self, op):
        self.need("sign", "(")
        parameter = self.parameter()
        if op == DISTINCT:
            parameter = self.need("word")
            self.need("sign", ",")
        log, unwrap, behind, length, offset = self.log_range()
        if any(stage[0] == "dedup" for stage in log[2]):
            raise Refused("dedup in numbers")
        self.need("sign", ")")
        grouping = self.grouping()
        check_selector(log[1])
        if op == DISTINCT:
            if unwrap:
                raise Refused(op + " with unwrap")
            return "range", op, parameter, log, unwrap, behind, length, offset, grouping
        if (parameter is None) == (op == "quantile_over_time"):
            raise Refused("parameter of " + op)
        if unwrap:
            if op not in UNWRAPPED | {"rate", "absent_over_time"}:
                raise Refused(op + " with unwrap")
        elif op not in BARE:
            raise Refused(op + " without unwrap")
        if grouping and op not in GROUPED:
            raise Refused("grouping of " + op)
        return "range", op, parameter, log, unwrap, behind, length, offset, grouping

    def log_range(self):
        if self.take("sign", "("):
            if self.peek("sign", "("):
                result = self.log_range()
                self.need("sign", ")")
                return result
            matchers = self.selector()
            stages, (unwrap, behind) = self.stages(), self.unwrap()
            if self.peek("range"):
                result = self.ranged(matchers, stages, unwrap, behind)
                self.need("sign", ")")
                return result
            self.need("sign", ")")
            length, offset = self.need("range"), self.offset()
            if not stages and not unwrap:
                unwrap, behind = self.unwrap()
            return ("log", matchers, stages), unwrap, behind, length, offset
        matchers = self.selector()
        stages, (unwrap, behind) = self.stages(), self.unwrap()
        return self.ranged(matchers, stages, unwrap, behind)

    def ranged(self, matchers, stages, unwrap, behind):
        length, offset = self.need("range"), self.offset()
        if not stages and not unwrap:
            stages, (unwrap, behind) = self.stages(), self.unwrap()
        return ("log", matchers, stages), unwrap, behind, length, offset

    def unwrap(self):
        if not self.peek("sign", "|") or not self.peek("keyword", "unwrap", 1):
            return None, []
        self.i += 2
        how = ""
        if self.peek("function", ("bytes", "duration", "duration_seconds")):
            how = self.need("function")
            self.need("sign", "(")
        name = self.need("word")
        if how:
            self.need("sign", ")")
        behind = []
        while self.take("sign", "|"):
            behind.append(self.label_filter())
        return (how, name), behind

    def offset(self):
        if not self.take("keyword", "offset"):
            return 0
        return self.need("duration")


def check_selector(matchers):
    for _, op, value in matchers:
        if (op == "=" and value) or (op == "=~" and not anchored(value)("")):
            return
    raise Refused("queries require at least one matcher that does not match the empty value")


def parse(text):
    parser = Parser(text)
    result = parser.expression()
    parser.need("end")
    return result
