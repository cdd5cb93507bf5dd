#!/usr/bin/env python3
"""A server takes some hundred random lines of six streams in, half of them flushed to segments, and is asked 400 random
queries: selectors, filters, parsers and formatters of lines, range and vector aggregations, operators.

server: answers each as tests/conformance/reference.py does, which evaluates the language by the book; what the
        reference refuses (a failed line in a metric query, series that cannot be paired) it refuses with 400.
"""
# timeout: 300
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "conformance"))
sys.dont_write_bytecode = True
import differ  # noqa: E402

if __name__ == "__main__":
    differ.main(400)
