#!/usr/bin/env python3
# timeout: 240
"""Every verb of logq against a real server, on a pipe and on a terminal; broken connections; what is asked without one.

logq: stats, volume, patterns, fields, explain and histograms agree with what was pushed; fmt, man, completion and --stdin
need no server; a pager starts only when an answer is longer than the screen; an answer that is cut off in the middle is taken
up behind the last line, nothing lost, nothing twice; a killed export goes on with --resume.
server: one, plain (--dev); a proxy in front of it cuts connections; one that refuses a piece of an export is played.
"""
import json
import os
import pty
import select
import signal
import socket
import struct
import subprocess
import fcntl
import termios
import threading
import time
import urllib.parse

from lib import BIN, SLOW, Server, free_port, logq, main, run as command, wait_for, workspace

S = 10**9
LINES = 5000
VERBS = ("query tail labels series stats volume patterns fields fmt explain delete export import verify admin "
         "collectors completion man").split()


def out(server, *args, code=0, env=None):
    done = logq(server, *args, check=False, env=env)
    assert done.returncode == code, (args, done)
    return done.stderr if code > 1 else done.stdout


def fill(server, now):
    server.push([({"app": "web", "host": "a"},
                  [(now - 600 * S + i * S // 10, f"level={'error' if i % 50 == 0 else 'info'} took={i}ms line {i} of many")
                   for i in range(LINES)]),
                 ({"app": "db"}, [(now - 300 * S + i * S, json.dumps({"status": 200 + i % 5, "user": f"u{i}"}))
                                  for i in range(200)])])


def looks(server):
    stats = json.loads(out(server, "stats", '{app="web"}', "-o", "jsonl"))
    assert stats["streams"] == 1 and stats["lines"] == LINES, stats
    assert "kB" in out(server, "stats", "-o", "table")
    volume = [json.loads(line) for line in out(server, "volume", "--by", "app", "-o", "jsonl").splitlines()]
    assert [v["labels"]["app"] for v in volume] == ["web", "db"] and volume[0]["bytes"] == stats["bytes"], volume
    steps = out(server, "volume", '{app="web"}', "--step", "5m", "-o", "csv").splitlines()
    assert steps[0] == "time,labels,bytes" and sum(int(s.rsplit(",", 1)[1]) for s in steps[1:]) == stats["bytes"], steps
    hours = [json.loads(line) for line in out(server, "volume", '{app="web"}', "--step", "1h", "-o", "jsonl").splitlines()]
    assert hours and all(h["time"].endswith(":00:00Z") for h in hours), hours  # also the one that is not over
    patterns = [json.loads(line) for line in out(server, "patterns", '{app="web"}', "-o", "jsonl").splitlines()]
    assert sum(p["lines"] for p in patterns) == LINES and "<_>" in patterns[0]["pattern"], patterns
    assert len(out(server, "patterns", '{app="web"}', "--limit", "1").splitlines()) == 1
    assert "'a b' is no name of a label" in out(server, "volume", "--by", "app,a b", code=2)
    assert "(5001 > 5000)" in out(server, "fields", '{app="web"}', "--sample", "5001", code=2)
    fields = {f["field"]: f for f in map(json.loads, out(server, "fields", '{app="db"}', "-o", "jsonl").splitlines())}
    assert (fields["status"]["type"], fields["status"]["values"]) == ("int", 5), fields
    assert out(server, "fields", '{app="db"}', "status").split() == ["200", "201", "202", "203", "204"]
    plan = json.loads(out(server, "explain", '{app="web"} |= "line 77 " | logfmt', "-o", "json"))
    assert plan["kind"] == "log" and [p["done"] for p in plan["plan"]] == ["index", "blocks", "records"], plan
    assert plan["stats"]["entries"] == 1, plan
    assert json.loads(out(server, "explain", '{app="web"}', "-o", "json"))["stats"]["entries"] == 1000  # as query asks
    assert json.loads(out(server, "explain", '{app="web"}', "-n", "0", "-o", "json"))["stats"]["entries"] == LINES
    assert json.loads(out(server, "explain", '{app="web"}', "-n", "7", "--direction", "forward", "-o", "json"))["stats"]["entries"] == 7
    assert "log queries" in out(server, "explain", 'sum(rate({app="web"}[5m]))', "-n", "7", code=2)
    assert "pruned" in out(server, "explain", 'sum(rate({app="web"}[5m]))', "--step", "1m")
    for verb in ("stats", "patterns", "volume"):
        assert out(server, verb, '{app="none"}', code=1) == ""
        assert "selector" in out(server, verb, '{app="web"} |= "x"', code=2)
    assert "metric" in out(server, "fields", "1 + 1", code=2)


def labels_of_series(server):
    rows = [json.loads(line) for line in out(server, "series", "{}", "--labels", "-o", "jsonl").splitlines()]
    assert rows == [{"label": "app", "values": 2, "streams": 2}, {"label": "service_name", "values": 2, "streams": 2},
                    {"label": "host", "values": 1, "streams": 1}], rows
    assert out(server, "series", '{app="db"}', "--labels") == "app\t1\t1\nservice_name\t1\t1\n"
    assert out(server, "series", '{app="none"}', "--labels", code=1) == ""


def faulty(server):
    """Metric queries that would fail: on lines that are no JSON, and with more series than the limit."""
    mixed = 'sum by (status) (count_over_time({app=~"web|db"} | json [1h]))'
    told = out(server, "query", mixed, code=2)
    assert "pipeline error: 'JSONParserErr'" in told and 'skip this error. (e.g | __error__!="JSONParserErr").' in told, told
    done = logq(server, "query", mixed, "--lenient")
    assert len(done.stdout.splitlines()) == 5 and f"{LINES} " in done.stderr, done
    many = 'count_over_time({app="web"} | logfmt [1h])'
    assert "maximum number of series (500)" in out(server, "query", many, code=2)
    done = logq(server, "query", many, "--top-series")
    assert len(done.stdout.splitlines()) == 500 and "4500" in done.stderr, done
    for flag in ("--lenient", "--top-series"):
        assert "metric queries" in out(server, "query", '{app="web"}', flag, code=2)
        assert "following" in out(server, "query", '{app="web"}', flag, "-f", code=2)
        assert "--stdin" in out(server, "query", "1", flag, "--stdin", code=2)


def histogram(server):
    rows = out(server, "query", '{app="web"}', "--histogram", "--step", "5m", "-o", "csv").splitlines()
    assert rows[0] == "time,level,lines", rows
    by_level = {}
    for _, level, n in (row.split(",") for row in rows[1:]):
        by_level[level] = by_level.get(level, 0) + int(n)
    assert by_level == {"error": LINES // 50, "info": LINES - LINES // 50}, by_level
    bars = out(server, "query", '{app="web"}', "--histogram", "-o", "table").splitlines()
    assert sum(int(bar.split()[2]) for bar in bars) == LINES and "\x1b" not in "".join(bars), bars
    for cols, least in ((100, 60), (60, 24), (36, 4), (8, 4)):  # bars end where the screen does, and stay bars where it is narrow
        shown = on_terminal(server, "query", '{app="web"}', "--histogram", cols=cols, NO_COLOR="1", LOGQ_PAGER="").splitlines()
        widest = max(len(bar.split()[3]) for bar in shown if bar.split()[2] != "0")
        assert widest >= least and (cols < 36 or max(map(len, shown)) <= cols), (cols, shown)
    assert out(server, "query", '{app="none"}', "--histogram", "-o", "table", code=1) == ""
    assert "--histogram" in out(server, "query", "1 + 1", "--histogram", code=2)
    end = str(2**63 - 1)
    assert "--to is too late" in out(server, "query", '{app="web"}', "--histogram", "--to", end, "--step", "1h", code=2)


def shown(server):
    query = '{app="web"} | logfmt'
    assert out(server, "query", query, "--columns", "took,host", "-n", "1", "-o", "csv") == f"took,host\n{LINES - 1}ms,a\n"
    assert json.loads(out(server, "query", query, "--columns", "took,level", "-n", "1", "-o", "json")) == [
        {"took": f"{LINES - 1}ms", "level": "info"}]
    table = out(server, "query", query, "--columns", "level,took", "-n", "2", "-o", "table").splitlines()
    assert [line.split() for line in table] == [["level", "took"], ["info", f"{LINES - 2}ms"], ["info", f"{LINES - 1}ms"]]
    assert "--columns" in out(server, "query", query, "--columns", "a-b", code=2)

    def numbers(*args):
        return [line if line == "--" else int(line.split()[3]) for line in
                out(server, "query", '{app="web"} |~ "line (1|2|40|4999) of"', *args).splitlines()]

    assert numbers() == [1, 2, 40, 4999]
    assert numbers("-C", "2") == [0, 1, 2, 3, 4, "--", 38, 39, 40, 41, 42, "--", 4997, 4998, 4999]
    assert numbers("-A", "1", "-n", "1") == [4999]
    assert numbers("-B", "1", "-n", "2") == [39, 40, "--", 4998, 4999]
    query = '{app=~"web|db"} |~ "line 40 of|u7[^0-9]"'
    marked = [json.loads(line) for line in out(server, "query", query, "-A", "1", "-o", "jsonl").splitlines()]
    assert [(e["labels"]["app"], e.get("context", False)) for e in marked] == [
        ("web", False), ("web", True), ("db", False), ("db", True)], marked  # streams are kept apart
    assert "0 to 100" in out(server, "query", '{app="web"}', "-C", "101", code=2)
    assert "label_format" in out(server, "query", '{app="web"} | label_format app=host', "-C", "1", code=2)


def offline(server, work):
    assert out(server, "fmt", '{app="web"}|="x"|json') == '{app="web"} |= "x" | json\n'
    assert out(server, "fmt", "{ }") == "{}\n"  # a server may allow it
    assert out(server, "fmt", '{app="web"} | foo bar', code=2).splitlines()[-1].strip() == "^"
    lines = "2026-01-01T00:00:00Z status=500 a\n2026-01-01T00:00:50Z status=200 b\nstatus=500 at the same time\n"

    def piped(*args, code=0, text=lines):
        done = subprocess.run([BIN / "logq", "query", "--stdin", "--addr", "http://127.0.0.1:1", *args], input=text, text=True,
                              capture_output=True, timeout=30 * SLOW, env=dict(os.environ, HOME=str(work)))
        assert done.returncode == code, done
        return done.stderr if code > 1 else done.stdout

    assert piped("| logfmt | status >= 500") == lines.splitlines()[0] + "\n" + lines.splitlines()[2] + "\n"
    assert piped('|= "none"', code=1) == ""
    assert piped('{source="stdin"}', "-n", "1") == lines.splitlines()[0] + "\n"
    assert piped('sum by (status) (count_over_time({source="stdin"} | logfmt [1m]))') == '{status="200"}\t1\n{status="500"}\t2\n'
    assert piped('count_over_time({source="stdin"}[10s])') == (
        '{detected_level="unknown", service_name="unknown_service", source="stdin"}\t2\n')
    assert piped("| foo", code=2).splitlines()[-1].strip() == "^"
    assert "--stdin" in piped('|= "x"', "--since", "1h", code=2)
    assert "step" in piped('count_over_time({source="stdin"}[10s])', "--step", "1ns", code=2)
    # what a server would have made of the lines
    levels = "level=error a\nlevel=info b\nlevel=warn c\nd\nERROR e\n"
    assert piped('| detected_level="error"', text=levels) == "level=error a\nERROR e\n"
    first = json.loads(piped("", "-n", "1", "-o", "jsonl", text=levels))
    assert first["labels"] == {"service_name": "unknown_service", "source": "stdin"}, first
    assert first["attributes"] == {"detected_level": "error"}, first
    assert piped('|= "c"', "-C", "1", text=levels) == "level=info b\nlevel=warn c\nd\n"
    many = "".join(f"line {i} of\n" for i in range(100000))
    hits = '|~ "line (1|2|40|70000|99999) of"'
    assert [int(line.split()[1]) if line != "--" else line for line in piped(hits, "-C", "2", text=many).splitlines()] == [
        0, 1, 2, 3, 4, "--", 38, 39, 40, 41, 42, "--", 69998, 69999, 70000, 70001, 70002, "--", 99997, 99998, 99999]
    assert piped(hits, "-A", "2", "-n", "2", text=many) == "".join(f"line {i} of\n" for i in (1, 2, 3, 4))
    marked = [json.loads(line) for line in piped(hits, "-B", "1", "-o", "jsonl", text=many).splitlines()]
    assert [e.get("context", False) for e in marked] == [True, False, False, True, False, True, False, True, False], marked
    assert piped('| logfmt', "--histogram", "-o", "csv") == (
        "time,level,lines\n2026-01-01T00:00:00Z,unknown,1\n2026-01-01T00:00:50Z,unknown,2\n")
    assert piped('|= "status=500"', "--histogram", "--step", "1m", "-o", "table", "--color", "never") == (
        "2026-01-01 00:00:00" + " " * 9 + "2 " + "#" * 48 + "\n")
    assert piped('|= "none"', "--histogram", code=1) == ""
    assert "--step" in piped("", "--histogram", "--step", "1ms", code=2)
    assert "tail -f" in piped("", "--follow", code=2) and "order" in piped("", "--direction", "forward", code=2)
    for query in ('{app="x"}', 'sum(count_over_time({app="x"}[1h]))'):
        done = subprocess.run([BIN / "logq", "query", "--stdin", query], input=lines, text=True, capture_output=True, check=False,
                              timeout=30 * SLOW, env=dict(os.environ, HOME=str(work)))
        assert (done.returncode, done.stdout) == (1, "") and '{app="x"}' in done.stderr and (
            '{service_name="unknown_service", source="stdin"}' in done.stderr), done
    # extensions: dedup knows all lines before, whatever comes in one piece
    assert piped("| dedup", text="a\nb\n" * 100000) == "a\nb\n"
    assert piped('| json --arrays | any(t) = "b"', text='{"t":["a","b"]}\n{"t":["c"]}\n') == '{"t":["a","b"]}\n'
    assert piped('count_distinct_over_time(u, {source="stdin"} | logfmt [1m]) by ()', text="u=1\nu=2\nu=1\n") == "2\n"
    assert out(server, "fmt", '{a="b"}|json --arrays|any(t)>1|dedup by(x)') == '{a="b"} | json --arrays | any(t)>1 | dedup by (x)\n'
    for verb in (["tail", '{app="web"} | dedup'], ["export", '{app="web"} | dedup', "-"]):
        assert "dedup" in out(server, *verb, code=2)
    for verb in VERBS:
        text = out(server, verb, "--help")
        assert f"Usage: logq {verb} " in text and text.count("\n    logq ") + text.count("\n    zcat") + text.count(
            "\n    xz") + text.count("\n    eval") >= 3 and "Exit: 0 " in text, text
        page = command([BIN / "logq", "man", verb]).stdout
        assert page.startswith(".TH LOGQ\\-" + verb.upper()) and ".SH EXIT STATUS" in page, page
    assert "did you mean 'volume'?" in out(server, "volumne", code=2) and "Try `logq --help`" in out(server, "volumne", code=2)
    assert "Try `logq stats --help`" in out(server, "stats", "--frm", "1h", code=2)
    assert "did you mean --histogram?" in out(server, "query", "x", "--histgram", code=2)
    assert "knows no --follow" in out(server, "stats", "--follow", code=2)


def saved(server, work):
    home = work / "home" / ".config" / "logq"
    home.mkdir(parents=True)
    (home / "config.yaml").write_text(
        "server: main\nservers:\n"
        f"  - name: main\n    addr: {server.url}\n"
        f"  - name: gone\n    addr: http://127.0.0.1:{free_port()}\n"
        "queries:\n  - name: errors\n    query: '{app=\"web\"} |= \"level=error\"'\n"
        "  - name: web\n    query: '{app=\"web\"}'\n")
    env = {"HOME": str(work / "home"), "XDG_CONFIG_HOME": "", "LOGQ_ADDR": ""}
    assert len(out(server, "query", "@errors", "-n", "0", env=env).splitlines()) == LINES // 50
    assert out(server, "fmt", "@errors", env=env) == '{app="web"} |= "level=error"\n'
    assert out(server, "series", '{app="db"}', "@web", env=env) == (
        '{app="db", service_name="db"}\n{app="web", host="a", service_name="web"}\n')
    assert "a selector is needed" in out(server, "series", "@errors", code=2, env=env)
    assert "did you mean @errors?" in out(server, "query", "@eror", code=2, env=env)
    assert "refused" in out(server, "query", "@errors", "--server", "gone", code=3, env=env)
    # a server named by a flag is taken as it stands in the file, whatever the environment says
    assert out(server, "labels", "--server", "main", env=env | {"LOGQ_ADDR": "http://127.0.0.1:1"}).split()[0] == "app"
    assert "did you mean 'main'?" in out(server, "labels", "--server", "mian", code=2, env=env)
    assert "refused" in out(server, "labels", code=3, env=env | {"LOGQ_SERVER": "gone"})


def completion(server):
    def offered(*words):
        return out(server, "__complete", *words).splitlines()

    assert offered("qu") == ["query"]
    assert offered("query", "x", "--hist") == ["--histogram"]
    assert offered("query", "-o", "js") == ["jsonl", "json"]
    assert offered("query", "{a") == ['{app="']
    assert offered("query", '{app="') == ['{app="db"', '{app="web"']
    assert offered("query", '{app="web", h') == ['{app="web", host="']
    assert offered("query", '{app="web"} |= "a|b" | de') == [f'{{app="web"}} |= "a|b" | {stage}' for stage in
                                                             ("decolorize", "dedup", "dedup by (")]
    assert offered("query", '{app="web"} | json --') == ['{app="web"} | json --arrays']
    assert offered("stats", '{app="web"} | de') == offered("query", '{app="web"} |= "| de') == offered("query", '{app="web"} de') == []
    assert offered("labels", "") == ["app", "host", "service_name"]
    server.push([({"odd": 'a "b" \\d'}, [(time.time_ns(), "x")])])
    assert offered("query", '{odd="a') == ['{odd="a \\"b\\" \\\\d"'] == offered("query", '{odd="a \\"')  # as a query has it
    assert offered("query", '{app=') == ['{app="db"', '{app="web"'] and offered("query", '{app=~') == ['{app=~"db"', '{app=~"web"']
    assert offered("query", 'sum(rate({app="w') == ['sum(rate({app="web"']  # in a metric query as well
    assert offered("query", 'sum(rate({app="web"} | logf') == ['sum(rate({app="web"} | logfmt']
    assert offered("query", 'sum(rate({app="web"}[5m])) by (a') == offered("stats", 'sum({app="w') == []
    assert offered("query", "--output=js") == ["--output=jsonl", "--output=json"]
    assert offered("volume", "--by", "app,h") == ["app,host"] and offered("volume", "--by=app,h") == ["--by=app,host"]
    assert offered("query", "--columns", "time,l") == ["time,level", "time,line", "time,labels"]
    assert offered("admin", "hold", "") == ["list", "add", "release"] and offered("admin", "flush", "") == []
    assert out(server, "__complete", "query", "{a", env={"LOGQ_ADDR": f"http://127.0.0.1:{free_port()}"}) == ""
    silent = logq(server, "__complete", "vol", check=False, env={"LOGQ_ADDR": "nonsense"})  # a prompt is there: no complaint
    assert (silent.returncode, silent.stdout, silent.stderr) == (0, "volume\n", ""), silent
    script = out(server, "completion", "bash")
    assert "did you mean 'bash'?" in out(server, "completion", "bahs", code=2)

    def in_bash(line):
        words = line.split(" ")
        test = script + (f'\nCOMP_LINE={command_quote(line)} COMP_POINT={len(line)} COMP_WORDS=({" ".join(map(command_quote, words))})'
                         f' COMP_CWORD={len(words) - 1}\n_logq\nprintf "%s\\n" "${{COMPREPLY[@]}}"')
        return command(["bash", "-c", test], env=server.environment() | {"PATH": f"{BIN}:{os.environ['PATH']}"}).stdout.split("\n")[:-1]

    assert in_bash("logq vol") == ["volume"]
    assert in_bash("logq query '{app=\"w") == ['{app="web"', '{app="web"...']
    assert in_bash("logq query '{ap") == ['{app="', '{app="...']  # two, so that the quote stays open
    assert in_bash("logq labels ho") == ["host"]


def command_quote(text):
    return "'" + text.replace("'", "'\\''") + "'"


def on_terminal(server, *args, rows=24, cols=100, code=0, **env):
    """What a terminal of that size is shown."""
    mine, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))
    process = subprocess.Popen([BIN / "logq", *args], stdout=its, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL,
                               env=dict(os.environ, TERM="xterm", TZ="UTC0", **server.environment()) | env)
    os.close(its)
    text, end = b"", time.monotonic() + 30 * SLOW
    while time.monotonic() < end:
        if select.select([mine], [], [], 0.2)[0]:
            try:
                piece = os.read(mine, 65536)
            except OSError:
                break  # nobody has it open any more
            if not piece:
                break
            text += piece
    os.close(mine)
    assert process.wait(30 * SLOW) == code, process.stderr.read()
    process.stderr.close()
    return text.decode()


