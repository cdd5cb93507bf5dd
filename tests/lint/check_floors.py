#!/usr/bin/env python3
"""Fail if an #include climbs the building, peeks into another room, or drags a library out of its home.

The floors are a fact about the project, so they live here and nowhere else; docs/architecture.md
only explains them.  Run from the repository root.
"""
import pathlib
import re
import sys

import tree

MAY_USE = {  # folder -> folders whose doors it may open (its own is always allowed)
    "base": set(),
    "wire": {"base"},
    "storage": {"base"},
    "query": {"base", "storage"},
    "query/cli": {"base", "wire", "storage", "query"},
    "collector": {"base", "wire"},
    "server": {"base", "wire", "storage", "query"},
}
DOORS = {  # folder -> headers others may include; a folder not named here opens all of its headers
    "storage": {"store.h", "scan.h", "verify.h", "backup.h", "keyring.h", "objstore.h"},
    "query": {"query.h", "format.h", "detect.h", "tmpl.h"},
    "query/cli": set(),
    "collector": set(),
    "server": set(),
}
HOME = [  # third-party header, its home: folders, or single files.  The first that fits counts.
    (r"uv\.h|uv/.*", {"wire", "collector", "server", "query/cli"}),
    (r"openssl/ssl\.h", {"wire"}),
    (r"openssl/.*", {"wire", "storage", "server"}),
    (r"msgpack.*", {"wire"}),
    (r"(llhttp/)?llhttp\.h", {"wire"}),
    (r"zlib\.h", {"wire"}),
    (r"zstd.*\.h|zdict\.h", {"wire", "storage"}),
    (r"sqlite3.*\.h", {"storage"}),
    (r"yaml\.h|xxhash\.h|xxh3\.h", {"base"}),
    (r"re2/.*|hs/.*|hs.*\.h", {"base/regexp_re2.cc"}),
    (r"systemd/.*", {"collector/module/journal_module.c"}),
    (r"curl/.*", {"server"}),
    (r"argon2\.h|wslay/.*|snappy.*\.h", {"server"}),
    (r"jansson.*\.h", {"server", "query/cli"}),
]
MAY_LOG = {"collector", "server", "query/cli"}  # libraries return errors, programs log them
MAY_CPP = {"base/regexp_re2.cc"}  # the one C++ file
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]+(?:"([^"]+)"|<([^>]+)>)', re.M)


def folder(path):
    """The room of a file: where the tree has its floors."""
    parts = path.split("/")
    return "query/cli" if parts[:2] == ["query", "cli"] and len(parts) > 2 else parts[0]


def library_complaints(path, name):
    here = folder(path)
    for pattern, homes in HOME:
        if re.fullmatch(pattern, name):
            if not {here, path} & homes:
                yield f"<{name}> lives in {', '.join(sorted(homes))}"
            return


def local_complaints(path, name):
    here, there = folder(path), folder(name)
    if "/" not in name or ".." in name.split("/"):
        yield f'"{name}": write includes from the root'
        return
    if not pathlib.Path(name).is_file():
        yield f'"{name}": there is no such file'
    if name == "base/log.h" and here not in MAY_LOG | {"base"}:
        yield '"base/log.h": libraries do not log, they return an error'
    if there == here:
        return
    if there not in MAY_USE[here]:
        yield f'"{name}": {here}/ may not use {there}/'
    elif there in DOORS and name[len(there) + 1 :] not in DOORS[there]:
        yield f'"{name}" is not a door of {there}/'


def order_complaints(path, includes):
    own = str(pathlib.Path(path).with_suffix(".h"))
    if own == path or not pathlib.Path(own).is_file():
        return
    if not includes or includes[0][0] != own:
        yield f'"{own}" must be the first include'


def complaints(path):
    """What is wrong with the includes of one file of the building."""
    text = pathlib.Path(path).read_text(errors="replace")
    includes = INCLUDE.findall(text)
    for local, system in includes:
        yield from library_complaints(path, system) if system else local_complaints(path, local)
    yield from order_complaints(path, includes)
    if not path.endswith((".c", ".h")) and path not in MAY_CPP:
        yield "C++ is spoken in " + ", ".join(sorted(MAY_CPP)) + " only"


def main():
    tops = sorted({name.split("/")[0] for name in MAY_USE})
    files = tree.sources({".c", ".h", ".cc", ".cpp", ".cxx", ".hpp", ".hh"}, tops)
    return tree.report(f"{p}: {what}" for p in files for what in complaints(p.as_posix()))


if __name__ == "__main__":
    sys.exit(main())
