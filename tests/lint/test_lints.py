#!/usr/bin/env python3
"""The lints can fail: each is run on small trees with one thing wrong, and on one with nothing wrong."""
import os
import pathlib
import subprocess
import sys
import tempfile
import unittest

HERE = pathlib.Path(__file__).resolve().parent
GUARDED = "#ifndef LOGQ_{0}\n#define LOGQ_{0}\n{1}\n#endif\n"
GOOD = {
    "base/a.h": GUARDED.format("BASE_A_H", "int a_add(int x);"),
    "base/a.c": '#include "base/a.h"\n\n#include <yaml.h>\n\nint a_add(int x)\n{\n    return x;\n}\n',
    "base/log.h": GUARDED.format("BASE_LOG_H", ""),
    "storage/scan.h": GUARDED.format("STORAGE_SCAN_H", '#include "base/a.h"'),
    "storage/wal.h": GUARDED.format("STORAGE_WAL_H", "#define WAL_MAGIC 0x12345678u"),
    "wire/loop.h": GUARDED.format("WIRE_LOOP_H", "#define LOOP_MAGIC UINT64_C(0x9abcdef0)"),
    "server/main.c": '#include "base/log.h"\n#include "storage/scan.h"\n#include "wire/loop.h"\n',
    "query/cli/main.c": '#include "base/log.h"\n#include <jansson.h>\n#include <uv.h>\n',
}


