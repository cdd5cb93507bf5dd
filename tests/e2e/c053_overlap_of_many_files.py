#!/usr/bin/env python3
"""What may lie on two servers, of more files than are asked for at once.

two servers   here one that answers for both: each of 150 files has two marked ranges on the one, and is whole on the other
logq          `collectors --overlap --also` asks for each file once, and names each range once
"""
import http.server
import json
import subprocess
import threading
import urllib.parse

from lib import BIN, SLOW, main

FILES = 150
MARKED = [(0, 10), (20, 30)]


def item(file, start, end):
    return {"name": "n1", "identity": "logq://t/collector/n1", "file": file, "start": start, "end": end}


class Handler(http.server.BaseHTTPRequestHandler):
    asked = []

    def do_GET(self):
        url = urllib.parse.urlparse(self.path)
        params = urllib.parse.parse_qs(url.query)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        params.update(urllib.parse.parse_qs(body.decode()))
        if url.path == "/api/v1/collectors/overlap":
            answer = [item(f"f{i:03}", *r) for i in range(FILES) for r in MARKED]
        else:
            assert url.path == "/api/v1/collectors/ranges", self.path
            files = params["files"][0].split(",")
            self.asked.extend(files)
            answer = [item(file, 0, 100) for file in files]
        out = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(out)))
        self.end_headers()
        self.wfile.write(out)

    do_POST = do_GET

    def log_message(self, *args):
        pass


def run():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    done = subprocess.run([BIN / "logq", "collectors", "--overlap", f"--addr={url}", f"--also={url}", "-o", "json"],
                          capture_output=True, text=True, timeout=30 * SLOW, check=False)
    server.shutdown()
    assert done.returncode == 0, done.stderr
    got = sorted((r["file"], r["start"], r["end"]) for r in json.loads(done.stdout))
    assert got == [(f"f{i:03}", *r) for i in range(FILES) for r in MARKED], f"{len(got)} ranges"
    assert sorted(Handler.asked) == [f"f{i:03}" for i in range(FILES)], f"{len(Handler.asked)} files asked for"


main(run)
