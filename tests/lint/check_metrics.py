#!/usr/bin/env python3
"""docs/metrics.md is made from the two metrics.def files; fail when it is not what they say.  --write makes it."""
import pathlib
import re
import sys

DOC = pathlib.Path("docs/metrics.md")
ROW = re.compile(r'^X\(\s*(\w+),\s*(\w+),\s*"([^"]+)",\s*"((?:[^"\\]|\\.)*)",\s*((?:"(?:[^"\\]|\\.)*"\s*)+)\)', re.M)


def rows(path):
    text = pathlib.Path(path).read_text()
    for ident, kind, name, labels, meaning in ROW.findall(text):
        words = "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', meaning)).replace('\\"', '"')
        yield name, labels.replace('\\"', '"'), kind.lower(), words
    if len(ROW.findall(text)) != len(re.findall(r"^X\(", text, re.M)):
        sys.exit(f"{path}: a row that this script cannot read")


def document():
    out = ["# Metrics", "", "Made from `server/metrics.def` and `collector/metrics.def` by `tests/lint/check_metrics.py --write`.", ""]
    for title, path in (("logq-server (`/metrics`)", "server/metrics.def"), ("logq-collector (`metrics.listen`)", "collector/metrics.def")):
        out += [f"## {title}", "", "| name | labels | type | meaning |", "|---|---|---|---|"]
        out += [f"| `{name}` | {('`' + labels + '`') if labels else ''} | {kind} | {meaning} |" for name, labels, kind, meaning in rows(path)]
        out.append("")
    return "\n".join(out)


if __name__ == "__main__":
    want = document()
    if "--write" in sys.argv:
        DOC.write_text(want)
    elif not DOC.exists() or DOC.read_text() != want:
        sys.exit("docs/metrics.md is not what metrics.def says: python3 tests/lint/check_metrics.py --write")
