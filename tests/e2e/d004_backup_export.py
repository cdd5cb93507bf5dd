#!/usr/bin/env python3
"""What is stored can be checked, copied while it is written to, brought back, taken out and put in again.

server: gets lines, some of them no UTF-8; is backed up, verified, killed; a second one starts from the restored copy.
logq: admin flush, compact, backup; verify --structure says intact; export and import move the very bytes, twice is once.
logq-server: verify on a stopped directory names the file of a flipped bit (1), refuses a running one (5).
"""
import base64
import gzip
import json
import shutil
import subprocess
import time

from lib import BIN, Server, logq, main, run, workspace

S = 10**9


def offline(server, *args, code=0):
    done = run([BIN / "logq-server", "verify", "--structure", "--config", server.dir / "server.yaml", *args], check=False)
    assert done.returncode == code, done
    return done.stdout


def exact(server, query, start, end):
    status, body = server.get("/api/v1/export", query=query, start=str(start), end=str(end), direction="forward", form="exact")
    assert status == 200, body
    return [{k: v for k, v in json.loads(line).items() if k != "seq"} for line in body.splitlines()]


def export_import(server, directory, now):
    start, end = now - 3600 * S, now + 60 * S
    before = exact(server, '{app="web"}', start, end)
    assert len(before) == 2300 and any("line_base64" in r for r in before), before[-1]
    for name in ("all.jsonl", "all.jsonl.zst", "all.jsonl.gz"):
        logq(server, "export", '{app="web"}', directory / name, "--since", "1h")
    plain = (directory / "all.jsonl").read_bytes()
    assert gzip.decompress((directory / "all.jsonl.gz").read_bytes()) == plain
    assert len(plain.splitlines()) == 2300 and (directory / "all.jsonl.zst").stat().st_size < len(plain) // 5
    assert logq(server, "export", '{app="web"}', "-", "--since", "1h").stdout.encode() == plain
    assert logq(server, "export", '{app="none"}', directory / "none.zst", check=False).returncode == 1
    return before, start, end


def put_in(server, directory, before, start, end):
    """Into another server: the same records; a second time nothing more."""
    for name in ("all.jsonl.zst", "all.jsonl.gz"):
        logq(server, "import", directory / name)
        assert exact(server, '{app="web"}', start, end) == before, name
    with open(directory / "all.jsonl", "rb") as lines:
        done = subprocess.run([BIN / "logq", "import", "-"], stdin=lines, env=server.environment(), capture_output=True)
    assert done.returncode == 0 and b"2300 lines" in done.stderr, done
    assert exact(server, '{app="web"}', start, end) == before
    (directory / "bad").write_text('{"ts_ns":"1","labels":{"a":"b"}}\n')
    done = logq(server, "import", directory / "bad", check=False)
    assert done.returncode == 2 and "line 1" in done.stderr, done


