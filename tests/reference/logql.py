#!/usr/bin/env python3
"""A second opinion on queries: a slow, plain evaluator of the language, made from its specification and from nothing else.

It shares no idea with the engine: every entry goes through every stage, every step of a range query looks at every entry.
syntax.py makes the tree, stages.py the lines, template.py the texts; here are selection, numbers and the shapes of answers.
Records are (ns, stream labels, metadata, line) in the order in which they were taken in.
"""
import functools
import math

import operators
import stages
import syntax
import template
from syntax import Refused

S = 10**9


def frozen(labels):
    return tuple(sorted(labels.items()))


def selected(records, matchers):
    for record in records:
        if all(stages.matches(op, record[1].get(name, ""), text) for name, op, text in matchers):
            yield record


def entries(records, log, start, end, backward=False):
    """The entries of [start, end) that pass, in order of time, equal times in the order taken in; or all the other way round."""
    found, seen = sorted(selected(records, log[1]), key=lambda r: r[0]), {}
    for ts, stream, metadata, line in reversed(found) if backward else found:
        if start <= ts < end:
            entry = stages.Entry(ts, stream, metadata, line)
            if stages.run(entry, log[2], seen):
                yield entry


def log_answer(records, log, start, end, limit, direction, interval=0):
    """[(ns, labels, line, (stream, metadata, parsed))] in the order of the direction."""
    kept, last = [], None
    for entry in entries(records, log, start, end, direction == "backward"):
        if interval and last is not None and abs(entry.ts - last) < interval:
            continue
        last = entry.ts
        kept.append(entry)
        if len(kept) == limit:
            break
    return [(e.ts, e.labels(), e.line, (e.stream, e.metadata, e.parsed)) for e in kept]


# Ranges --------------------------------------------------------------------------------------------------------------

def filtered(tree):
    """The names that a label filter looks at; None: of elements."""
    if tree[0] in ("and", "or"):
        return [name for part in tree[1:] for name in filtered(part)]
    return [None if tree[0] == "any" else tree[1]]


def wanted(log, unwrapped, behind, op, grouping):
    """The names of which parsers need no more than all; None: nothing is known of them."""
    if op != "absent_over_time" and (not grouping or grouping[0] != "by"):
        return None
    names = [*(grouping[1] if grouping else ()), *([unwrapped] if unwrapped else ())]
    for name, *rest in [*log[2], *(("filter", tree) for tree in behind or ())]:
        if name == "filter":
            names += filtered(rest[0])
        elif name == "line_format":
            names += [None] if "{{" in rest[0] else []
        elif name == "label_format":
            names += [source if how == "rename" else None for _, how, source in rest[0] if how == "rename" or "{{" in source]
    return None if None in names else {*names, *(n.removesuffix("_extracted") for n in names)}


def extract(record, log, unwrap, behind, op, parameter, grouping):
    """(labels, value, error) of a record, or None."""
    ts, stream, metadata, line = record
    name = parameter if op == syntax.DISTINCT else unwrap and unwrap[1]
    kept = grouping and grouping[0] == "by" and name in grouping[1]
    entry = stages.Entry(ts, stream, metadata, line, wanted(log, name, behind, op, grouping))
    if not stages.run(entry, log[2]):
        return None
    if op == syntax.DISTINCT:
        value, labels = entry.get(parameter), entry.labels()
        if not kept:
            labels.pop(parameter, None)
        return (labels, value, entry.error) if value else None
    if not unwrap:
        value = len(entry.line.encode("utf-8", "surrogateescape")) if op.startswith("bytes") else 1
        return entry.labels(), float(value), entry.error
    how, name = unwrap
    text = entry.get(name)
    if not text:
        return None
    value = {"": stages.go_float, "bytes": stages.go_bytes}.get(how, stages.go_duration)(text)
    if value is None:
        entry.error, value = "SampleExtractionErr", 0
    elif how.startswith("duration"):
        value /= S
    if not all(stages.stage_filter(entry, f) for f in behind):
        return None
    labels = entry.labels()
    if not kept:
        labels.pop(name, None)
    return labels, float(value), entry.error


