#!/usr/bin/env python3
"""docs/api.md names every route of server/api.c with its parameters, and no other."""
import pathlib
import re
import sys

SOURCE = pathlib.Path("server/api.c")
DOC = pathlib.Path("docs/api.md")
SPAN = re.compile(r"`([^`]*)`")


def routes():
    """(path with * as NAME, methods, parameters or None) of each row of the table."""
    text = SOURCE.read_text()
    words = dict(re.findall(r'^#define (\w+)\s+"([^"]*)"', text, re.M))
    table = re.search(r"ROUTES\[\] = \{(.*?)\n\};", text, re.S).group(1)
    for row in re.findall(r"\{(\s*\"/.*?)\},\n", table + "\n", re.S):
        parts = re.findall(r'"([^"]*)"', row)
        params = None if row.rstrip().endswith("NULL") else " ".join(
            words.get(name, "") if name else text for name, text in re.findall(r'\b([A-Z]{3,})\b(?= ")|"([^"]*)"', row.split("api_", 1)[1]))
        yield parts[0], parts[1].split(", "), params


def documented():
    """Each path that a table or sentence of the document names in code, with the row it stands in."""
    found = {}
    for line in DOC.read_text().splitlines():
        for code in SPAN.findall(line):
            for word in code.split():
                path = word.split("?")[0].rstrip(",")
                if path.startswith("/") and not path.startswith("/...") and "DIR" not in path:
                    found.setdefault(re.sub(r"\b(NAME|NS|GROUP)\b", "*", path), []).append(line)
    return found


def main():
    bad = []
    known = documented()
    mine = list(routes())
    if len(mine) != len(re.findall(r'^    \{"/', SOURCE.read_text(), re.M)) or not mine:
        bad.append(f"{SOURCE}: a row that this script cannot read")
    for path, methods, params in mine:
        lines = known.get(path)
        if not lines:
            bad.append(f"{DOC}: {path} is missing")
            continue
        for name in (params or "").split():
            if not any(re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", line) for line in lines):
                bad.append(f"{DOC}: {path}: parameter {name} is not named")
    paths = {path for path, _, _ in mine}
    bad += [f"{DOC}: {path} is no route of {SOURCE}" for path in known if path not in paths]
    print("\n".join(bad) if bad else f"{len(mine)} routes")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
