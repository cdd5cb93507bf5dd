#!/usr/bin/env python3
"""A server takes in sets of random records (labels, attributes, JSON, logfmt, text, half of them odd), of each a part compacted,
one in a segment and one in memory, and is asked random queries of every kind.

server: answers each as tests/reference/logql.py does, a slow evaluator made from the language's specification alone; what
        that refuses is refused with 400.  Lines of the same time come in the order taken in, or all the other way round, in
        each stream of Loki's form and over all streams in an export.
"""
# timeout: 300
import pathlib
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "reference"))
import differential  # noqa: E402
import lib  # noqa: E402


EQUAL_TIMES = 1625939024  # query 46: of two lines of the same time one could not be read, so they are of two streams; backward


def story():
    assert differential.dealt("abcb", ["bb", "ac"]) and not differential.dealt("abcb", ["bb", "ca"]) and not differential.dealt("abc", ["ab"])
    assert differential.main(seeds=[*range(1, 9), EQUAL_TIMES], queries=60) == 0


if __name__ == "__main__":
    lib.main(story)
