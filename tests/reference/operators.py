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
