"""A small Kubernetes API server for stories: HTTPS, a bearer token, list and watch of the pods of one node.

It does what the real one (1.35) does as far as a watcher can see it: pages by limit and continue, but everything at once
where resourceVersion=0 lets it answer from its cache; resourceVersion, watches that end, bookmarks, 410 Gone for versions that
it has forgotten, 401 for a token that is not (or no more) right, 403 where no role allows it, each with its words.
"""
import base64
import http.server
import json
import pathlib
import ssl
import subprocess
import threading
import urllib.parse


def certificates(directory):
    """A CA and a certificate for 127.0.0.1 by it: api-ca.crt, api.crt, api.key."""
    d = pathlib.Path(directory)
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    (d / "api.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\nbasicConstraints=CA:FALSE\n")
    for argv in (["req", "-x509", *curve, "-keyout", d / "api-ca.key", "-out", d / "api-ca.crt", "-subj", "/CN=kubernetes"],
                 ["req", *curve, "-keyout", d / "api.key", "-out", d / "api.csr", "-subj", "/CN=kube-apiserver"],
                 ["x509", "-req", "-in", d / "api.csr", "-CA", d / "api-ca.crt", "-CAkey", d / "api-ca.key", "-CAcreateserial",
                  "-days", "2", "-extfile", d / "api.ext", "-out", d / "api.crt"]):
        subprocess.run(["openssl", *map(str, argv)], check=True, capture_output=True)


class KubeApi:
    def __init__(self, directory, node, token):
        self.dir, self.node, self.tokens = pathlib.Path(directory), node, {token}
        self.pods = {}  # uid -> object
        self.version = 100
        self.oldest = 0  # versions before it are forgotten
        self.events = []  # (version, type, object)
        self.changed = threading.Condition()
        self.requests = []  # (kind, resourceVersion or None, token)
        self.denied = 0
        self.forbidden = False  # the ServiceAccount has no role
        self.end_watches = 0  # goes up: all watches end
        self.port = 0
        self.httpd = None
        certificates(directory)

    # ---- the cluster

    def pod(self, uid, namespace, name, labels, annotations=None, image="reg/web:1", owner=None, created="2026-11-22T19:51:00Z"):
        found = {"apiVersion": "v1", "kind": "Pod",
                 "metadata": {"uid": uid, "namespace": namespace, "name": name, "labels": labels, "annotations": annotations or {},
                              "creationTimestamp": created,
                              "managedFields": [{"manager": "kubelet", "fieldsV1": {"f:status": {"f:phase": {}}}}]},
                 "spec": {"nodeName": self.node, "containers": [{"name": "app", "image": image}]},
                 "status": {"phase": "Running"}}
        if owner:
            found["metadata"]["ownerReferences"] = [{"kind": owner[0], "name": owner[1], "uid": "o", "controller": True}]
        return found

    def put(self, pod):
        with self.changed:
            self.version += 1
            pod = json.loads(json.dumps(pod))
            pod["metadata"]["resourceVersion"] = str(self.version)
            kind = "MODIFIED" if pod["metadata"]["uid"] in self.pods else "ADDED"
            self.pods[pod["metadata"]["uid"]] = pod
            self.events.append((self.version, kind, pod))
            self.changed.notify_all()

    def delete(self, uid):
        with self.changed:
            self.version += 1
            pod = self.pods.pop(uid)
            pod["metadata"]["resourceVersion"] = str(self.version)
            self.events.append((self.version, "DELETED", pod))
            self.changed.notify_all()

    def forget(self):
        """All versions up to now are too old; watches end."""
        with self.changed:
            self.version += 1
            self.oldest = self.version
            self.events = []
            self.end_watches += 1
            self.changed.notify_all()

    def cut(self):
        with self.changed:
            self.end_watches += 1
            self.changed.notify_all()

    def count(self, kind):
        return sum(1 for r in self.requests if r[0] == kind)

    # ---- HTTP

    @property
    def url(self):
        return f"https://127.0.0.1:{self.port}"

    def start(self):
        api = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self):
                try:
                    api.answer(self)
                except (OSError, ssl.SSLError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        class Server(http.server.ThreadingHTTPServer):
            daemon_threads = True
            allow_reuse_address = True

            def get_request(self):
                connection, address = super().get_request()
                connection.settimeout(30)
                return context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False), address

            def handle_error(self, *_):
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.dir / "api.crt", self.dir / "api.key")
        self.httpd = Server(("127.0.0.1", self.port), Handler)
        self.port = self.httpd.server_address[1]
        threading.Thread(target=self.httpd.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def stop(self):
        """Nobody listens, and all connections are cut."""
        if self.httpd is None:
            return
        self.httpd.shutdown()
        self.httpd.server_close()
        self.httpd = None
        self.cut()

    def refuse(self, handler, code, reason, message=""):
        body = self.status(code, reason, message)
        handler.send_response(code)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    @staticmethod
    def status(code, reason, message=""):
        return json.dumps({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message or reason,
                           "reason": reason, "code": code}).encode()

    def answer(self, handler):
        url = urllib.parse.urlsplit(handler.path)
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        token = (handler.headers.get("Authorization") or "").removeprefix("Bearer ")
        kind = "watch" if query.get("watch") == "true" else "list"
        self.requests.append((kind, query.get("resourceVersion"), token))
        if token not in self.tokens:
            self.denied += 1
            self.refuse(handler, 401, "Unauthorized")
        elif self.forbidden:
            self.refuse(handler, 403, "Forbidden", 'pods is forbidden: User "system:serviceaccount:logq:logq-collector" cannot '
                        f'{kind} resource "pods" in API group "" at the cluster scope')
        elif url.path != "/api/v1/pods" or query.get("fieldSelector") != f"spec.nodeName={self.node}":
            self.refuse(handler, 403, "Forbidden")
        elif kind == "list":
            self.list(handler, query)
        else:
            self.watch(handler, query)

    def list(self, handler, query):
        with self.changed:
            begin = 0
            if "continue" in query:
                begin, version = json.loads(base64.urlsafe_b64decode(query["continue"]))
                if version < self.oldest:
                    return self.refuse(handler, 410, "Expired")
            pods = [self.pods[uid] for uid in sorted(self.pods)]
            end = len(pods) if query.get("resourceVersion") == "0" else begin + int(query["limit"])
            metadata = {"resourceVersion": str(self.version)}
            if end < len(pods):
                metadata["continue"] = base64.urlsafe_b64encode(json.dumps([end, self.version]).encode()).decode()
            body = json.dumps({"kind": "PodList", "apiVersion": "v1", "metadata": metadata, "items": pods[begin:end]}).encode()
        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)
        return None

    def watch(self, handler, query):
        version, mine = int(query["resourceVersion"]), self.end_watches

        def chunk(data):
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            handler.wfile.flush()

        def event(kind, pod):
            chunk(json.dumps({"type": kind, "object": pod}).encode() + b"\n")

        handler.send_response(200)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        handler.wfile.flush()
        if version < self.oldest:
            event("ERROR", json.loads(self.status(410, "Expired")))
        while version >= self.oldest:
            with self.changed:
                self.changed.wait_for(lambda: self.end_watches != mine or self.version > version, 30)
                new = [e for e in self.events if e[0] > version]
                version = max(version, self.version)
                over = self.end_watches != mine
            for _, kind, pod in new:
                event(kind, pod)
            if over:
                break
            event("BOOKMARK", {"kind": "Pod", "apiVersion": "v1", "metadata": {"resourceVersion": str(version)}})
        chunk(b"")
        handler.close_connection = True
