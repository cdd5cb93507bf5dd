#!/usr/bin/env python3
"""Bad input of every kind: each gives one clear error that names file, line, peer or column, is counted, and harms nothing
else: a good push before, between and after keeps being answered."""
import contextlib
import gzip
import json
import os
import pathlib
import socket
import ssl
import struct
import time

from lib import BIN, Collector, Program, Server, main, run as command, stamp, wait_for, workspace


def config_errors(work):
    for program, verb in (("logq-server", "check"), ("logq-collector", "check")):
        path = work / f"{program}.yaml"
        path.write_text("fowrard:\n  listen: 127.0.0.1:0\nlog_level: [\n")
        done = command([BIN / program, verb, "--config", path], check=False)
        assert done.returncode == 2, (program, done.returncode, done.stderr)
        path.write_text("fowrard:\n  listen: 127.0.0.1:0\nlog_level: loud\n")
        done = command([BIN / program, verb, "--config", path], check=False)
        assert done.returncode == 2 and f"{path}:1:1:" in done.stderr and "fowrard" in done.stderr, done.stderr
    # What would never work, or not even start, is told at once, also where a value is wrong.
    path.write_text("server: {address: 127.0.0.1, ca: ../ca.crt, cert: a.crt, key: a.key}\nmax_line: x\n"
                    "inputs: [{type: cri, exclude: ['*.log']}]\nrules: [{sample: 1.5}]\nmetrics: {listen: 127.0.0.1}\n")
    for verb in ("check", "run"):
        done = command([BIN / "logq-collector", verb, "--config", path], check=False)
        places = sorted(line.removeprefix(f"{path}:").split(":")[0] for line in done.stderr.splitlines())
        assert done.returncode == 2 and places == list("11112345"), (verb, done.stderr)
        assert f"{path}:1:51: {work}/a.crt: No such file or directory" in done.stderr, done.stderr
    path = work / "logq-server.yaml"
    assert f"{work}/logq-server.yaml:3:12:" in command([BIN / "logq-server", "check", "--config", path], check=False).stderr
    command([BIN / "logq-server", "init", work / "check"])  # what the file names is looked at too
    path = work / "check" / "server.yaml"
    assert command([BIN / "logq-server", "check", "--config", path]).stderr == ""
    (work / "check" / "rules" / "bad.yaml").write_text("groups: 7\n")
    (work / "check" / "tls" / "server.crt").unlink()
    done = command([BIN / "logq-server", "check", "--config", path], check=False)
    assert done.returncode == 2 and "rules/bad.yaml:1:" in done.stderr and "tls/server.crt" in done.stderr, done.stderr
    assert "master_key: master.key" in done.stdout


def forward_socket(server, cert=True, ca=None):
    context = ssl.create_default_context(cafile=ca or server.dir / "tls" / "ca.crt")
    if cert:
        context.load_cert_chain(server.dir / "collector" / "client.crt", server.dir / "collector" / "client.key")
    host, port = server.forward.rsplit(":", 1)
    return context.wrap_socket(socket.create_connection((host, int(port)), timeout=20), server_hostname="127.0.0.1")


def send_and_see_end(server, data):
    """The server ends the connection and answers nothing."""
    with forward_socket(server) as s:
        with contextlib.suppress(OSError):  # it may end while we still send
            s.sendall(data)
        try:
            return s.recv(100)
        except OSError:
            return b""


def rejected(server):
    return server.metric("logq_forward_rejected_total")


def forward_errors(server):
    entry = b"\x92\x00\x81\xa3log\xda\xff\xff" + b"x" * 65535
    bomb = gzip.compress(entry * 5000, 1)  # 328 MB; forward.max_payload is 256 MiB
    cases = {
        "array32 of 268435455": bytes.fromhex("dd0fffffff"),
        "30 nested arrays of 10 million": bytes.fromhex("dd00989680") * 30,
        "str32 of 4 GB": bytes.fromhex("93dbffffffff") + b"x" * 100000,
        "no msgpack": b"\xc1" * 100,
        "a JSON stream": b'["tag", 1, {"log": "x"}]',
        "an entry that is cut": b"\x93\xa3tag\xc4\x04\x92\xce\x00\x00\x80",
        "a bomb": b"\x93\xa3tag\xc6" + struct.pack(">I", len(bomb)) + bomb + b"\x81\xaacompressed\xa4gzip",
    }
    for name, data in cases.items():
        before = rejected(server)
        assert send_and_see_end(server, data) == b"", name
        wait_for(f"'{name}' to be counted", lambda: rejected(server) == before + 1)
        assert server.alive(), name
        server.push([({"app": "steady"}, [(time.time_ns(), f"after {name}")])])
    assert server.text().count("forward.rejected") == len(cases), server.text()
    assert server.metric("logq_memory_budget_used_bytes") < 64 << 20


def certificate_errors(work, server):
    before = server.metric("logq_forward_handshake_failed_total")
    with contextlib.suppress(OSError):
        with forward_socket(server, cert=False) as s:  # TLS 1.3: the refusal comes with the first read
            s.recv(10)
            raise AssertionError("a client without a certificate got in")
    wait_for("the refusal to be counted", lambda: server.metric("logq_forward_handshake_failed_total") == before + 1)
    assert "forward.handshake_failed" in server.text() and "certificate" in server.text(), server.text()[-500:]

    other = Server(work / "other").init()  # another authority
    for file in ("client.crt", "client.key", "ca.crt"):
        (work / "stranger").mkdir(exist_ok=True)
        (work / "stranger" / file).write_bytes((other.dir / "collector" / file).read_bytes())
    config = work / "stranger" / "collector.yaml"
    config.write_text(f"server: {{address: '{server.forward}', ca: {server.dir}/tls/ca.crt, cert: {work}/stranger/client.crt,"
                      f" key: {work}/stranger/client.key}}\nstate_dir: {work}/stranger/state\ninputs:\n  - {{type: cri, paths: ['{work}/none/*']}}\n")
    before = server.metric("logq_forward_handshake_failed_total")
    stranger = Program("logq-collector", [BIN / "logq-collector", "run", "--config", config], work / "stranger.log").start()
    try:
        wait_for("the stranger to be refused", lambda: server.metric("logq_forward_handshake_failed_total") > before)
        wait_for("the stranger to say why", lambda: "certificate" in stranger.text() or "unknown ca" in stranger.text())
    finally:
        stranger.discard()


