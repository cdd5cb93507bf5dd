"""Operators on two numbers."""
import math

COMPARE = ("==", "!=", ">", ">=", "<", "<=")


def compare(op, a, b):
    return {"==": a == b, "!=": a != b, ">": a > b, ">=": a >= b, "<": a < b, "<=": a <= b}[op]


def power(a, b):
    try:
        result = math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0:
            return math.copysign(math.inf, a) if b % 2 == 1 else math.inf
        return math.nan
    return result


def modulo(a, b):
    if b == 0 or math.isinf(a) or math.isnan(a) or math.isnan(b):
        return math.nan
    return math.fmod(a, b)


def is_edge(op, a, b, literal):
    """Does the result jump here, where fractions that are sums may differ in their last bit?"""
    if op == "^" and a < 0 and not literal and math.isfinite(b):
        return b != 0 and abs(b - round(b)) <= 1e-9 * abs(b)
    if not (math.isfinite(a) and math.isfinite(b)) or (a == int(a) and b == int(b)):
        return False
    if op == "%" and b != 0:
        turns = a / b
        return math.isfinite(turns) and abs(turns) > 0.5 and abs(turns - round(turns)) <= 1e-9 * abs(turns)
    return op in COMPARE and a != b and abs(a - b) <= 1e-12 * max(abs(a), abs(b))


def arithmetic(op, a, b):
    if op == "/":
        return math.nan if b == 0 else a / b
    if op == "%":
        return modulo(a, b)
    if op == "^":
        return power(a, b)
    return a + b if op == "+" else a - b if op == "-" else a * b


def fold(op, a, b):
    """What two literals make; comparisons give 0 or 1."""
    return float(compare(op, a, b)) if op in COMPARE else arithmetic(op, a, b)
