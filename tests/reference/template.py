"""The common part of text templates: fields, literals, pipelines, parentheses, if/else if/else, trimming, and functions on
texts and numbers.  parse() refuses what is no template; Unknown means that one is outside of this part, and that the caller
should not compare.
"""
import base64
import math
import re
import urllib.parse

ACTION = re.compile(r"\{\{(-(?=[ \t\r\n]))?(.*?)((?<=[ \t\r\n])-)?\}\}", re.S)
TOKEN = re.compile(r'\s*(?:("(?:[^"\\\n]|\\.)*")|(`[^`]*`)|(-?\d+(?:\.\d+)?)|(\.[A-Za-z_]\w*)|(\.)|([A-Za-z_]\w*)|([()|]))')


class Refused(Exception):
    """No query, or none that can be answered: status 400."""


class Failed(Exception):
    """The template cannot be executed on this line."""


class Unknown(Exception):
    """Outside of what is evaluated here."""


ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.))", re.S)
PLAIN = {"n": "\n", "t": "\t", "r": "\r", "\\": "\\", '"': '"', "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def unquote(body):
    """Go's escapes; \\x and octal are bytes."""
    def one(m):
        if m[1] or m[4]:
            value = int(m[1], 16) if m[1] else int(m[4], 8)
            if value > 255:
                raise Refused("octal escape")
            return bytes([value]).decode("utf-8", "surrogateescape")
        if m[2] or m[3]:
            value = int(m[2] or m[3], 16)
            if value > 0x10FFFF or 0xD800 <= value < 0xE000:
                raise Refused("escape")
            return chr(value)
        if m[5] not in PLAIN:
            raise Refused("escape \\" + m[5])
        return PLAIN[m[5]]
    text = ESCAPE.sub(one, body)
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8")
    except UnicodeDecodeError:
        raise Refused("invalid UTF-8 rune") from None


def text_of(value):
    if value is None:
        return "<no value>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if value == int(value) and abs(value) < 1e21:
            return f"{int(value)}" if abs(value) < 1e6 else exponent(value)
        return exponent(value) if abs(value) < 1e-4 or abs(value) >= 1e21 else repr(value)
    return str(value)


def exponent(value):
    digits = repr(value)
    mantissa = f"{value:e}" if "e" not in digits else digits
    for precision in range(17):
        mantissa = f"{value:.{precision}e}"
        if float(mantissa) == value:
            break
    return mantissa if abs(value) >= 1e21 or abs(value) < 1e-4 else text_plain(value)


def text_plain(value):
    """%v of a float is %g with the shortest digits: an exponent of 21 and more is written as one."""
    for precision in range(17):
        text = f"{value:.{precision}e}"
        if float(text) == value:
            break
    return text


def need_text(value):
    if not isinstance(value, str):
        raise Failed("wrong type")
    return value


def need_int(value):
    if isinstance(value, bool) or not isinstance(value, int):
        raise Failed("wrong type")
    return value


def clip(n, s):
    raw, n = need_text(s).encode("utf-8", "surrogateescape"), need_int(n)
    if n < 0:
        return raw[n:].decode("utf-8", "surrogateescape") if len(raw) + n > 0 else s
    return raw[:n].decode("utf-8", "surrogateescape")


def substr(start, end, s):
    raw = need_text(s).encode("utf-8", "surrogateescape")
    start, end = need_int(start), need_int(end)
    if start < 0:
        start, low = None, True
    else:
        low = False
    if low:
        if end < 0 or end > len(raw):
            raise Failed("out of range") if end > len(raw) or end < 0 else None
        return raw[:end].decode("utf-8", "surrogateescape")
    if end < 0 or end > len(raw):
        end = len(raw)
    if start > end:
        raise Failed("out of range")
    return raw[start:end].decode("utf-8", "surrogateescape")


def truth(value):
    return value not in (None, "", 0, False) or (isinstance(value, float) and value != 0)


def equal(a, *others):
    if any(type(a) is not type(b) for b in others) or not others:
        raise Failed("incompatible types")
    return any(a == b for b in others)


def ordered(test):
    def run(a, b):
        if type(a) is not type(b) or isinstance(a, bool):
            raise Failed("incompatible types")
        return test(a, b) if not isinstance(a, str) else test(a.encode("utf-8", "surrogateescape"), b.encode("utf-8", "surrogateescape"))
    return run


def to_int(value):
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return int(value)
    if re.fullmatch(r"[+-]?(0|[1-9]\d*)", value):
        return int(value)
    if re.fullmatch(r"[+-]?\d+", value):
        raise Unknown("octal")
    if re.search(r"\d", value):
        raise Unknown("numbers of another kind")
    return 0


def to_float(value):
    if isinstance(value, (int, float)):
        return float(value)
    if re.fullmatch(r"[+-]?\d+(\.\d+)?", value):
        return float(value)
    if re.search(r"\d|inf|nan", value, re.I):
        raise Unknown("numbers of another kind")
    return 0.0


def whole(f):
    def run(first, *more):
        result = to_int(first)
        for value in more:
            result = f(result, to_int(value))
        return result
    return run


def divide(a, b):
    if b == 0:
        raise Failed("division by zero")
    return int(math.copysign(abs(a) // abs(b), a * b)) if a * b else 0


def modulo(a, b):
    return a - b * divide(a, b)


def unbase(s):
    try:
        if re.search(r"[^A-Za-z0-9+/=\r\n]", need_text(s)):
            raise ValueError
        return base64.b64decode(s, validate=True).decode()
    except ValueError:
        raise Unknown("text of an error") from None


def quoted_title(s):
    """strings.Title on plain words."""
    if re.search(r"[^A-Za-z0-9 ]", need_text(s)):
        raise Unknown("title")
    return re.sub(r"(^| )([a-z])", lambda m: m[1] + m[2].upper(), s)


def repeat(n, s):
    if need_int(n) < 0:
        return ""
    return need_text(s) * n


def align(right):
    def run(n, s):
        if need_int(n) < 0 or n == len(need_text(s)):
            return s
        if right:
            return " " * (n - len(s)) + s if len(s) < n else s[len(s) - n:]
        return s + " " * (n - len(s)) if len(s) < n else s[:n]
    return run


def limited(old, new, s, n):
    return need_text(s).replace(need_text(old), need_text(new), need_int(n)) if n >= 0 else s.replace(old, new)


T = need_text
FUNCTIONS = {
    "ToLower": lambda s: T(s).lower(), "ToUpper": lambda s: T(s).upper(), "lower": lambda s: T(s).lower(),
    "upper": lambda s: T(s).upper(), "Replace": lambda s, old, new, n: limited(old, new, s, n),
    "Trim": lambda s, cut: T(s).strip(T(cut)) if cut else s, "TrimLeft": lambda s, cut: T(s).lstrip(T(cut)) if cut else s,
    "TrimRight": lambda s, cut: T(s).rstrip(T(cut)) if cut else s, "TrimPrefix": lambda s, p: T(s).removeprefix(T(p)),
    "TrimSuffix": lambda s, p: T(s).removesuffix(T(p)), "TrimSpace": lambda s: T(s).strip(" \t\r\n\v\f\x85\xa0"),
    "trim": lambda s: T(s).strip(" \t\r\n\v\f\x85\xa0"), "trimAll": lambda cut, s: T(s).strip(T(cut)) if cut else s,
    "trimPrefix": lambda p, s: T(s).removeprefix(T(p)), "trimSuffix": lambda p, s: T(s).removesuffix(T(p)),
    "title": quoted_title, "trunc": clip, "substr": substr, "replace": lambda old, new, s: T(s).replace(T(old), T(new)),
    "repeat": repeat, "contains": lambda part, s: T(part) in T(s), "hasPrefix": lambda p, s: T(s).startswith(T(p)),
    "hasSuffix": lambda p, s: T(s).endswith(T(p)), "default": lambda d, v="": v if truth(v) else d,
    "b64enc": lambda s: base64.b64encode(T(s).encode("utf-8", "surrogateescape")).decode(), "b64dec": unbase,
    "urlencode": lambda s: urllib.parse.quote_plus(T(s), safe=""), "alignLeft": align(False), "alignRight": align(True),
    "indent": lambda n, s: "\n".join(" " * need_int(n) + part for part in T(s).split("\n")),
    "int": to_int, "float64": to_float, "add": lambda *v: sum(map(to_int, v)), "sub": whole(lambda a, b: a - b),
    "mul": whole(lambda a, b: a * b), "div": whole(divide), "mod": whole(modulo),
    "max": whole(max), "min": whole(min),
    "eq": equal, "ne": lambda a, b: not equal(a, b), "lt": ordered(lambda a, b: a < b), "le": ordered(lambda a, b: a <= b),
    "gt": ordered(lambda a, b: a > b), "ge": ordered(lambda a, b: a >= b),
    "not": lambda v: not truth(v),
    "and": lambda *v: next((x for x in v if not truth(x)), v[-1]), "or": lambda *v: next((x for x in v if truth(x)), v[-1]),
    "len": lambda s: len(T(s).encode("utf-8", "surrogateescape")), "print": lambda *v: "".join(map(text_of, v)) if len(v) == 1 else unknown(),
    "__line__": None, "__timestamp__": None,
}
BUILTIN = {"printf", "println", "html", "js", "urlquery", "index", "slice", "call", "nindent", "urldecode", "count", "fromJson",
           "regexReplaceAll", "regexReplaceAllLiteral", "bytes", "duration", "duration_seconds", "now", "date", "toDate",
           "toDateInZone", "unixEpoch", "unixEpochMillis", "unixEpochNanos", "unixToTime", "addf", "subf", "mulf", "divf",
           "maxf", "minf", "ceil", "floor", "round"}


def unknown():
    raise Unknown("function")


def parse(text):
    """A list of (text, t), (value, pipeline), (if, [(pipeline or None, list)])."""
    pieces, at, trim = [], 0, False
    for m in ACTION.finditer(text):
        lead = text[at:m.start()]
        lead = lead.lstrip(" \t\r\n") if trim else lead
        pieces.append(("text", lead.rstrip(" \t\r\n") if m[1] else lead))
        pieces.append(("action", m[2].strip()))
        trim, at = bool(m[3]), m.end()
    rest = text[at:]
    if "{{" in rest:
        raise Refused("unclosed action")
    pieces.append(("text", rest.lstrip(" \t\r\n") if trim else rest))
    nodes, end = block(pieces, 0)
    if end < len(pieces):
        raise Refused("unexpected " + pieces[end][1])
    return nodes


def block(pieces, i):
    result = []
    while i < len(pieces):
        kind, body = pieces[i]
        if kind == "text":
            result.append(("text", body))
            i += 1
        elif re.match(r"(else|end)\b", body):
            return result, i
        elif m := re.match(r"if\b(.*)", body, re.S):
            branches, condition = [], pipeline(m[1])
            while True:
                inner, i = block(pieces, i + 1)
                branches.append((condition, inner))
                if i >= len(pieces):
                    raise Refused("unexpected EOF")
                body = pieces[i][1]
                if body == "end":
                    break
                if branches[-1][0] is None:
                    raise Refused("else after else")
                m = re.fullmatch(r"else(?:\s+if\b(.*))?", body, re.S)
                if not m:
                    raise Refused(body)
                condition = pipeline(m[1]) if m[1] is not None else None
            result.append(("if", branches))
            i += 1
        elif body.startswith("/*"):
            i += 1
        elif re.match(r"(with|range|define|template|block|break|continue)\b", body) or "'" in body or body == "nil":
            raise Unknown(body)
        else:
            result.append(("value", pipeline(body)))
            i += 1
    return result, i


def pipeline(text):
    if re.search(r"\$|\)\.", re.sub(r'"[^"]*"|`[^`]*`', "", text)):
        raise Unknown(text)
    toks, i = [], 0
    text = text.rstrip()
    while i < len(text):
        m = TOKEN.match(text, i)
        if not m:
            raise Refused("template " + text)
        toks.append(m)
        i = m.end()
    found, end = commands(toks, 0)
    if end < len(toks):
        raise Refused("template " + text)
    return found


def commands(toks, i):
    result, current = [], []
    while True:
        m = toks[i] if i < len(toks) else None
        if m is None or m[7] in (")", "|"):
            if not current:
                raise Refused("missing value")
            if result and current[0][0] != "function":
                raise Refused("non executable command in pipeline")
            result.append(current)
            current = []
            if m is None or m[7] == ")":
                return ("pipe", result), i
        elif m[7] == "(":
            inner, i = commands(toks, i + 1)
            if i >= len(toks):
                raise Refused("unclosed paren")
            current.append(inner)
        elif m[1] or m[2]:
            current.append(("value", unquote(m[1][1:-1]) if m[1] else m[2][1:-1]))
        elif m[3]:
            current.append(("value", float(m[3]) if "." in m[3] else int(m[3])))
        elif m[4]:
            current.append(("field", m[4][1:]))
        elif m[5]:
            current.append(("dot",))
        elif m[6] in ("true", "false"):
            current.append(("value", m[6] == "true"))
        elif m[6] in FUNCTIONS or m[6] in BUILTIN:
            current.append(("function", m[6]))
        else:
            raise Refused(f'function "{m[6]}" not defined')
        i += 1


def value_of(node, fields, line, last=()):
    """One operand, or a command with its arguments."""
    kind = node[0]
    if kind == "value":
        return node[1]
    if kind == "field":
        return fields.get(node[1], "")
    if kind == "pipe":
        carried = ()
        for command in node[1]:
            carried = (run(command, fields, line, carried),)
        return carried[0]
    if kind == "function":
        return run([node], fields, line, last)
    raise Unknown(kind)


def run(command, fields, line, last):
    head = command[0]
    if head[0] != "function":
        if len(command) > 1:
            raise Failed("can't give argument to non-function")
        return value_of(head, fields, line)
    if head[1] == "__line__":
        return line
    f = FUNCTIONS.get(head[1])
    if f is None:
        raise Unknown(head[1])
    if head[1] in ("and", "or"):
        args = []
        for node in command[1:]:
            args.append(value_of(node, fields, line))
            if truth(args[-1]) == (head[1] == "or"):
                return args[-1]
        args += last
        if not args:
            raise Failed("wrong number of args")
        return args[-1]
    args = [value_of(node, fields, line) for node in command[1:]] + list(last)
    try:
        return f(*args)
    except TypeError:
        raise Failed("wrong number of args") from None


def execute(nodes, fields, line):
    out = []
    for node in nodes:
        if node[0] == "text":
            out.append(node[1])
        elif node[0] == "value":
            out.append(text_of(value_of(node[1], fields, line)))
        else:
            for condition, inner in node[1]:
                if condition is None or truth(value_of(condition, fields, line)):
                    out.append(execute(inner, fields, line))
                    break
    return "".join(out)
