"""What the stages of a log query do to one entry.  One plain function a stage, no thought for speed."""
import ipaddress
import json
import re

import operators
import syntax
import template


class Entry:
    """A line with its labels of three kinds; a name has one kind at a time.

    `wanted`: the names of which a parser needs no more than all, or None: it must read on to the end.
    """

    def __init__(self, ts, stream, metadata, line, wanted=None):
        self.ts, self.line, self.stream = ts, line, dict(stream)
        self.base, self.ever, self.wanted = {*stream}, set(), wanted
        self.metadata = {(n + "_extracted" if n in stream else n): v for n, v in metadata.items()}
        self.parsed, self.error = {}, None

    def get(self, name):
        if name == "__error__":
            return self.error
        if name == "__error_details__":
            return "?" if self.error is not None else None
        return self.label(name)

    def label(self, name):
        """As get, but an error is none."""
        for kind in (self.stream, self.metadata, self.parsed):
            if name in kind:
                return kind[name]
        return None

    def spilled(self, name):
        """The name that a parser gives to what is called `name` in the line."""
        return name + "_extracted" if name in self.base or name in self.metadata else name

    def done(self):
        return self.wanted is not None and self.wanted <= self.ever

    def remove(self, name):
        for kind in (self.stream, self.metadata, self.parsed):
            kind.pop(name, None)

    def set(self, name, value):
        self.remove(name)
        self.parsed[name] = value
        self.ever.add(name)

    def labels(self):
        result = {**self.stream, **self.metadata, **self.parsed}
        if self.error is not None:
            result["__error__"] = self.error
        return result


def clean_value(value):
    return value.replace("\ufffd", " ")


def store(entry, pairs):
    """What one parser found, an error without a name: what a stage has set stays, a taken name is spilled."""
    for name, value in pairs:
        if entry.done():
            return
        if name is None:
            entry.error = value
        elif entry.spilled(name) not in entry.ever:
            entry.set(entry.spilled(name), clean_value(value))


def clean_key(key, first=True):
    key = re.sub(r"[^A-Za-z0-9_]", "_", key.strip())
    return "_" + key if first and key[:1].isdigit() else key


# json ----------------------------------------------------------------------------------------------------------------

class Broken(Exception):
    pass


STRING = re.compile(r'"((?:[^"\\]|\\.)*)"', re.S)
SCALAR = re.compile(r"[-0-9][^ \t\r\n,}\]]*|(?:true|false|null)(?![^ \t\r\n,}\]])")
BLANK = re.compile(r"[ \t\r\n]*")


def json_string(raw, is_value=False):
    """A value with half of a surrogate pair is empty."""
    try:
        text = json.loads('"' + raw + '"', strict=False)
    except ValueError:
        raise Broken from None
    if is_value and re.search("[\ud800-\udfff]", json.loads('"' + re.sub("[\ud800-\udfff]", "", raw) + '"', strict=False)):
        return ""  # what escapes say, not bytes that are no UTF-8
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


class Reader:
    """Reads JSON piecewise: what stands before an error has been seen."""

    def __init__(self, text):
        self.t, self.i = text, 0

    def look(self):
        self.i = BLANK.match(self.t, self.i).end()
        return self.t[self.i:self.i + 1]

    def string(self, is_value=False):
        self.look()
        m = STRING.match(self.t, self.i)
        if not m:
            raise Broken
        self.i = m.end()
        return json_string(m[1], is_value)

    def members(self):
        """Yields keys of an object; who takes one reads its value."""
        if self.look() != "{":
            raise Broken
        self.i += 1
        while self.look() != "}":
            key = self.string()
            if self.look() != ":":
                raise Broken
            self.i += 1
            yield key
            if self.look() == ",":
                self.i += 1
            elif self.look() != "}":
                raise Broken
        self.i += 1

    def scalar(self):
        m = SCALAR.match(self.t, self.i)
        if not m:
            raise Broken
        self.i = m.end()
        return m[0]

    def value(self):
        """(kind, value): string, scalar, null, object, array; raw text of the last two."""
        c = self.look()
        begin = self.i
        if c == '"':
            return "string", self.string(True)
        if c == "{":
            for _ in self.members():
                self.value()
            return "object", self.t[begin:self.i]
        if c == "[":
            self.i += 1
            while self.look() != "]":
                self.value()
                if self.look() == ",":
                    self.i += 1
                elif self.look() != "]":
                    raise Broken
            self.i += 1
            return "array", self.t[begin:self.i]
        text = self.scalar()
        return ("null", "") if text == "null" else ("scalar", text)