def told(server, *args, code=0):
    """What people are told beside an answer: stderr, where that is a terminal."""
    mine, its = pty.openpty()
    done = subprocess.run([BIN / "logq", *args], stdout=subprocess.DEVNULL, stderr=its, stdin=subprocess.DEVNULL,
                          env=dict(os.environ, TERM="xterm", **server.environment()), timeout=30 * SLOW)
    os.write(its, b".")  # so that there is something to read
    os.close(its)
    text = os.read(mine, 65536).decode()
    os.close(mine)
    assert done.returncode == code, (args, done, text)
    return text[:-1].strip()


def notes(server):
    assert told(server, "query", '{app="web"}', "--progress", "never") == "logq: these are the newest 1000 lines: --limit 0 shows all"
    assert "oldest 1000" in told(server, "query", '{app="web"}', "--direction", "forward", "--progress", "never")
    for verb in ("query", "series", "stats", "volume", "patterns"):
        assert "--since 1d" in told(server, verb, '{app="none"}', code=1), verb
        assert told(server, verb, '{app="none"}', "--since", "2h", code=1) == "", verb
    assert told(server, "query", '{app="web"}', "-n", "1000", "--progress", "never") == ""
    assert out(server, "query", '{app="none"}', code=1) == "" == logq(server, "query", '{app="web"}').stderr  # nobody reads it


