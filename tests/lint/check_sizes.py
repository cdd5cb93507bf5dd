#!/usr/bin/env python3
"""Fail if a file has more than 900 lines, or a function more than 100 lines.

The scanner knows just enough C to find function bodies: it blanks out comments, literals and
preprocessor lines, then counts braces.  Where they do not balance, because both halves of an #if open
the same one, it looks again without the second halves.
"""
import re
import sys

import tree

FILE_LINES, FUNCTION_LINES = 900, 100
TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.S)
ATTRIBUTE = re.compile(r"__attribute__\s*\(\(.*?\)\)(?!\))|PRINTF_LIKE\([^()]*\)", re.S)
QUALIFIER = re.compile(r"(\)\s*)(?:const|noexcept|override|final)\b")
OPEN_ROOM = re.compile(r'(?:extern\s*""|\b(?:namespace|class|struct|union)\b[^;={}()]*)\s*$')


def blank(match):
    """The same number of lines, but nothing that could be taken for code."""
    text = match.group(0)
    if text[0] in "\"'":
        return text[0] * 2 + "\n" * text.count("\n")
    return " " + "\n" * text.count("\n")


def code_lines(text, skip_else):
    """The lines of `text` without comments, literals, preprocessor lines, and #else parts if so told."""
    skipping, in_directive = [], False
    for line in TOKEN.sub(blank, text).split("\n"):
        word = re.match(r"\s*#\s*(\w*)", line)
        if word and not in_directive:
            if word.group(1).startswith("if"):
                skipping.append(False)
            elif word.group(1) in ("else", "elif") and skipping:
                skipping[-1] = True
            elif word.group(1) == "endif" and skipping:
                skipping.pop()
        directive = in_directive or bool(word)
        in_directive = directive and line.endswith("\\")
        yield "" if directive or (skip_else and any(skipping)) else line


def is_function(head):
    """Does the text before a brace at the top level end in a parameter list?"""
    return "=" not in head and head.endswith(")") and re.search(r"\w\s*\(", head) is not None


def scan(text, skip_else):
    """(name, first line, lines) of each function; None at the end if braces are odd."""
    depth, head, first, found = 0, "", 0, None
    rooms = 0  # open namespaces, classes, extern "C": their inside counts as the top level
    for number, line in enumerate(code_lines(text, skip_else), 1):
        for char in line + "\n":
            if depth == 0 and char not in "{};":
                if not head.strip():
                    first = number
                head += char
                continue
            if char == "{":
                if depth == 0 and OPEN_ROOM.search(head):
                    rooms += 1
                else:
                    if depth == 0:
                        clean = QUALIFIER.sub(r"\1", ATTRIBUTE.sub(" ", head)).strip()
                        found = (clean, first) if is_function(clean) else None
                    depth += 1
            elif char == "}" and depth == 0:
                rooms -= 1
            elif char == "}":
                depth -= 1
                if depth == 0 and found:
                    name = re.search(r"(\w+)\s*\(", found[0]).group(1)
                    yield name, found[1], number - found[1] + 1
            if depth == 0:
                head = ""
    if depth != 0 or rooms != 0:
        yield None


def functions(text):
    found = list(scan(text, skip_else=False))
    return found if None not in found else list(scan(text, skip_else=True))


def complaints(path):
    text = path.read_text(errors="replace")
    lines = text.count("\n")
    if lines > FILE_LINES:
        yield f"{path}: {lines} lines, at most {FILE_LINES}"
    if path.suffix == ".py":
        return
    for function in functions(text):
        if function is None:
            yield f"{path}: braces do not balance, cannot measure its functions"
            continue
        name, first, size = function
        if size > FUNCTION_LINES:
            yield f"{path}:{first}: {name} has {size} lines, at most {FUNCTION_LINES}"


def main():
    files = tree.sources({".c", ".h", ".cc", ".cpp", ".py"})
    return tree.report(what for path in files for what in complaints(path))


if __name__ == "__main__":
    sys.exit(main())
