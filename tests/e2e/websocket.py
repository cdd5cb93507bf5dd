"""A WebSocket client for the stories: handshake, masked frames out, frames in.  Standard library only."""
import base64
import hashlib
import json
import os
import socket
import struct
import time
import urllib.parse

TEXT, CLOSE, PING, PONG = 1, 8, 9, 10


class WebSocket:
    """Follows `path` of a server; `status` is not 101 when it was refused, then `body` says why."""

    def __init__(self, server, path, headers=(), timeout=20):
        url = urllib.parse.urlsplit(server.url)
        self.socket = socket.create_connection((url.hostname, url.port), timeout)
        if url.scheme == "https":
            self.socket = server.context.wrap_socket(self.socket, server_hostname=url.hostname)
        key = base64.b64encode(os.urandom(16)).decode()
        lines = [f"GET {path} HTTP/1.1", f"Host: {url.netloc}", "Connection: Upgrade", "Upgrade: websocket",
                 "Sec-WebSocket-Version: 13", f"Sec-WebSocket-Key: {key}", *headers]
        if server.token:
            lines.append(f"Authorization: Bearer {server.token}")
        self.socket.sendall(("\r\n".join(lines) + "\r\n\r\n").encode())
        self.buffer = b""
        while b"\r\n\r\n" not in self.buffer:
            self.more()
        head, self.buffer = self.buffer.split(b"\r\n\r\n", 1)
        self.status = int(head.split(b" ", 2)[1])
        self.body = b""
        if self.status == 101:
            digest = hashlib.sha1((key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").encode()).digest()
            assert f"sec-websocket-accept: {base64.b64encode(digest).decode()}".lower() in head.decode().lower(), head
        else:
            length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
            while len(self.buffer) < length:
                self.more()
            self.body = self.buffer

    def more(self):
        data = self.socket.recv(65536)
        if not data:
            raise ConnectionError("the server has closed")
        self.buffer += data

    def frame(self):
        """The next frame: (opcode, payload)."""
        def need(n):
            while len(self.buffer) < n:
                self.more()
        need(2)
        n, at = self.buffer[1] & 127, 2
        if n >= 126:
            size = 2 if n == 126 else 8
            need(2 + size)
            n, at = struct.unpack(">H" if size == 2 else ">Q", self.buffer[2:2 + size])[0], 2 + size
        need(at + n)
        frame = self.buffer[0] & 15, bytes(self.buffer[at:at + n])
        self.buffer = self.buffer[at + n:]
        return frame

    def send(self, opcode, payload=b""):
        mask = os.urandom(4)
        masked = bytes(b ^ mask[i % 4] for i, b in enumerate(payload))
        self.socket.sendall(bytes([0x80 | opcode, 0x80 | len(payload)]) + mask + masked)

    def entries(self, wanted, seconds=20):
        """Lines [(labels, ns, line)] until `wanted` of them are there; pings are answered."""
        got, end = [], time.monotonic() + seconds
        self.socket.settimeout(seconds)
        while len(got) < wanted:
            assert time.monotonic() < end, f"{len(got)} of {wanted} entries came"
            opcode, payload = self.frame()
            if opcode == PING:
                self.send(PONG, payload)
            elif opcode == CLOSE:
                raise AssertionError(f"closed: {payload}")
            elif opcode == TEXT:
                for stream in json.loads(payload)["streams"]:
                    got += [(stream["stream"], int(v[0]), v[1]) for v in stream["values"]]
        return got

    def close(self):
        self.socket.close()