def terminal(server, work):
    log = work / "paged"
    pager = {"LOGQ_PAGER": f"tee {log}"}
    short = on_terminal(server, "query", '{app="web"}', "-n", "5", **pager)
    assert short.count("\r\n") == 5 and "\x1b[32minfo" in short and not log.exists(), short
    long = on_terminal(server, "query", '{app="web"}', "-n", "100", **pager)
    assert long.count("\n") == 100 and log.read_text().count("\n") == 100, long
    log.unlink()
    assert on_terminal(server, "query", '{app="web"}', "-n", "100", "--no-pager", **pager).count("\n") == 100
    assert on_terminal(server, "query", '{app="web"}', "-n", "100", LOGQ_PAGER="head -n 3").count("\n") == 3  # a reader that goes
    assert not log.exists()
    on_terminal(server, "query", '{app="web"}', "-n", "100", LOGQ_PAGER="/no/such/pager", code=2)  # nothing was shown
    plain = on_terminal(server, "query", '{app="web"}', "--histogram", NO_COLOR="1", **pager)
    assert "\x1b[" not in plain and "EIII" in plain, plain
    assert "\u2588" in on_terminal(server, "query", '{app="web"}', "--histogram", "--no-pager")
    for args in (["labels"], ["series", "{}"], ["stats"], ["volume"], ["patterns", '{app="web"}'], ["fields", '{app="db"}'],
                 ["explain", '{app="web"}'], ["fmt", '{app="web"}']):
        assert "\x1b" not in on_terminal(server, *args, NO_COLOR="1"), args