def story():
    now = time.time_ns()
    with workspace() as directory:
        server = Server(directory / "server").init().start()
        server.push([({"app": "web"}, [(now - (3000 - i) * S // 10, f"request {i} took {i % 97} ms", {"id": str(i)}) for i in range(1500)])])
        bad = "\n".join(json.dumps({"ts_ns": str(now - i), "labels": {"app": "web", "service_name": "web"}, "attributes": {"k": "v"},
                                    "line_base64": base64.b64encode(bytes([0, 255, i % 256, 13, 10])).decode()}) for i in range(800))
        status, body, _ = server.request("POST", "/api/v1/import", bad.encode())
        assert status == 204, body
        before, start, end = export_import(server, directory, now)

        # An operator's work.
        assert "segments" in logq(server, "admin", "flush").stdout
        server.push([({"app": "late"}, [(now, "in the WAL alone")])])
        made = json.loads(logq(server, "admin", "compact", "-o", "json").stdout)
        assert made["segments"] >= 1 and made["state"] == "done" and "error" not in made, made
        status, body, _ = server.request("GET", "/api/v1/admin/compact")
        assert status == 200 and json.loads(body)["state"] == "done", body
        status, body, _ = server.request("POST", "/api/v1/admin/compact", b"")  # begins, and does not wait
        assert status == 200 and json.loads(body)["state"] in ("running", "done"), body
        status, body, _ = server.request("POST", "/api/v1/admin/compact?wait=1", b"")
        assert status == 200 and json.loads(body)["state"] == "done", body
        assert "intact" in logq(server, "verify", "--structure").stdout
        seen = json.loads(logq(server, "verify", "--structure", "-o", "json").stdout)
        assert seen["verdict"] == "intact" and seen["keys"] and seen["rows"] >= 2300 and seen["findings"] == [], seen
        parts = seen["bytes"]
        assert parts["total"] == sum(v for k, v in parts.items() if k != "total") and parts["lines"] > 0, parts
        offline(server, code=5)  # it runs
        status, body, _ = server.request("POST", "/api/v1/admin/flush", b"", token=False)
        assert status == 401, body

        # A legal hold.
        held = json.loads(logq(server, "admin", "hold", "add", "a case", "--from", "2h", "--to", "now", "-o", "json").stdout)
        assert "a case" in logq(server, "admin", "hold", "list").stdout
        denied = logq(server, "delete", '{app="late"}', "--since", "1h", check=False)
        assert denied.returncode == 4 and "legal hold" in denied.stderr, denied.stderr
        logq(server, "admin", "hold", "release", held["id"])
        held = json.loads(logq(server, "admin", "hold", "add", "a case", '{app="late"}', "--from", "2h", "--to", "now", "-o", "json").stdout)
        assert '{app="late"}' in logq(server, "admin", "hold", "list").stdout
        rows = [json.loads(line) for line in logq(server, "admin", "hold", "list", "-o", "jsonl").stdout.splitlines()]
        assert [(r["id"], r["reason"], r["query"]) for r in rows] == [(held["id"], "a case", '{app="late"}')], rows
        assert "no -o csv" in logq(server, "admin", "flush", "-o", "csv", check=False).stderr
        denied = logq(server, "delete", '{app=~"l.*"}', "--since", "1h", check=False)
        assert denied.returncode == 4 and held["id"] in denied.stderr, denied.stderr
        logq(server, "delete", '{app="nobody"}', "--since", "1h")
        logq(server, "admin", "hold", "release", held["id"])
        assert logq(server, "admin", "hold", "list", check=False).returncode == 1

        # A backup, and another server from it.
        backup, keys = directory / "backup", directory / "keys"
        logq(server, "admin", "backup", backup, "--with-keyring", keys)
        assert (backup / "MANIFEST").exists() and not (backup / "keyring.db").exists() and (keys / "keyring.db").exists()
        assert logq(server, "admin", "backup", backup, check=False).returncode != 0
        server.push([({"app": "after"}, [(now, "not in the backup")])])
        server.kill()
        offline(server)
        other = Server(directory / "other").init()
        shutil.copy(server.dir / "master.key", other.dir / "master.key")
        run([BIN / "logq-server", "restore", "--from", backup, "--keyring", keys / "keyring.db", "--data", other.dir / "data"])
        offline(other)
        other.start()
        assert exact(other, '{app="web"}', start, end) == before
        assert len(other.entries('{app="late"}')) == 1 and other.entries('{app="after"}') == []
        other.stop()

        # A third one takes the export.
        third = Server(directory / "third").init().start()
        put_in(third, directory, before, start, end)
        third.stop()
        found = json.loads(offline(third, "--output", "json"))
        assert found["rows"] == 2300 and found["verdict"] == "intact", found

        # One bit.
        segment = max((third.dir / "data" / "tenants").rglob("*.lqs"), key=lambda p: p.stat().st_size)
        data = bytearray(segment.read_bytes())
        data[len(data) // 2] ^= 16
        segment.write_bytes(data)
        found = json.loads(offline(third, "--output", "json", code=1))
        assert any(f["file"].endswith(segment.name) and f["kind"] == "damage" and "block" in f for f in found["findings"]), found
        found = json.loads(offline(third, "--output", "json", "--no-keys", code=1))
        assert found["keys"] is False and any(f["file"].endswith(segment.name) for f in found["findings"]), found


if __name__ == "__main__":
    main(story)
