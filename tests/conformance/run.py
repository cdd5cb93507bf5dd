#!/usr/bin/env python3
"""Recorded cases of the language against a server of our own.

usage: run.py DIR

DIR holds the cases and their runner, run_logql.py, which pushes data and queries it back; neither is part of this
project.  known.json beside this file names the cases in which we differ on purpose, each with its reason.  The run
fails when any other case fails, and when a known one passes: then its entry is out of date.
"""
import json
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "e2e"))
sys.dont_write_bytecode = True
import lib  # noqa: E402


def known_cases():
    """{case: reason}: ids, queries or sources, as the cases have them."""
    entries = json.loads((HERE / "known.json").read_text())
    return {case: entry["reason"] for entry in entries for case in entry["cases"]}


def run(directory, known, work):
    """All results of the cases, and what the runner said."""
    names = work / "known.json"
    results = work / "results.json"
    names.write_text(json.dumps(sorted(known)))
    server = lib.Server(work / "server", dev=True).init()
    server.start()
    try:
        address = lib.wait_for("the server listens", server.addresses)["https"][0]
        argv = [sys.executable, "-B", directory / "run_logql.py", "http://" + address]
        argv += ["--known", names, "--json", results, "--strict-status"]
        subprocess.run([str(a) for a in argv], check=False)
    finally:
        server.discard()
    return json.loads(results.read_text())


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    known = known_cases()
    with lib.workspace() as work:
        results = run(pathlib.Path(sys.argv[1]), known, work)
    failed = [r for r in results if r["result"] == "fail"]
    missed = set(known) - {r[key] for r in results if r["result"] == "known" for key in ("id", "query", "source")}
    for case in sorted(missed):
        print(f"known to differ, but does not (or is no case): {case}")
    print(f"{len(results)} cases, {len(failed)} failed, {len(known) - len(missed)} known to differ")
    sys.exit(1 if failed or missed or not results else 0)


if __name__ == "__main__":
    main()
