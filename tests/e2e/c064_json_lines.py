#!/usr/bin/env python3
# label: story
"""A program writes JSON lines, another wants its message to be the line, and the log of the first has lines that are none.  The
records have the times and levels that the lines say, the members of the second are attributes, and what is no JSON is there
as it was written and marked.  The collector is killed in the midst; each line is there once."""
import json
import os
import time

from lib import main, seed, stage, stamp, wait_count

LINES = 2_000
INPUTS = """  - {type: json, paths: ['@/logs/a.json'], labels: {app: a}}
  - type: json
    paths: ['@/logs/b.json']
    labels: {app: b}
    time_key: meta.at
    level_key: sev
    message_key: msg
"""
BEGIN = 1_000_000_000  # ns between two lines


def run():
    rnd = seed()
    with stage(INPUTS) as s:
        first = time.time_ns() // 10**9 * 10**9 - (LINES + 10) * BEGIN
        os.makedirs(s.work / "logs")
        a = open(s.work / "logs/a.json", "wb", buffering=0)
        b = open(s.work / "logs/b.json", "wb", buffering=0)
        s.collector.start()
        lines, bad, messages = {}, [], {}
        for n in range(LINES):
            at = first + n * BEGIN
            if n % 10 == 9:
                text = f"no JSON {n} {{"
                bad.append(text)
            else:
                text = json.dumps({"ts": at / 1e9, "n": n, "text": "x" * rnd.randrange(200)})
                lines[text] = stamp(at)
            a.write(text.encode() + b"\n")
            at += 500_000_000
            messages[f'message {n} "\n'] = stamp(at)
            b.write(json.dumps({"meta": {"at": at, "who": f"w{n}"}, "sev": "warn", "msg": f'message {n} "\n'}).encode() + b"\n")
            if n in (LINES // 3, LINES // 2):
                s.collector.kill()
                s.collector.start(configure=False)
        wait_count(s.server, '{source="file"}', 2 * LINES)
        got = s.server.entries('{app="a"}')
        good = [e for e in got if e["attributes"].get("undecoded") != "true"]
        assert {e["line"]: e["ts"] for e in good} == lines and len(good) == len(lines)
        assert sorted(e["line"] for e in got if e["attributes"].get("undecoded") == "true") == sorted(bad)
        got = s.server.entries('{app="b"}')
        assert {e["line"]: e["ts"] for e in got} == messages and len(got) == LINES
        for e in got:
            n = e["line"].split()[1]
            assert e["attributes"]["meta_who"] == f"w{n}" and e["attributes"]["level"] == "warn", e
        s.collector.stop()
        s.server.stop()


main(run)
