#!/usr/bin/env python3
"""Which shared libraries the programs need (readelf), against the list of docs/architecture.md's homes: a collector that
suddenly drags in a regex engine or SQLite fails here.  usage: check_links.py BIN_DIR"""
import pathlib
import re
import subprocess
import sys

EVERYWHERE = r"libc|libm|libpthread|libgcc_s|ld-linux-x86-64|libasan|libubsan|libtsan"
COLLECTOR = r"libuv|libssl|libcrypto|libzstd|libz|libmsgpackc|libyaml-0"
ALLOWED = {
    "logq-collector": COLLECTOR,
    "logq-server": COLLECTOR + r"|libsqlite3|libre2|libstdc\+\+|libcurl|libsnappy|libwslay",
    "logq": COLLECTOR + r"|libsqlite3|libre2|libstdc\+\+|libjansson",
}


def needed(path):
    text = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
    return re.findall(r"\(NEEDED\).*\[([^\]]+)\]", text)


def main():
    bad = 0
    for program, allowed in ALLOWED.items():
        path = pathlib.Path(sys.argv[1]) / program
        libraries = needed(path)
        assert libraries, f"{path}: no dynamic section"
        for library in libraries:
            if not re.fullmatch(rf"({EVERYWHERE}|{allowed})\.so[.0-9]*", library):
                print(f"{path} needs {library}, which is not its library")
                bad = 1
    return bad


if __name__ == "__main__":
    sys.exit(main())