class Cutter:
    """A proxy that passes on so many bytes of an answer, then cuts the connection; `cuts` times, then none."""

    def __init__(self, server, cuts, size):
        self.target = int(server.url.rsplit(":", 1)[1])
        self.cuts, self.size, self.done = cuts, size, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.pass_on, args=(peer,), daemon=True).start()

    def pass_on(self, peer):
        with self.lock:
            left = self.size if self.done < self.cuts else 1 << 60
        behind = socket.create_connection(("127.0.0.1", self.target))
        with peer, behind:
            while left > 0:
                for ready in select.select([peer, behind], [], [])[0]:
                    try:
                        piece = ready.recv(min(left, 65536))
                    except OSError:
                        piece = b""
                    if not piece:
                        return
                    (behind if ready is peer else peer).sendall(piece)
                    left -= len(piece) if ready is behind else 0
            with self.lock:
                self.done += 1

    def close(self):
        self.listener.close()


def broken(server):
    every = list(range(LINES))
    for args, expected in ((["--limit", "0"], every), (["--limit", "0", "--direction", "backward"], every[::-1]),
                           (["--limit", "3000"], every[-3000:])):
        cutter = Cutter(server, 3, 150_000)
        done = logq(server, "query", '{app="web"}', *args, "--addr", cutter.url, check=False)
        cutter.close()
        assert done.returncode == 0 and done.stderr.count("going on behind the last line") == 3, (args, done.stderr)
        assert [int(line.split()[3]) for line in done.stdout.splitlines()] == expected, args
    progress = logq(server, "query", '{app="web"}', "--limit", "0", "--progress", "never")
    assert progress.stderr == "" and progress.stdout.count("\n") == LINES