def flatten(reader, prefix, found, arrays=False):
    for key in reader.members():
        part = clean_key(key, not prefix)
        flatten_value(reader, prefix + "_" + part if prefix and part else prefix or part, found, arrays)


def flatten_value(reader, name, found, arrays):
    if reader.look() == "{":
        flatten(reader, name, found, arrays)
    elif reader.look() == "[" and arrays:
        flatten_array(reader, name, found)
    else:
        kind, value = reader.value()
        if kind in ("string", "scalar") and name:
            found.append((name, value))


def flatten_array(reader, name, found):
    reader.i += 1
    n = 0
    while reader.look() != "]":
        flatten_value(reader, f"{name}_{n}", found, True)
        n += 1
        if reader.look() == ",":
            reader.i += 1
        elif reader.look() != "]":
            raise Broken
    reader.i += 1
    found.append((name + "_len", str(n)))


def stage_json(entry, wanted, arrays):
    if entry.done():
        return True
    if wanted:
        return json_paths(entry, wanted)
    found = []
    try:
        flatten(Reader(entry.line), "", found, arrays)
    except Broken:
        found.append((None, "JSONParserErr"))
    store(entry, found)
    return True


def walk(text, path):
    """The value at a path as text, or None."""
    reader = Reader(text)
    if not path:
        kind, value = reader.value()
        return value if kind in ("object", "array") else clean_value(value)
    c = reader.look()
    if c == "{" and isinstance(path[0], str):
        for key in reader.members():
            if key == path[0]:
                return walk(reader.t[reader.i:], path[1:])
            reader.value()
    elif c == "[" and isinstance(path[0], int):
        reader.i += 1
        index = 0
        while reader.look() not in ("]", ""):
            if index == path[0]:
                return walk(reader.t[reader.i:], path[1:])
            reader.value()
            index += 1
            if reader.look() == ",":
                reader.i += 1
    return None


def json_paths(entry, wanted):
    if entry.line == "":
        return True
    if entry.line[:1] not in ("{", "[", '"'):
        entry.error = "JSONParserErr"
        return True
    try:
        Reader(entry.line).value()
    except Broken:
        raise template.Unknown("paths in half a document") from None
    for name, path in wanted:
        value = walk(entry.line, path)
        if value is not None:
            entry.set(entry.spilled(name), value)
        elif entry.label(name) is None:
            entry.set(name, "")
    return True


def stage_unpack(entry):
    if entry.line == "":
        return True
    found, packed = [], None
    try:
        reader = Reader(entry.line)
        for key in reader.members():
            kind, value = reader.value()
            if kind != "string":
                continue
            if key == "_entry":
                packed = value
            else:
                found.append((clean_key(key), value))
    except Broken:
        entry.error = entry.error if entry.done() else "JSONParserErr"
        return True
    if packed is not None:
        store(entry, found)
        entry.line = packed
    return True


# other parsers -------------------------------------------------------------------------------------------------------

def logfmt_pairs(line):
    """Yields (key, value) or None for a bad token."""
    i, n = 0, len(line)
    while i < n:
        if line[i] <= " ":
            i += 1
            continue
        begin = i
        while i < n and line[i] > " " and line[i] not in '="':
            i += 1
        key = line[begin:i]

        def rest(j):
            while j < n and line[j] > " ":
                j += 1
            return j
        if i == n or line[i] <= " ":
            yield key, ""
        elif line[i] == '"' or not key or "\ufffd" in key:
            yield None
            i = rest(i)
        elif line[i + 1:i + 2] == '"':
            m = STRING.match(line, i + 1)
            if not m:
                yield None
                return
            i = m.end()
            try:
                yield key, json_string(m[1])
            except Broken:
                yield None
        else:
            end = rest(i)
            value = line[i + 1:end]
            yield None if re.search(r'[="]', value) else (key, value)
            i = end


