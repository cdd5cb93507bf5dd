"""VictoriaLogs beside logq: started on a loopback port of its own, fed JSON lines, asked LogsQL.  Standard library only."""
import contextlib
import http.client
import json
import os
import re
import socket
import time
import urllib.parse
import urllib.request

from lab import Watched

NAME = "VictoriaLogs"


def binary():
    """Its path, or None."""
    return os.environ.get("PEER_VICTORIALOGS") or None


class Peer:
    def __init__(self, directory):
        self.data = directory / "victorialogs"
        with socket.socket() as s:  # it has no way to tell a port it chose
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        self.log = open(directory / "victorialogs.log", "ab")
        self.start()

    def start(self):
        self.process = Watched([binary(), f"-storageDataPath={self.data}", f"-httpListenAddr=127.0.0.1:{self.port}", "-retentionPeriod=100y",
                                "-futureRetention=100y", "-loggerLevel=WARN", "-search.maxQueryDuration=600s"], self.log)
        end = time.monotonic() + 60
        while True:
            with contextlib.suppress(OSError):
                if self.get("/health"):
                    return
            assert self.process.poll() is None and time.monotonic() < end, "VictoriaLogs did not start"
            time.sleep(0.02)

    def get(self, path, **params):
        data = urllib.parse.urlencode(params).encode() if params else None
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", data=data, timeout=600) as answer:
            return answer.read()

    def insert(self, path, rows, stream_fields):
        """Post the file of JSON lines; returns when all `rows` are counted."""
        before = self.rows()
        query = urllib.parse.urlencode({"_stream_fields": stream_fields, "_msg_field": "_msg", "_time_field": "_time"})
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=600)
        with open(path, "rb") as body:
            connection.request("POST", f"/insert/jsonline?{query}", body=body,
                               headers={"Content-Type": "application/stream+json", "Content-Length": str(os.path.getsize(path))})
            answer = connection.getresponse()
            answer.read()
        assert answer.status == 200, answer.status
        end = time.monotonic() + 120
        while self.rows() - before < rows:
            assert time.monotonic() < end, (self.rows() - before, rows)
            time.sleep(0.1)

    def rows(self):
        """Rows it holds, in memory parts and on disk."""
        self.get("/internal/force_flush")
        text = self.get("/metrics").decode()
        return sum(int(n) for n in re.findall(r"^vl_storage_rows\{[^}]*\} (\d+)", text, re.M))

    def merge(self):
        self.get("/internal/force_merge")
        time.sleep(0.2)  # it starts in the background and has no other sign
        while not re.search(r"^vl_active_force_merges 0", self.get("/metrics").decode(), re.M):
            time.sleep(0.1)

    def query(self, text):
        """Milliseconds and the answer's lines."""
        begin = time.monotonic()
        answer = self.get("/select/logsql/query", query=text)
        return (time.monotonic() - begin) * 1000, [json.loads(line) for line in answer.splitlines()]

    def stored(self):
        return sum(p.stat().st_size for p in self.data.rglob("*") if p.is_file())