def group(labels, grouping):
    if grouping is None:
        return labels
    if grouping[0] == "by":
        return {n: v for n, v in labels.items() if n in grouping[1]}
    return {n: v for n, v in labels.items() if n not in grouping[1]}


def mean(values):
    if any(math.isinf(v) or math.isnan(v) for v in values):
        return math.fsum(values) if len({v for v in values if math.isinf(v)}) < 2 else math.nan
    return math.fsum(v / len(values) for v in values)


def variance(values):
    if any(math.isinf(v) or math.isnan(v) for v in values):
        return math.nan
    m = mean(values)
    found = sum((v - m) * (v - m) for v in values) / len(values)
    if math.isinf(found):
        raise template.Unknown("where squares overflow, is a matter of their order")
    return found


def total(values):
    """Floating-point sum: infinities of both signs are NaN."""
    if any(math.isnan(v) for v in values) or len({v for v in values if math.isinf(v)}) == 2:
        return math.nan
    return sum(values)


def extreme(f, values):
    return f([v for v in values if not math.isnan(v)] or [math.nan])


def quantile(phi, values):
    if phi < 0 or phi > 1:
        return math.copysign(math.inf, phi - 0.5)
    values = sorted(values, key=lambda v: (not math.isnan(v), v if not math.isnan(v) else 0))
    rank = phi * (len(values) - 1)
    low = int(math.floor(rank))
    high, weight = min(low + 1, len(values) - 1), rank - low
    return values[low] * (1 - weight) + values[high] * weight


def counter_rate(samples, begin, end):
    """samples: [(ns, value)]"""
    if len(samples) < 2:
        return 0.0
    rise = samples[-1][1] - samples[0][1] + sum(a for (_, a), (_, b) in zip(samples, samples[1:]) if b < a)
    sampled = (samples[-1][0] - samples[0][0]) / S
    if sampled == 0:
        return 0.0
    to_start, to_end = (samples[0][0] - begin) / S, (end - samples[-1][0]) / S
    between = sampled / (len(samples) - 1)
    to_start = to_start if to_start < between * 1.1 else between / 2
    to_end = to_end if to_end < between * 1.1 else between / 2
    if rise > 0 and samples[0][1] >= 0:
        to_start = min(to_start, sampled * samples[0][1] / rise)
    return rise * (sampled + to_start + to_end) / sampled / ((end - begin) / S)


def over(op, parameter, samples, length, at):
    values = [v for _, v in samples]
    if op == syntax.DISTINCT:
        return float(len(set(values)))
    if op in ("rate", "bytes_rate"):
        return total(values) / (length / S)
    if op in ("count_over_time", "bytes_over_time", "sum_over_time"):
        return total(values)
    if op == "rate_counter":
        return counter_rate(samples, at - length, at)
    if op == "quantile_over_time":
        return quantile(parameter, values)
    return {"avg": mean, "min": functools.partial(extreme, min), "max": functools.partial(extreme, max), "stdvar": variance,
            "stddev": lambda v: math.sqrt(variance(v)), "first": lambda v: v[0], "last": lambda v: v[-1],
            "absent": lambda v: 1.0}[op.removesuffix("_over_time")](values)


