#!/usr/bin/env python3
"""A server takes in sets of random records (labels, attributes, JSON, logfmt, text, half of them odd), of each a part compacted,
one in a segment and one in memory, and is asked random queries of every kind.

server: answers each as tests/reference/logql.py does, a slow evaluator made from the language's specification alone; what
        that refuses is refused with 400.
"""
# timeout: 300
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import differential  # noqa: E402
import lib  # noqa: E402


def story():
    assert differential.main(seeds=range(1, 9), queries=60) == 0


if __name__ == "__main__":
    lib.main(story)