def stage_logfmt(entry, flags, wanted):
    found = []
    if entry.done():
        return True
    for name, _ in wanted:
        if entry.spilled(name) == name:
            entry.set(name, "")
    for pair in logfmt_pairs(entry.line):
        if pair is None:
            if "--strict" in flags:
                found.append((None, "LogfmtParserErr"))
                break
            continue
        key, value = pair
        for name in [n for n, k in wanted if k == key]:
            if entry.spilled(name) == name:
                entry.set(name, clean_value(value))
            elif entry.spilled(name) not in entry.ever:
                entry.set(entry.spilled(name), clean_value(value))
        if not wanted and (value or "--keep-empty" in flags) and clean_key(key):
            found.append((clean_key(key), value))
    if wanted:
        entry.error = found[0][1] if found else entry.error
    else:
        store(entry, found)
    return True


def stage_regexp(entry, text):
    m = syntax.regex(text).search(entry.line)
    if m:
        store(entry, [(n, v or "") for n, v in m.groupdict().items()])
    return True


def stage_pattern(entry, parts):
    found, rest = [], entry.line
    if not rest:
        return True
    for i, (kind, text) in enumerate(parts):
        if kind == "literal":
            if i == 0:
                if not rest.startswith(text):
                    return True
                rest = rest[len(text):]
            continue
        behind = parts[i + 1][1] if i + 1 < len(parts) else None
        at = rest.find(behind) if behind else len(rest)
        value = rest if at < 0 else rest[:at]
        if text != "_":
            found.append((text, value))
        if at < 0:
            break
        rest = rest[at + len(behind or ""):]
    store(entry, found)
    return True


# filters -------------------------------------------------------------------------------------------------------------

ADDRESS = re.compile(r"(?<![0-9A-Fa-f:.])[0-9A-Fa-f:.]+")


def has_address(text, pattern):
    low, high = syntax.addresses(pattern)
    for m in ADDRESS.finditer(text):
        for word in (m[0], m[0].rstrip(".:"), m[0].split(":")[0]):
            try:
                found = ipaddress.ip_address(word)
            except ValueError:
                continue
            if found.version == low.version and low <= found <= high:
                return True
    return False


def like(line, parts):
    """|>: each literal counts where it first stands, the first one anywhere; between two there is something."""
    if not parts or not line:
        return not parts and not line
    at = 0
    for i, (kind, text) in enumerate(parts):
        if kind == "literal":
            found = line.find(text, at)
            if found < 0 or (i and found == at):
                return False
            at = found + len(text)
    return (at < len(line)) == (parts[-1][0] == "capture")


def stage_line(entry, op, args):
    def one(kind, text):
        if kind == "ip":
            return has_address(entry.line, text)
        if op in ("|=", "!="):
            return text in entry.line
        if op in ("|~", "!~"):
            return syntax.regex(text).search(entry.line) is not None
        return like(entry.line, syntax.pattern(text))
    return any(one(*arg) for arg in args) == (op[0] == "|")


def go_float(text):
    if re.fullmatch(r"[+-]?(\d(_?\d)*\.?(\d(_?\d)*)?|\.\d(_?\d)*)([eE][+-]?\d(_?\d)*)?", text, re.A):
        value = float(text)
        return None if abs(value) == float("inf") else value
    if re.fullmatch(r"[+-]?(inf|infinity|nan)", text, re.I) and not re.fullmatch(r"[+-]nan", text, re.I):
        return float(text)
    if re.fullmatch(r"[+-]?0x([0-9a-f]+\.?[0-9a-f]*|\.[0-9a-f]+)p[+-]?\d+", text, re.I):
        return float.fromhex(text)
    return None


def go_duration(text):
    """Nanoseconds, or None."""
    if re.fullmatch(r"[+-]?0", text):
        return 0
    m = re.fullmatch(r"([+-]?)((?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|μs|ms|s|m|h))+)", text, re.A)
    if not m:
        return None
    total = 0
    for number, unit in re.findall(r"(\d+\.?\d*|\.\d+)(ns|us|µs|μs|ms|s|m|h)", m[2]):
        whole, _, part = number.partition(".")
        total += int(whole or 0) * syntax.UNITS[unit] + (int(int(part) * syntax.UNITS[unit] / 10**len(part)) if part else 0)
    return None if total >= 1 << 63 else -total if m[1] == "-" else total