class Evaluation:
    """One metric query over one set of records."""

    def __init__(self, records):
        self.records, self.made = records, {}

    def samples(self, node, grouping):
        """What a range looks at, made once: every record that passes, with its value."""
        if id(node) not in self.made:
            _, op, parameter, log, unwrap, behind, *_ = node
            found = []
            for record in sorted(selected(self.records, log[1]), key=lambda r: r[0]):
                got = extract(record, log, unwrap, behind, op, parameter, grouping)
                if got:
                    found.append((record[0], *got))
            self.made[id(node)] = found
        return self.made[id(node)]

    def range(self, node, at, outer):
        _, op, parameter, log, _, _, length, offset, grouping = node
        at -= offset
        keeps = asks_for_error(grouping or outer) or any(stage[0] == "filter" and names_error(stage[1]) for stage in log[2])
        series = {}
        for ts, labels, value, error in self.samples(node, grouping or outer):
            if at - length < ts <= at:
                if error is not None and not (keeps and error in PARSERS):
                    raise Refused(f"pipeline error: '{error}'")
                series.setdefault(frozen(group(labels, grouping)), []).append((ts, value))
        if op == "absent_over_time":
            return {} if series else {frozen(absent_labels(log[1])): 1.0}
        return {labels: over(op, parameter, found, length, at) for labels, found in series.items()}

    def vector(self, node, at):
        _, op, k, inner, grouping = node
        asks = op == "sum" and inner[0] == "range" and inner[1] in ADDED and not inner[-1]
        values = self.at(inner, at, (grouping or ("by", [])) if asks else None)
        if not isinstance(values, dict):
            raise template.Unknown("aggregation of a number")
        if op in ("sort", "sort_desc"):
            return ordered(values, op == "sort_desc")
        groups = {}
        for labels, value in values.items():
            found = group(dict(labels), grouping or ("by", []))
            if grouping and grouping[0] == "without" and op not in syntax.WITH_K:
                found = {n: v for n, v in found.items() if v}
            key = frozen(found)
            groups.setdefault(key, {})[labels] = value
        if op in syntax.WITH_K:
            kept = {}
            for members in groups.values():
                kept.update(list(ordered(members, op != "bottomk").items())[:int(k)])
            return ordered(kept, op != "bottomk")
        f = {"sum": total, "avg": mean, "count": lambda v: float(len(v)), "min": functools.partial(extreme, min),
             "max": functools.partial(extreme, max), "stdvar": variance, "stddev": lambda v: math.sqrt(variance(v))}[op]
        return {labels: f(list(members.values())) for labels, members in groups.items()}

    def at(self, node, at, outer=None):
        """The value at one moment: {labels: number}, or a number.  `outer`: by what a sum asks a range for its samples."""
        kind = node[0]
        if kind == "number":
            return node[1]
        if kind == "constant":
            return {(): node[1]}
        if kind == "range":
            return self.range(node, at, outer)
        if kind == "vector":
            return self.vector(node, at)
        if kind == "replace":
            return replaced(self.at(node[1], at), *node[2:])
        return binary(node, self.at(node[2], at), self.at(node[3], at))


PARSERS = ("JSONParserErr", "LogfmtParserErr")
ADDED = ("count_over_time", "rate", "bytes_over_time", "bytes_rate", "sum_over_time")


def asks_for_error(grouping):
    """What a parser could not read is counted where `by (__error__)` asks for it,"""
    return bool(grouping) and grouping[0] == "by" and "__error__" in grouping[1]


def names_error(tree):
    """or where a label filter looks at it."""
    if tree[0] in ("and", "or"):
        return any(names_error(part) for part in tree[1:])
    return tree[1] == "__error__"


def absent_labels(matchers):
    names = [n for n, _, _ in matchers]
    return {n: v for n, op, v in matchers if op == "=" and v and names.count(n) == 1}


def ordered(values, descending):
    """By value, NaN last, equal ones by labels."""
    def key(item):
        v = item[1]
        return (math.isnan(v), 0 if math.isnan(v) else (-v if descending else v), item[0])
    return dict(sorted(values.items(), key=key))


def replaced(values, dst, to, src, text):
    if not isinstance(values, dict):
        return values
    result = {}
    for labels, value in values.items():
        labels = dict(labels)
        m = syntax.regex(text).fullmatch(labels.get(src, ""))
        if m:
            def part(ref):
                name = ref[1] or ref[2]
                if ref[0] == "$$":
                    return "$"
                try:
                    return m[int(name) if name.isdigit() else name] or ""
                except IndexError:
                    return ""
            made = syntax.re.sub(r"\$\$|\$(\w+)|\$\{(\w+)\}", part, to)
            labels.pop(dst, None)
            if made:
                labels[dst] = made
        if frozen(labels) in result:
            raise Refused("duplicate series")
        result[frozen(labels)] = value
    return result


# Operators -----------------------------------------------------------------------------------------------------------