def exports(server, work):
    span = ["--from", "20m", "--to", "now"]
    plain = work / "plain.jsonl"
    out(server, "export", '{app="web"}', plain, *span)
    assert [json.loads(line)["line"].split()[3] for line in plain.read_text().splitlines()] == [str(i) for i in range(LINES)]
    for name, unpack in (("many.jsonl", ["cat"]), ("many.jsonl.gz", ["gzip", "-dc"]), ("many.jsonl.zst", ["zstd", "-dcq"])):
        done = logq(server, "export", '{app="web"}', work / name, *span, "--parallel", "4")
        assert f"{LINES} lines" in done.stderr, done
        assert command([*unpack, work / name]).stdout == plain.read_text(), name
    # interrupted: what has come is kept, and --resume goes on behind it; killed: at the last mark
    target = work / "resumed.jsonl.zst"
    state = work / "resumed.jsonl.zst.state"
    cutter = Cutter(server, 1 << 30, 100_000)
    for how in (signal.SIGKILL, signal.SIGINT):
        process = subprocess.Popen([BIN / "logq", "export", '{app="web"}', target, *span, "--resume", "--addr", cutter.url],
                                   stderr=subprocess.PIPE, text=True, env=dict(os.environ, **server.environment()))
        assert "going on" in process.stderr.readline()
        process.send_signal(how)
        said = process.stderr.read()
        assert process.wait(20 * SLOW) == (3 if how == signal.SIGINT else -how), said
        process.stderr.close()
    assert "interrupted; going on" not in said, said
    assert "lines are kept" in said and int(state.read_text().splitlines()[2].split()[1]) > 0, (said, state.read_text())
    assert not target.exists()
    assert "another query" in out(server, "export", '{app="db"}', target, *span, "--resume", "--addr", cutter.url, code=2)
    cutter.cuts = 0
    done = logq(server, "export", '{app="web"}', target, "--resume", "--addr", cutter.url)
    cutter.close()
    assert f"{LINES} lines" in done.stderr, done
    assert command(["zstd", "-dcq", target]).stdout == plain.read_text()
    assert sorted(p.name for p in work.glob("resumed*")) == ["resumed.jsonl.zst"]
    done = logq(server, "export", '{app="web"}', work / "seen.jsonl", *span, "--parallel", "2", "--progress", "always")
    assert f"{LINES} lines" in done.stderr, done
    assert out(server, "export", '{app="web"}', "-", "--parallel", "2", code=2)
    assert "is a directory" in out(server, "export", '{app="web"}', work, *span, code=2)
    for args in (["export", '{app="web"}', "-"], ["--help"], ["query", "--help"], ["--version"], ["man"]):
        nobody, pipe = os.pipe()
        os.close(nobody)  # a reader that has seen enough is no failure
        done = subprocess.run([BIN / "logq", *args], stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=30 * SLOW, check=False,
                              env=dict(os.environ, **server.environment()))
        os.close(pipe)
        assert (done.returncode, done.stderr) == (0, ""), done


