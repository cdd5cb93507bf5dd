#!/usr/bin/env python3
"""docs/logql.md names every word of the language and of its templates, every limit as it is, and no other."""
import pathlib
import re
import sys

from tree import report

DOC = pathlib.Path("docs/logql.md")
SPAN = re.compile(r"`((?:[^`\\]|\\.)+)`")
WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*$")


def read(path):
    return pathlib.Path(path).read_text()


def section(text, title):
    """What stands below a heading, up to the next one."""
    return re.search(rf"^## {re.escape(title)}\n(.*?)(?=^## |\Z)", text, re.S | re.M).group(1)


def words_of(text):
    """The words that are written as code; `sum avg _over_time` are sum_over_time and avg_over_time."""
    for span in SPAN.findall(text):
        words = [re.split(r"[(=]", word)[0].rstrip(",") for word in span.split()]
        if len(words) > 1 and words[-1].startswith("_") and not words[-1].startswith("__"):
            words = [word + words[-1] for word in words[:-1]]
        yield from (word for word in words if word)


def language(doc):
    """Words of the grammar: those of lex.h, and those that the parsers know by themselves."""
    lex = read("query/lex.h")
    known = set()
    for table in re.findall(r"#define LEX_(?:KEYWORDS|RANGE_OPS|VECTOR_OPS|OTHER_FUNCTIONS)\(X\)(.*?)\n(?=\n|#|/\*)", lex, re.S):
        known |= set(re.findall(r'X\(\w+, "(\w+)"\)', table))
    said = set(words_of(section(doc, "What works"))) | set(words_of(section(doc, "Addresses")))
    extensions = set(words_of(section(doc, "Extensions")))
    for word in sorted(known - said - extensions):
        yield f"{DOC}: {word} of query/lex.h is missing"
    for word in sorted(said - known):
        if WORD.match(word) and len(word) > 1:
            yield f"{DOC}: {word} is no word of query/lex.h"


def templates(doc):
    """Functions and methods of templates."""
    functions, methods = set(), set()
    for path in ("query/tmpl_builtin.c", "query/tmpl_logql.c"):
        functions |= set(re.findall(r'^    \{"(\w+)", "[a-z*]*", \w+\},$', read(path), re.M))
    methods = set(re.findall(r'\{"(\w+)", "[a-z*]*", m_\w+\}', read("query/tmpl_time.c") + read("query/tmpl_duration.c")))
    table = "\n".join(line for line in section(doc, "Templates").splitlines() if line.startswith("|"))
    said = set(words_of(table))
    for word in sorted(functions - said):
        yield f"{DOC}: function {word} of templates is missing"
    for word in sorted(methods - {word[1:] for word in said if word.startswith(".")}):
        yield f"{DOC}: method .{word} of times is missing"
    for word in sorted(said):
        if word.startswith(".") and word[1:] not in methods:
            yield f"{DOC}: there is no method {word}"
        if WORD.match(word) and not word.isupper() and word not in functions:
            yield f"{DOC}: there is no function {word}"


def number(path, name):
    """The value of an enum's constant, as the document writes it."""
    value = re.search(rf"\b{name} = (\d+)( << \d+)?", read(path))
    return eval(value.group(0).split("=")[1])  # digits and a shift, as matched above


def limits(doc):
    """Defaults of the table of limits, and the settings that the document names."""
    table = section(doc, "Limits")
    for path, name, form in (("query/exec.c", "DEFAULT_TIME_S", "| time | {} s |"),
                             ("query/exec.c", "DEFAULT_MEMORY", "| memory of one query | {} MiB |"),
                             ("query/exec.c", "DEFAULT_SERIES", "| series in the result | {} |"),
                             ("query/exec.c", "DEFAULT_POINTS", "| points, (end - start) / step | {:,} |"),
                             ("query/query.h", "QUERY_TEXT_MAX", "| text of a query | {:,} bytes |"),
                             ("query/query.h", "QUERY_DEPTH_MAX", "| nesting, and operators in a row | {} |")):
        value = number(path, name)
        row = form.format(value >> 20 if "MiB" in form else value)
        if row not in table:
            yield f"{DOC}: {name} of {path} is not as in '{row}'"
    settings = set(re.findall(r'\.path = "(query\.\w+)"', read("server/server_conf.c")))
    for word in sorted(set(words_of(doc))):
        if re.match(r"query\.\w+$", word) and word not in settings:
            yield f"{DOC}: {word} is no setting of the server"


def main():
    doc = read(DOC)
    return report([*language(doc), *templates(doc), *limits(doc)])


if __name__ == "__main__":
    sys.exit(main())
