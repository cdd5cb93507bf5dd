#!/usr/bin/env python3
"""Fail if a header does not compile alone, as C11, even when it is included twice.

Two at a time, as the machines that run this have two processors.
"""
import concurrent.futures
import os
import re
import subprocess
import sys

import tree

PACKAGES = ["libuv", "libssl", "libcrypto", "libzstd", "zlib", "sqlite3", "msgpack", "yaml-0.1",
            "libxxhash", "jansson", "libcurl", "cmocka"]
FLAGS = ["-std=c11", "-D_GNU_SOURCE", "-I.", "-Wall", "-Wextra", "-Wstrict-prototypes", "-Werror",
         "-fsyntax-only", "-isystem", "/usr/share/include", "-isystem", "/usr/share/include/llhttp"]


def package_flags():
    """-I of the libraries; headers that need one that is missing fail to compile, and say so."""
    flags = []
    for package in PACKAGES:
        out = subprocess.run(["pkg-config", "--cflags", package], capture_output=True, text=True)
        flags += [f for f in out.stdout.split() if f.startswith("-I")]
    return [part for flag in dict.fromkeys(flags) for part in ("-isystem", flag[2:])]


def guard(path):
    return "LOGQ_" + re.sub(r"[^A-Z0-9]", "_", path.as_posix().upper())


def check(path, flags):
    """What is wrong with one header; "" if nothing."""
    name = guard(path)
    text = path.read_text(errors="replace")
    if f"#ifndef {name}\n#define {name}\n" not in text:
        return f"{path}: the include guard must be {name}"
    unit = f'#include "{path.as_posix()}"\n' * 2
    run = subprocess.run([os.environ.get("CC", "gcc"), *FLAGS, *flags, "-x", "c", "-"], input=unit,
                         capture_output=True, text=True)
    return "" if run.returncode == 0 else f"{path}: does not compile alone\n{run.stderr.rstrip()}"


def main():
    flags = package_flags()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        results = pool.map(lambda path: check(path, flags), tree.sources({".h"}))
        return tree.report(filter(None, results))


if __name__ == "__main__":
    sys.exit(main())