def imports(server, work):
    """A file, by whatever it comes; what is none is said before anything is sent."""
    lines = "".join(json.dumps({"ts_ns": str(time.time_ns() + i), "labels": {"app": "APP"}, "attributes": {}, "line": f"line {i}"}) + "\n"
                    for i in range(3))
    for app, how in (("by_name", "import FILE"), ("by_pipe", "import - < FILE"), ("by_substitution", "import <(cat FILE)")):
        path = work / f"{app}.jsonl"
        path.write_text(lines.replace("APP", app))
        done = command(["bash", "-c", f"{BIN}/logq {how.replace('FILE', str(path))}"], env=server.environment())
        assert "3 lines" in done.stderr, done
        assert out(server, "query", f'{{app="{app}"}}') == "line 0\nline 1\nline 2\n"
    assert "there is no" in out(server, "import", work / "none.jsonl", code=2)
    assert "is a directory" in out(server, "import", work, code=2)


class Refusing:
    """A server that sends line after line of an export to who comes first (`silent`: one, and then nothing), and refuses who
    comes next; `willing`: everybody gets what it lacks."""

    def __init__(self, silent):
        self.silent = silent
        self.asked, self.end_of_first, self.last, self.willing = [], None, 0, False
        self.lock, self.is_under_way = threading.Lock(), threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.answer, args=(peer,), daemon=True).start()

    def answer(self, peer):
        with peer, peer.makefile("rb") as request:
            target = request.readline().split()[1].decode()
            while request.readline().strip():
                pass
            asked = dict(urllib.parse.parse_qsl(urllib.parse.urlsplit(target).query))
            with self.lock:
                self.end_of_first = self.end_of_first or asked["end"]
                self.asked.append(asked)
            if self.willing:
                body = b""
                if asked["end"] == self.end_of_first:
                    body = b"".join(self.line(seq) for seq in range(int(asked.get("after_seq", 0)) + 1, self.last + 1))
                peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
            elif asked["end"] == self.end_of_first:
                self.stream(peer)
            else:
                self.is_under_way.wait(30 * SLOW)
                peer.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nno!")
                request.read()

    @staticmethod
    def line(seq):
        return b'{"ts_ns":"%d","seq":%d,"labels":{},"attributes":{},"line":"line %d"}\n' % (10**18 + seq, seq, seq)

    def stream(self, peer):
        """Until it hangs up."""
        peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not select.select([peer], [], [], None if self.silent and self.last > 0 else 0.01)[0]:
            line = self.line(self.last + 1)
            try:
                peer.sendall(b"%x\r\n%s\r\n" % (len(line), line))
            except OSError:
                return
            self.last += 1
            self.is_under_way.set()