def go_bytes(text):
    m = re.fullmatch(r"([0-9.,]*)\s*([A-Za-z]*)", text.rstrip())
    unit = m and re.fullmatch(r"([kmgtpe]?)(i?)b?", m[2].lower())
    number = m and go_float(m[1].replace(",", ""))
    if number is None or not unit or unit[0] in ("i", "ib"):
        return None
    value = number * (1024 if unit[2] else 1000)**" kmgtpe".index(unit[1] or " ")
    return None if value >= 2**64 else int(value)


def matches(op, value, text):
    if op in ("=", "!="):
        return (value == text) == (op == "=")
    return syntax.anchored(text)(value) == (op == "=~")


def stage_filter(entry, tree):
    kind = tree[0]
    if kind == "or":
        return stage_filter(entry, tree[1]) or stage_filter(entry, tree[2])
    if kind == "and":
        left, right = stage_filter(entry, tree[1]), stage_filter(entry, tree[2])
        return left and right
    if kind == "any":
        return any_element(entry, *tree[1])
    _, name, op, wanted = tree
    if kind == "match":
        return matches(op, entry.get(name) or "", wanted)
    value = entry.get(name)
    if value is None:
        return False
    if kind == "ip":
        return has_address(value, wanted) == (op == "=")
    value = READ[kind](value)
    if value is None:
        entry.error = entry.error or "LabelFilterErr"
        return True
    return operators.compare(op, value, wanted)


READ = {"number": go_float, "duration": go_duration, "size": go_bytes}


def any_element(entry, kind, name, op, wanted):
    """Does a label pass that is called `name` once the numbers of elements are taken out, one at least?"""
    elements = re.compile(r"(?:\d+_)*" + r"(?:_\d+)*".join(re.escape("_" * (i > 0) + p) for i, p in enumerate(name.split("_"))) + r"(?:_\d+)*")
    for label, value in {**entry.stream, **entry.metadata, **entry.parsed}.items():
        if label == name or not elements.fullmatch(label):
            continue
        if kind == "match":
            passes = matches(op, value, wanted)
        elif kind == "ip":
            passes = has_address(value, wanted) == (op == "=")
        else:
            value = READ[kind](value)
            passes = value is not None and operators.compare(op, value, wanted)
        if passes:
            return True
    return False


# formatting ----------------------------------------------------------------------------------------------------------

def render(entry, text, fields):
    try:
        return template.execute(template.parse(text), fields, entry.line)
    except template.Failed:
        entry.error = "TemplateFormatErr"
        return None


def stage_line_format(entry, text):
    made = render(entry, text, entry.labels())
    entry.line = entry.line if made is None else made
    return True


def stage_label_format(entry, formats):
    fields = None
    for name, how, source in formats:
        if how == "rename":
            value = entry.label(source)
            if value is not None:
                entry.set(name, value)
                entry.remove(source)
            continue
        fields = fields or entry.labels()
        made = render(entry, source, fields)
        if made is not None:
            entry.set(name, made)
    return True


def stage_decolorize(entry):
    entry.line = re.sub(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07]*\x07)", "", entry.line)
    return True


def stage_drop(entry, items):
    for name, op, text in items:
        if name == "__error__" and entry.error is not None and (op is None or matches(op, entry.error, text)):
            entry.error = None
        value = entry.label(name)
        if value is not None and (op is None or matches(op, value, text)):
            entry.remove(name)
    return True


def stage_dedup(entry, names, seen):
    """`seen`: what this stage has let pass."""
    key = entry.line if names is None else tuple(entry.get(name) or "" for name in names)
    if key in seen:
        return False
    seen.add(key)
    return True


def stage_keep(entry, items):
    for name in [*entry.stream, *entry.metadata, *entry.parsed]:
        if name not in ("__error__", "__error_details__") and not any(n == name and (op is None or matches(op, entry.label(name), text)) for n, op, text in items):
            entry.remove(name)
    return True


RUN = {name[6:]: f for name, f in list(globals().items()) if name.startswith("stage_")}


def run(entry, stages, seen=None):
    """Does the entry pass?  It is changed on the way.  `seen`, of a run, is for what remembers."""
    for i, stage in enumerate(stages):
        memory = [seen.setdefault(i, set())] if stage[0] == "dedup" else []
        if not RUN[stage[0]](entry, *stage[1:], *memory):
            return False
    return True
