#!/usr/bin/env python3
"""The command line from outside: forms, limits, spans, exit codes, mistakes with a caret, following, pipes, a terminal.

logq: prints results on stdout and nothing else there; 0 found, 1 nothing, 2 usage, 3 server or network, 4 denied.
tail: shows each pushed line once, late ones too, over a restart of the server; ends with 0 when told to or when nobody reads.
server: plain (--dev) for most of it, TLS and a token for the rest; a broken one is played by a socket.
"""
import json
import os
import pty
import signal
import socket
import subprocess
import threading
import time

from lib import BIN, SLOW, Server, free_port, logq, main, wait_for, workspace

S = 10**9
HOUR = 3600 * S


def out(server, *args, code=0, env=None):
    """stdout; the exit code must be `code`, and stderr empty unless it says what went wrong."""
    done = logq(server, *args, check=False, env=env)
    assert done.returncode == code, (args, done)
    if code in (0, 1):
        assert done.stderr == "", (args, done)
    else:
        assert done.stderr and done.stdout == "", (args, done)
    return done.stderr if code > 1 else done.stdout


def forms(server, now):
    query = '{app="db"}'
    assert out(server, "query", query) == "error: a,b\n"  # raw, for stdout is no terminal
    entry = json.loads(out(server, "query", query, "-o", "jsonl"))
    assert (entry["ts_ns"], entry["line"], entry["labels"]["app"]) == (str(now - S), "error: a,b", "db"), entry
    assert entry["attributes"]["trace"] == "t1", entry
    assert json.loads(out(server, "query", query, "--output=json")) == [entry]
    assert out(server, "query", query, "-o", "csv").splitlines() == [
        "time,level,origin,labels,line", entry["ts"] + ',error,db,"{app=""db"", service_name=""db""}","error: a,b"']
    logfmt = out(server, "query", query, "-o", "logfmt")
    assert logfmt.startswith(f"ts={entry['ts']} app=db ") and logfmt.endswith(' line="error: a,b"\n'), logfmt
    table = out(server, "query", query, "-o", "table")
    day = time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime((now - S) // S))
    assert table.startswith(day) and table.endswith(" error db               error: a,b\n") and "\x1b" not in table, table
    assert "\x1b[31merror" in out(server, "query", query, "-o", "table", "--color", "always")
    tokyo = out(server, "query", query, "-o", "table", "--local", env={"TZ": "Asia/Tokyo"})
    assert tokyo.startswith(time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime((now - S) // S + 9 * 3600))), tokyo
    assert out(server, "query", '{app="none"}', code=1) == ""
    assert json.loads(out(server, "query", '{app="none"}', "-o", "json", code=1)) == []


def limits(server):
    def numbers(*args, code=0):
        return [int(line.split()[1]) for line in out(server, "query", '{app="web"}', *args, code=code).splitlines()]

    assert numbers() == list(range(4000, 5000))  # the newest thousand, oldest first
    assert numbers("-n", "3") == [4997, 4998, 4999]
    assert numbers("--limit", "3", "--direction", "backward") == [4999, 4998, 4997]
    assert numbers("--limit", "3", "--direction", "forward") == [0, 1, 2]
    assert numbers("--limit", "0") == list(range(5000))
    assert numbers("--limit", "0", "--direction", "backward") == list(range(4999, -1, -1))
    assert out(server, "query", '{app="old"}', code=1) == ""
    assert out(server, "query", '{app="old"}', "--since", "3h") == "two hours ago\n"
    assert out(server, "query", '{app="old"}', "--from", "150m", "--to", "90m") == "two hours ago\n"
    assert out(server, "query", '{app="old"}', "--from", "90m", code=1) == ""
    assert out(server, "query", '{app="old"}', "--to", "110m") == "two hours ago\n"  # the hour before


def metrics(server, now):
    query = 'sum by (app) (count_over_time({app=~"web|db"}[1h]))'
    assert out(server, "query", query) == '{app="db"}\t1\n{app="web"}\t5000\n'
    assert [line.split() for line in out(server, "query", query, "-o", "table").splitlines()] == [
        ["labels", "value"], ['{app="db"}', "1"], ['{app="web"}', "5000"]]
    assert [json.loads(line) for line in out(server, "query", query, "-o", "jsonl").splitlines()] == [
        {"labels": {"app": "db"}, "value": 1}, {"labels": {"app": "web"}, "value": 5000}]
    assert out(server, "query", query, "-o", "csv").splitlines()[:2] == ["labels,value", '"{app=""db""}",1']
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now // S - 1800))
    assert out(server, "query", query, "--to", at, code=1) == ""
    points = [json.loads(line) for line in out(server, "query", 'sum(count_over_time({app="db"}[10m]))', "--step", "5m",
                                               "--from", "1h", "--to", "now", "-o", "jsonl").splitlines()]
    assert points and all(p["value"] == 1 and p["labels"] == {} and p["time"].endswith("Z") for p in points), points
    assert out(server, "query", "1 + 2") == "3\n"
    assert "--step" in out(server, "query", query, "--since", "1h", code=2)
    assert "--limit" in out(server, "query", query, "--limit", "1", code=2)
    assert "--step" in out(server, "query", '{app="web"}', "--step", "1m", code=2)


def listings(server):
    assert out(server, "labels").split() == ["app", "host", "service_name"]
    assert out(server, "labels", "app").split() == ["db", "web"]
    assert out(server, "labels", "app", "--since", "3h", "-o", "json") == '[\n"db",\n"old",\n"web"\n]\n'
    assert out(server, "labels", "nope", code=1) == ""
    assert "no label name" in out(server, "labels", "a-b", code=2)
    assert out(server, "series", '{app="db"}', '{host="a"}') == (
        '{app="db", service_name="db"}\n{app="web", host="a", service_name="web"}\n')
    assert json.loads(out(server, "series", '{app="db"}', "-o", "jsonl")) == {"app": "db", "service_name": "db"}
    assert out(server, "series", '{app="none"}', code=1) == ""
    assert "selector" in out(server, "series", '{app="db"} |= "x"', code=2)


def mistakes(server):
    assert out(server, "query", '{app="é"} | foo bar', code=2).splitlines()[1:] == ['  {app="é"} | foo bar', " " * 18 + "^"]
    two_lines = out(server, "query", '{app="db"}\n  |= ', code=2).splitlines()
    assert two_lines[0].startswith("logq: parse error at line 2, ") and two_lines[1] == "    |= ", two_lines
    assert two_lines[2].strip() == "^", two_lines
    assert "did you mean --limit?" in out(server, "query", "x", "--limti", "1", code=2)
    assert "did you mean 'query'?" in out(server, "qurey", "x", code=2)
    assert "quotes" in out(server, "query", "{app", "db}", code=2)
    assert "connection refused" in out(server, "labels", "--addr", f"http://127.0.0.1:{free_port()}", code=3)
    assert "https://" in out(server, "labels", "--addr", "logs:3100", code=2)
    assert "503" in out(server, "query", '{app="db"}', "--addr", answering(b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\nbusy"),
                        code=3)
    long = '{app=~"' + "|".join(f"name{i}" for i in range(2000)) + '|db"}'  # too long for a request line
    assert out(server, "query", long) == "error: a,b\n"


def answering(answer):
    """The address of a server that reads one request, sends `answer`, and hangs up."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        peer, _ = listener.accept()
        seen = b""
        while b"\r\n\r\n" not in seen:
            seen += peer.recv(65536)
        peer.sendall(answer)
        peer.close()
        listener.close()

    threading.Thread(target=serve, daemon=True).start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}"


def halves(server):
    """An answer that breaks off is shown as far as it came, and is an error."""
    entry = out(server, "query", '{app="db"}', "-o", "jsonl").encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-ndjson\r\nTransfer-Encoding: chunked\r\n\r\n"

    def ask(*pieces, args=()):
        body = b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in pieces)
        return logq(server, "query", '{app="db"}', "--addr", answering(head + body), *args, check=False)

    for args in ((), ("--limit", "0")):
        done = ask(entry[:20], entry[20:], b'{"error":"out of memory"}\n', args=args)
        assert (done.returncode, done.stdout) == (3, "error: a,b\n") and "out of memory" in done.stderr, done
        done = ask(entry, args=args)
        assert (done.returncode, done.stdout) == (3, "error: a,b\n") and "hung up" in done.stderr, done
        done = ask(entry, b"nonsense\n", args=args)
        assert (done.returncode, done.stdout) == (3, "error: a,b\n") and "not understood" in done.stderr, done


class Tail:
    def __init__(self, server, *args):
        self.process = subprocess.Popen([BIN / "logq", *args], env=dict(os.environ, **server.environment()), text=True,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL)
        self.lines, self.said = [], []
        self.threads = [threading.Thread(target=self.read, args=pair, daemon=True)
                        for pair in ((self.process.stdout, self.lines), (self.process.stderr, self.said))]
        for thread in self.threads:
            thread.start()

    @staticmethod
    def read(stream, to):
        for line in stream:
            to.append(line.rstrip("\n"))

    def has(self, *lines):
        wait_for(f"{lines[-1]!r} in the tail", lambda: self.process.poll() is None and self.lines == list(lines))

    def end(self, how):
        self.process.send_signal(how)
        assert self.process.wait(20 * SLOW) == 0
        for thread in self.threads:
            thread.join()


def following(server):
    def push(line, ago=0.0):
        server.push([({"app": "live"}, [(time.time_ns() - int(ago * S), line)])])

    for i in range(12):
        push(f"before {i}", 60 - i)
    tail = Tail(server, "tail", '{app="live"}')
    last_ten = [f"before {i}" for i in range(2, 12)]
    tail.has(*last_ten)
    push("one")
    tail.has(*last_ten, "one")
    push("late", 2)  # older than the newest line shown
    tail.has(*last_ten, "one", "late")
    server.stop()
    wait_for("word of the server's absence", lambda: tail.said)
    server.start()
    push("after the restart")
    tail.has(*last_ten, "one", "late", "after the restart")
    wait_for("word of its return", lambda: len(tail.said) == 2)
    assert "trying again" in tail.said[0] and "again" in tail.said[1], tail.said
    tail.end(signal.SIGINT)
    assert len(tail.lines) == 13 and len(tail.said) == 2, (tail.lines, tail.said)

    tail = Tail(server, "query", "--follow", '{app="live"} |= "after"', "-o", "jsonl", "--limit", "0")
    wait_for("a line", lambda: len(tail.lines) == 1)
    push("after all")
    wait_for("the next", lambda: len(tail.lines) == 2)
    tail.end(signal.SIGTERM)
    assert [json.loads(e)["line"] for e in tail.lines] == ["after the restart", "after all"]
    tail = Tail(server, "tail", '{app="live"}', "-o", "json")
    wait_for("a line", lambda: tail.lines)
    tail.end(signal.SIGTERM)  # which closes the array
    assert json.loads("\n".join(tail.lines))[-1]["line"] == "after all"

    # a reader that takes one line and goes: the tail ends by itself, though nothing more comes
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {BIN}/logq tail '{{app=\"live\"}}' | head -n 1"], text=True,
                          capture_output=True, env=dict(os.environ, **server.environment()), timeout=30 * SLOW)
    assert (done.returncode, done.stdout, done.stderr) == (0, "before 6\n", ""), done
    assert "log queries" in out(server, "tail", "1 + 1", code=2)
    assert "connection refused" in out(server, "tail", '{app="live"}', "--addr", f"http://127.0.0.1:{free_port()}", code=3)


def pipes(server):
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {BIN}/logq query '{{app=\"web\"}}' --limit 0 -o jsonl | head -n 1"],
                          text=True, capture_output=True, env=dict(os.environ, **server.environment()), timeout=30 * SLOW)
    assert done.returncode == 0 and json.loads(done.stdout)["line"].startswith("line 0 ") and done.stderr == "", done
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([BIN / "logq", "query", '{app="db"}'], stdout=full, stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, **server.environment()), timeout=30 * SLOW)
    assert done.returncode == 3 and "No space left" in done.stderr, done
    for stream, code in ((0, 0), (1, 3), (2, 0)):  # closed: no socket may take their place
        done = subprocess.run(["bash", "-c", f"exec {BIN}/logq query '{{app=\"db\"}}' {stream}>&-"], text=True, capture_output=True,
                              env=dict(os.environ, **server.environment()), timeout=30 * SLOW)
        assert done.returncode == code and ("Bad file descriptor" in done.stderr) == (stream == 1), done


def terminal(server):
    def shown(**env):
        mine, its = pty.openpty()
        done = subprocess.run([BIN / "logq", "query", '{app="db"}'], stdout=its, stderr=subprocess.PIPE, text=True,
                              env=dict(os.environ, TERM="xterm", TZ="UTC0", **env, **server.environment()), timeout=30 * SLOW)
        os.close(its)
        assert done.returncode == 0, done
        text = os.read(mine, 4096).decode()
        os.close(mine)
        return text

    table = shown()
    assert table.endswith(" error: a,b\r\n") and "\x1b[" in table, table
    assert "\x1b[" not in shown(NO_COLOR="1")


def secured(work):
    server = Server(work / "secured").init().start()
    try:
        server.push([({"app": "db"}, [(time.time_ns(), "sealed")])])
        assert out(server, "query", '{app="db"}') == "sealed\n"
        assert "unknown token" in out(server, "query", '{app="db"}', code=4, env={"LOGQ_TOKEN": "lq_wrong"})
        assert "--token-file" in out(server, "labels", code=4, env={"LOGQ_TOKEN": ""})
        assert "unknown token" in out(server, "tail", '{app="db"}', code=4, env={"LOGQ_TOKEN": "lq_wrong"})
        assert "--tenant" in out(server, "labels", "--tenant", "other", code=4)
        refused = out(server, "labels", code=3, env={"LOGQ_CA_FILE": ""})
        assert "certificate was refused" in refused and "LOGQ_CA_FILE" in refused, refused
        assert "https://" in out(server, "labels", "--addr", server.url.replace("https", "http"), code=3).splitlines()[1]
        home = work / "home" / ".config" / "logq"  # the same from the user's file, nothing in the environment
        home.mkdir(parents=True)
        (home / "config.yaml").write_text(f"addr: {server.url}\nca: {server.dir}/tls/ca.crt\ntoken_file: token\n")
        (home / "token").write_text(server.token + "\n")
        bare = {"HOME": str(work / "home"), "XDG_CONFIG_HOME": "", "LOGQ_ADDR": "", "LOGQ_TOKEN": "", "LOGQ_CA_FILE": ""}
        assert out(server, "query", '{app="db"}', env=bare) == "sealed\n"
        server.stop()
    finally:
        server.discard()


def run():
    with workspace() as work:
        port = free_port()  # the same after a restart
        server = Server(work / "server", dev=True).init(lambda text: text.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)).start()
        try:
            now = time.time_ns()
            server.push([({"app": "web", "host": "a"}, [(now - 600 * S + i * S // 10, f"line {i} of many") for i in range(5000)]),
                         ({"app": "db"}, [(now - S, "error: a,b", {"trace": "t1"})]),
                         ({"app": "old"}, [(now - 2 * HOUR, "two hours ago")])])
            forms(server, now)
            limits(server)
            metrics(server, now)
            listings(server)
            mistakes(server)
            halves(server)
            pipes(server)
            terminal(server)
            following(server)
            server.stop()
        finally:
            server.discard()
        secured(work)


main(run)