def http_errors(server):
    def get(path, **more):
        status, body, _ = server.request("GET", path, **more)
        return status, body.decode()

    assert get("/loki/api/v1/labels", token=False)[0] == 401
    assert get("/loki/api/v1/labels", token="lq_" + "x" * 43)[0] == 403
    assert get("/loki/api/v1/labels", headers={"X-Scope-OrgID": "another"})[0] == 403
    status, text = server.get("/loki/api/v1/query_range", query='{a="b"} |= ')
    assert status == 400 and text.decode().startswith("parse error at line 1, col 1"), text
    status, text = server.get("/loki/api/v1/query_range", query='{a="b"} | json | status >=')
    assert status == 400 and b"line 1, col" in text, text
    status, text = server.get("/loki/api/v1/query_range", query='{a="b"}', start="yesterday")
    assert status == 400 and b"'start'" in text and b"yesterday" in text, text
    for body, what in ((b"{", b"byte"), (b'{"streams":[{"stream":{},"values":[["1","x"]]}]}', b"label pair"),
                       (b'{"streams":[{"stream":{"a":"b"},"values":[["soon","x"]]}]}', b"soon")):
        status, text, _ = server.request("POST", "/loki/api/v1/push", body)
        assert status == 400 and what in text, (body, status, text)
    status, _, _ = server.request("POST", "/loki/api/v1/push", b"x" * (17 << 20))
    assert status == 413, status
    status, text, _ = server.request("POST", "/loki/api/v1/push", gzip.compress(b" " * (64 << 20)), {"Content-Encoding": "gzip"})
    assert status == 413, (status, text)
    status, text, _ = server.request("POST", "/loki/api/v1/push", b"x", {"Content-Type": "application/x-protobuf"})
    assert status == 400 and b"snappy" in text, (status, text)
    status, text, _ = server.request("POST", "/loki/api/v1/push", b"x", {"Content-Encoding": "br"})
    assert status == 415 and b"'br'" in text, (status, text)
    status, text = server.get("/loki/api/v1/query_range", query='{a="b"}', limt=5)
    assert status == 400 and b"'limt': did you mean 'limit'" in text, text


def push_in_part(server):
    """Of a push with a stream that cannot be the others are durable when its 400 is there."""
    now = time.time_ns()
    body = json.dumps({"streams": [{"stream": {"app": "part"}, "values": [[str(now), "first"]]},
                                   {"stream": {"a b": "c"}, "values": [[str(now), "never"]]},
                                   {"stream": {"app": "part"}, "values": [[str(now + 1), "last"]]}]}).encode()
    status, text, _ = server.request("POST", "/loki/api/v1/push", body)
    assert status == 400 and b"1 of 3 entries refused, the others are stored: 'a b' is no label name" in text, (status, text)
    server.kill()
    server.start()
    assert sorted(e["line"] for e in server.entries('{app="part"}')) == ["first", "last"]
    assert server.entries('{app=~".+"} |= "never"') == []


def unreadable_file(work, server):
    """A link that leads to itself cannot be read by anybody, root included."""
    pods = work / "pods"
    (pods / "ns_a_1" / "bad").mkdir(parents=True)
    (pods / "ns_a_1" / "bad" / "0.log").symlink_to("0.log")
    good = pods / "ns_b_2" / "good" / "0.log"
    good.parent.mkdir(parents=True)
    good.write_text(stamp() + " stdout F still here\n")
    collector = Collector(work / "collector", server, f"  - {{type: cri, paths: ['{pods}/*/*/*.log']}}\n").start()
    try:
        wait_for("the readable file", lambda: len(server.entries('{container="good"}')) == 1)
        bad = str(pods / "ns_a_1" / "bad" / "0.log")
        assert sum(bad in line for line in collector.text().splitlines()) == 1, collector.text()
        collector.stop()
    finally:
        collector.discard()


def damaged_segment(server):
    """After a stop everything is in segments: flip one byte in the middle of one, cut another."""
    server.stop()
    segments = sorted(pathlib.Path(server.dir / "data" / "tenants").rglob("*.lqs"))
    assert segments
    path = segments[0]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    os.chmod(path, 0o600)
    path.write_bytes(data)
    server.start()
    server.push([({"app": "steady"}, [(time.time_ns(), "after the damage")])])
    assert any(e["line"] == "after the damage" for e in server.entries('{app="steady"}'))
    server.entries('{source="container"}')
    wait_for("the damage to be counted", lambda: server.metric("logq_store_damaged_total") >= 1)


def run():
    with workspace() as work:
        config_errors(work)
        server = Server(work / "server").init().start()
        try:
            server.push([({"app": "steady"}, [(time.time_ns(), "before")])])
            forward_errors(server)
            certificate_errors(work, server)
            http_errors(server)
            push_in_part(server)
            unreadable_file(work, server)
            good = [e["line"] for e in server.entries('{app="steady"}')]
            assert len(good) == 8, good
            damaged_segment(server)
            server.stop()
        finally:
            server.discard()


main(run)