def merged(op, a, b, as_bool, keep, literal=False):
    """The value of a pair, or None where a comparison filters it out.  `literal`: b is as it was written."""
    if operators.is_edge(op, a, b, literal):
        raise template.Unknown("the last bit decides, which is a matter of the order of sums")
    if op not in operators.COMPARE:
        return operators.arithmetic(op, a, b)
    holds = operators.compare(op, a, b)
    return float(holds) if as_bool else keep if holds else None


def binary(node, left, right):
    _, op, _, _, as_bool, matching = node
    numbers = not isinstance(left, dict), not isinstance(right, dict)
    if all(numbers):
        return operators.fold(op, left, right)
    if any(numbers) and op in ("and", "or", "unless"):
        raise template.Unknown("a set of a number")
    if any(numbers):
        vector = right if numbers[0] else left
        found = {}
        for labels, value in vector.items():
            a, b = (left, value) if numbers[0] else (value, right)
            found[labels] = merged(op, a, b, as_bool, value, numbers[1])
        return {labels: value for labels, value in found.items() if value is not None}

    def signature(labels):
        labels = dict(labels)
        if matching is None:
            return frozen({n: v for n, v in labels.items() if v})
        if matching[0] == "on":
            return tuple(labels.get(n, "") for n in sorted(set(matching[1])))
        return frozen({n: v for n, v in labels.items() if v and n not in matching[1]})
    if op in ("and", "or", "unless"):
        return sets(op, left, right, signature)
    return paired(op, left, right, as_bool, matching, signature)


def sets(op, left, right, signature):
    mine, others = set(map(signature, left)), set(map(signature, right))
    if op == "or":
        return {**left, **{l: v for l, v in right.items() if signature(l) not in mine}}
    return {l: v for l, v in left.items() if (signature(l) in others) == (op == "and")}


def paired(op, left, right, as_bool, matching, signature):
    kind, names, card, include = matching or ("ignoring", [], "one", [])
    many, one = (right, left) if card == "group_right" else (left, right)
    known = {}
    for labels, value in one.items():
        if signature(labels) in known:
            raise Refused("found duplicate series")
        known[signature(labels)] = labels, value
    result, used = {}, set()
    for labels, value in many.items():
        sign = signature(labels)
        if sign not in known:
            continue
        partner, other = known[sign]
        a, b = (other, value) if card == "group_right" else (value, other)
        made = merged(op, a, b, as_bool, a)
        if made is None:
            continue
        new = {n: v for n, v in labels if v}
        if card == "one":
            if sign in used:
                raise Refused("multiple matches")
            used.add(sign)
            new = {n: v for n, v in new.items() if (n in names) == (kind == "on")}
        for name in include:
            new.pop(name, None)
            if dict(partner).get(name):
                new[name] = dict(partner)[name]
        if frozen(new) in result:
            raise Refused("multiple matches")
        result[frozen(new)] = made
    return result


# Answers -------------------------------------------------------------------------------------------------------------

def has(node, word):
    return isinstance(node, tuple) and (node[:2] == ("vector", word) or any(has(part, word) for part in node))


def ask_instant(records, text, at):
    """(scalar, number) or (vector, [(labels, number)])"""
    tree = syntax.parse(text)
    if tree[0] == "log":
        raise Refused("log queries are not supported as an instant query type")
    value = Evaluation(records).at(tree, at)
    if not isinstance(value, dict):
        return "scalar", value
    return "vector", [(dict(labels), v) for labels, v in value.items()]


def ask_range(records, text, start, end, step, limit=100, direction="backward", interval=0):
    """(streams, log_answer()) or (matrix, {labels: {ns: number}})"""
    tree = syntax.parse(text)
    if tree[0] == "log":
        return "streams", log_answer(records, tree, start, end, limit, direction, interval)
    if has(tree, "approx_topk"):
        raise Refused("count min sketches are only supported on instant queries")
    evaluation, result = Evaluation(records), {}
    for at in range(start, end + 1, step):
        value = evaluation.at(tree, at)
        for labels, v in (value if isinstance(value, dict) else {(): value}).items():
            result.setdefault(labels, {})[at] = v
    return "matrix", result
