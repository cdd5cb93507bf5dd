#!/usr/bin/env python3
"""The tables of options in docs/collector.md are made from collector/config.c; fail when they are not what it says.
--write makes them."""
import pathlib
import re
import sys

CODE = pathlib.Path("collector/config.c")
RELOAD = pathlib.Path("collector/collector.c")
DOC = pathlib.Path("docs/collector.md")
BEGIN, END = "<!-- options: check_options.py --write -->\n", "<!-- end of options -->\n"
TABLES = (("OPTIONS", "", "**Of all.**"), ("SOURCE", "inputs[].", "**Of an input.**"),
          ("RULES", "rules[].", "**Of a rule.**"), ("PATTERN", "redact.patterns[].", "**Of a pattern.**"))
TEXT = re.compile(r'"((?:[^"\\]|\\.)*)"')


def words(code, names):
    """The value of a string expression: literals and names of literals, one after the other."""
    return "".join(names.get(m.group(2), m.group(1) or "") for m in re.finditer(r'"((?:[^"\\]|\\.)*)"|(\w+)', code)).replace("\\\"", '"')


def options(table):
    code = CODE.read_text()
    names = dict(re.findall(r'#define (\w+) "([^"]*)"', code))
    found = re.search(r"conf_option %s\[\] = \{\n(.*?)\n\};" % table, code, re.S)
    if found is None:
        sys.exit(f"{CODE}: no table {table}")
    for option in re.split(r"\n    \{(?=\.path)", "\n" + found.group(1))[1:]:
        fields = dict(re.findall(r'\.(\w+) = ((?:[A-Z_]*\s*"(?:[^"\\]|\\.)*"\s*)+)', option))
        of = "listen" if "IN(forward." in option else words(fields["path"], {})  # what a reload calls it
        yield words(fields["path"], {}), of, words(fields["fallback"], names) if "fallback" in fields else None, words(fields["help"], {})


def cell(text):
    return text.replace("|", "\\|").replace("<", "&lt;")


def document():
    restart = set(re.findall(r'name_option\(&names, .*?"([a-z_.]+)"\);', RELOAD.read_text())) | {"server.address", "servers"}
    out = [BEGIN]
    for table, prefix, title in TABLES:
        out += ["\n" + title + "\n\n", "| option | default | |\n", "|---|---|---|\n"]
        for path, of, fallback, text in options(table):
            default = "needed" if fallback is None else f"`{fallback}`" if fallback else ""
            needs = " (restart)" if (prefix.split("[")[0] + "." if prefix else "") + of in restart else ""
            out.append(f"| `{prefix}{path}` | {default} | {cell(text)}{needs} |\n")
    return "".join(out) + "\n" + END


if __name__ == "__main__":
    have = DOC.read_text()
    begin, end = have.find(BEGIN), have.find(END)
    if begin < 0 or end < begin:
        sys.exit(f"{DOC}: no place for the options")
    want = have[:begin] + document() + have[end + len(END):]
    if "--write" in sys.argv:
        DOC.write_text(want)
    elif have != want:
        sys.exit("docs/collector.md does not say what config.c does: python3 tests/lint/check_options.py --write")