def run(lint, files):
    """(exit code, output) of the lint on a tree of `files`."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            path = pathlib.Path(folder, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        done = subprocess.run([sys.executable, HERE / f"check_{lint}.py"], cwd=folder,
                              capture_output=True, text=True,
                              env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
        return done.returncode, done.stdout + done.stderr


class Lints(unittest.TestCase):
    def says(self, lint, files, *words):
        code, out = run(lint, {**GOOD, **files})
        self.assertEqual(code, 1, out)
        for word in words:
            self.assertIn(word, out)
        self.assertEqual(len(out.splitlines()) if lint != "headers" else 1, 1, out)

    def test_a_clean_tree_passes_all(self):
        for lint in ("floors", "magic", "headers", "sizes"):
            self.assertEqual(run(lint, GOOD), (0, ""), lint)

    def test_floors_finds_a_climb(self):
        self.says("floors", {"base/b.c": '#include "wire/loop.h"\n'}, "base/b.c", "may not use wire/")
        self.says("floors", {"wire/b.h": '#include "storage/scan.h"\n'}, "may not use storage/")
        self.says("floors", {"query/cli/b.h": "", "server/b.c": '#include "query/cli/b.h"\n'},
                  "may not use query/cli/")

    def test_floors_finds_a_closed_door(self):
        self.says("floors", {"server/b.c": '#include "storage/wal.h"\n'}, "is not a door of storage/")
        self.says("floors", {"query/exec.h": "", "query/cli/b.c": '#include "query/exec.h"\n'},
                  "is not a door of query/")

    def test_floors_finds_a_library_out_of_its_home(self):
        for home, include in (("query", "uv.h"), ("server", "openssl/ssl.h"), ("query", "openssl/evp.h"),
                              ("storage", "msgpack.h"), ("server", "llhttp.h"), ("storage", "zlib.h"),
                              ("query", "zstd.h"), ("server", "sqlite3.h"), ("server", "yaml.h"),
                              ("wire", "xxhash.h"), ("base", "re2/re2.h"), ("wire", "curl/curl.h"),
                              ("collector", "jansson.h"), ("wire", "wslay/wslay.h")):
            self.says("floors", {f"{home}/b.c": f"#include <{include}>\n"}, f"<{include}> lives in")

    def test_floors_finds_a_library_that_logs(self):
        self.says("floors", {"wire/b.c": '#  include "base/log.h"\n'}, "libraries do not log")

    def test_floors_finds_includes_that_are_not_from_the_root(self):
        self.says("floors", {"wire/b.c": '#include "loop.h"\n'}, "from the root")
        self.says("floors", {"wire/b.c": '#include "wire/nothing.h"\n'}, "there is no such file")
        self.says("floors", {"base/a.c": '#include <stdio.h>\n#include "base/a.h"\n'}, "first include")

    def test_floors_reads_cpp_too(self):
        self.says("floors", {"base/regexp_re2.cc": "#include <uv.h>\n"}, "<uv.h> lives in")
        self.says("floors", {"wire/b.cpp": ""}, "C++ is spoken in")
        self.assertEqual(run("floors", {**GOOD, "base/regexp_re2.cc": "#include <re2/re2.h>\n"}), (0, ""))

    def test_magic_finds_a_value_used_twice(self):
        self.says("magic", {"server/b.c": "#define B_MAGIC 0x12345678\n"}, "storage/wal.h:3: WAL_MAGIC",
                  "value of B_MAGIC at server/b.c:1")
        self.says("magic", {"wire/z.cc": "\n#define B_MAGIC 0x9ABCDEF0u\n"}, "wire/z.cc:2: B_MAGIC",
                  "value of LOOP_MAGIC")

    def test_magic_finds_a_name_used_twice(self):
        self.says("magic", {"server/b.c": "#define LOOP_MAGIC 0x1u\n"}, "is defined at server/b.c:1 too")

    def test_magic_finds_what_is_no_number(self):
        self.says("magic", {"server/b.c": "#define B_MAGIC 7\n"}, "not a number in hexadecimal")
        self.says("magic", {"server/b.c": "#define B_MAGIC 0x0\n"}, "is 0")

    def test_headers_finds_what_does_not_compile_alone(self):
        self.says("headers", {"base/b.h": GUARDED.format("BASE_B_H", "size_t b_count(void);")},
                  "base/b.h: does not compile alone", "size_t")
        self.says("headers", {"base/b.h": GUARDED.format("BASE_B_H", "class b;")}, "base/b.h: does not")
        self.says("headers", {"base/b.h": GUARDED.format("BASE_B_H", "void b_f(struct c *c);")}, "struct c")

    def test_headers_finds_a_wrong_guard(self):
        self.says("headers", {"base/b.h": GUARDED.format("BASE_C_H", "")}, "must be LOGQ_BASE_B_H")
        self.says("headers", {"base/b.h": "struct b {\n    int x;\n};\n"}, "must be LOGQ_BASE_B_H")

    def test_sizes_finds_a_long_file(self):
        self.assertEqual(run("sizes", {**GOOD, "base/b.c": "\n" * 900}), (0, ""))
        for name in ("base/b.c", "wire/b.h", "base/b.cc", "scripts/b.py"):
            self.says("sizes", {name: "\n" * 901}, f"{name}: 901 lines")

    def test_sizes_finds_a_long_function(self):
        body = "    x++;\n" * 97
        fits = "int f(int x)\n{\n" + body + "}\n"
        long = "static int f(int x,\n             int y)\n{\n" + body + "}\n"
        tricks = 'static const char *A[] = {"}", "{"}; /* { */\n#define M(x) \\\n    { x\n// {\n'
        self.assertEqual(fits.count("\n"), 100)
        self.assertEqual(run("sizes", {**GOOD, "base/b.c": tricks + fits}), (0, ""))
        self.says("sizes", {"base/b.c": tricks + "struct s {\n    char c;\n};\n\n" + long},
                  "base/b.c:9: f has 101 lines")
        self.says("sizes", {"base/b.cc": 'namespace\n{\nextern "C" {\n' + long + "}\n}\n"}, "f has 101 lines")
        self.says("sizes", {"base/b.c": "#if A\nint g(void)\n{\n#else\nint g(int x)\n{\n#endif\n}\n" + long},
                  "base/b.c:9: f has 101 lines")

    def test_routes_holds_the_document_against_the_table(self):
        table = ('#define SPAN "start end "\n\nstatic const struct route ROUTES[] = {\n'
                 '    {"/ready", "GET, HEAD", ACCESS_OPEN, api_ready, NULL},\n'
                 '    {"/a/*/values", "GET", ACCESS_READ, api_values,\n     SPAN "query"},\n};\n')
        page = "`/ready`: yes\n| `/a/NAME/values` | query, start, end |\n"
        self.assertEqual(run("routes", {"server/api.c": table, "docs/api.md": page}), (0, "2 routes\n"))
        self.says("routes", {"server/api.c": table, "docs/api.md": page.replace("`/ready`", "ready")},
                  "/ready is missing")
        self.says("routes", {"server/api.c": table, "docs/api.md": page.replace("start, ", "")},
                  "/a/*/values: parameter start is not named")
        self.says("routes", {"server/api.c": table, "docs/api.md": page + "`GET /b`\n"}, "/b is no route")
        self.says("routes", {"server/api.c": table.replace('"/ready"', 'READY'), "docs/api.md": page},
                  "/ready is no route")

    def test_language_holds_the_document_against_the_code(self):
        empty = "#define LEX_{}(X)\n\n"
        files = {"query/lex.h": '#define LEX_KEYWORDS(X) \\\n    X(BY, "by")\n\n#define LEX_RANGE_OPS(X) \\\n    X(S, "sum_over_time")\n\n'
                                + empty.format("VECTOR_OPS") + empty.format("OTHER_FUNCTIONS"),
                 "query/tmpl_builtin.c": '    {"len", "a", fn_len},\n', "query/tmpl_logql.c": '    {"trunc", "is", tmpl_fn_trunc},\n',
                 "query/tmpl_time.c": '        {"Unix", "t", m_unix},\n',
                 "query/tmpl_duration.c": '',
                 "query/exec.c": "DEFAULT_TIME_S = 60, DEFAULT_MEMORY = 128 << 20, DEFAULT_SERIES = 500, DEFAULT_POINTS = 11000",
                 "query/query.h": "QUERY_TEXT_MAX = 131071, QUERY_DEPTH_MAX = 100", "server/server_conf.c": '{.path = "query.time",\n'}
        page = ("## What works\n`by`, `sum _over_time`\n\n## Addresses\n\n## Templates\n| `len trunc N` | `.Unix` |\n\n## Limits\n| time | 60 s |\n"
                "| memory of one query | 128 MiB |\n| series in the result | 500 |\n| points, (end - start) / step | 11,000 |\n"
                "| text of a query | 131,071 bytes |\n| nesting, and operators in a row | 100 |\n`query.time`\n\n## Extensions\n")
        self.assertEqual(run("language", {**files, "docs/logql.md": page}), (0, ""))
        for old, new, complaint in (("`by`, ", "", "by of query/lex.h is missing"), ("sum _over", "max sum _over", "max_over_time is no word"),
                                    ("trunc ", "", "function trunc of templates is missing"), ("len ", "len size ", "there is no function size"),
                                    ("`.Unix`", "", "method .Unix of times is missing"), ("60 s", "61 s", "DEFAULT_TIME_S of query/exec.c"),
                                    ("query.time", "query.tine", "query.tine is no setting")):
            self.says("language", {**files, "docs/logql.md": page.replace(old, new)}, complaint)

    def test_sizes_says_when_it_cannot_measure(self):
        self.says("sizes", {"base/b.c": "int f(void)\n{\n"}, "braces do not balance")


if __name__ == "__main__":
    unittest.main()