def stopped(work, silent):
    """A piece is stopped because another has failed, though nothing comes; and goes on behind the last line in its file."""
    target = work / "stopped.jsonl"
    server = Refusing(silent)
    args = [BIN / "logq", "export", '{app="web"}', target, "--from", "2001-09-09", "--to", "2001-09-10", "--addr", server.url]
    done = subprocess.run([*args, "--parallel", "2"], capture_output=True, text=True, timeout=60 * SLOW, check=False)
    assert done.returncode == 2 and "no!" in done.stderr, done
    assert silent or "lines are kept" in done.stderr, done  # of one line it may have been too early
    server.willing = True
    done = subprocess.run([*args, "--resume"], capture_output=True, text=True, timeout=60 * SLOW, check=False)
    server.listener.close()
    assert done.returncode == 0, (done, server.asked)
    seqs = [json.loads(line)["seq"] for line in target.read_text().splitlines()]
    assert seqs == list(range(1, server.last + 1)), (seqs, server.last, server.asked)


def run():
    with workspace() as work:
        server = Server(work / "server", dev=True).init().start()
        try:
            fill(server, time.time_ns())
            logq(server, "admin", "flush")
            looks(server)
            faulty(server)
            labels_of_series(server)
            notes(server)
            histogram(server)
            shown(server)
            offline(server, work)
            saved(server, work)
            completion(server)
            terminal(server, work)
            broken(server)
            exports(server, work)
            stopped(work, silent=False)
            stopped(work, silent=True)
            imports(server, work)
            server.stop()
        finally:
            server.discard()


main(run)
