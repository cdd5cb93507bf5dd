#!/usr/bin/env python3
"""Fail if two kinds of object share a magic number, or its name.

A magic tells a stale or wrong pointer from a right one (base/obj.h), which works only while no two
are equal.  Marks in file formats count as well: they show up in the same dumps.
"""
import re
import sys

import tree

DEFINE = re.compile(r"^[ \t]*#[ \t]*define[ \t]+(\w*_MAGIC)[ \t]+(.*)$", re.M)
NUMBER = re.compile(r"(?:UINT(?:32|64)_C\()?(0x[0-9a-fA-F]+)[uUlL]*\)?")


def definitions():
    """(file:line, name, rest of the line) of every magic in the tree."""
    for path in tree.sources({".c", ".h", ".cc"}):
        text = path.read_text(errors="replace")
        for match in DEFINE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield f"{path}:{line}", match.group(1), match.group(2)


def complaints():
    by_value, by_name = {}, {}
    for place, name, text in definitions():
        number = NUMBER.match(text)
        if number is None:
            yield f"{place}: {name} is not a number in hexadecimal"
            continue
        value = int(number.group(1), 16)
        if value == 0:
            yield f"{place}: {name} is 0, which freed memory may hold"
        if value in by_value:
            yield f"{place}: {name} has the value of {by_value[value]}"
        if name in by_name:
            yield f"{place}: {name} is defined at {by_name[name]} too"
        by_value.setdefault(value, f"{name} at {place}")
        by_name.setdefault(name, place)


if __name__ == "__main__":
    sys.exit(tree.report(complaints()))
