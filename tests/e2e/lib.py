"""What the end-to-end stories share: the programs under test, real runtimes, waiting with a deadline.

Standard library only.  Every story runs as root or not; what it cannot do it says and fails, it never skips.
Nothing here sleeps for a fixed time in the hope that something has happened: wait_for() polls a condition.
"""
import contextlib
import http.server
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("LOGQ_BIN", ROOT / "build" / "asan" / "bin"))
LONG = bool(os.environ.get("LOGQ_LONG"))  # the long form of a story, as scripts/soak runs it
SLOW = 4 if "san" in str(BIN) else 1  # sanitizers cost time; deadlines stretch, expectations do not


def seed():
    """A printed seed, so that a failing run can be repeated with LOGQ_SEED."""
    value = int(os.environ.get("LOGQ_SEED", random.SystemRandom().randrange(1 << 31)))
    print(f"seed {value} (repeat with LOGQ_SEED={value})", flush=True)
    return random.Random(value)


def wait_for(what, condition, seconds=20.0, every=0.05):
    """Poll condition() until it is true (its value is returned) or the deadline passes (the story fails)."""
    end = time.monotonic() + seconds * SLOW
    last = None
    while time.monotonic() < end:
        try:
            value = condition()
            if value:
                return value
        except (OSError, urllib.error.URLError, ValueError, KeyError) as problem:
            last = problem
        time.sleep(every)
    raise AssertionError(f"waited {seconds * SLOW:.0f} s in vain: {what}" + (f" (last: {last!r})" if last else ""))


@contextlib.contextmanager
def workspace():
    """A directory of the story's own; kept (and named) when the story fails."""
    path = pathlib.Path(tempfile.mkdtemp(prefix="logq-e2e-"))
    try:
        yield path
    except BaseException:
        print(f"story failed; kept {path}", flush=True)
        for log in sorted(path.rglob("*.log")):
            if log.is_file() and log.stat().st_size and log.name not in ("0.log", "ctr.log") and "json.log" not in log.name:
                text = log.read_text(errors="replace").splitlines()[-40:]
                print(f"--- {log}\n" + "\n".join(text), flush=True)
        raise
    shutil.rmtree(path, ignore_errors=True)


class Program:
    """A program under test: start, wait, signal, SIGKILL; stderr goes to a file."""

    def __init__(self, name, argv, log, env=None):
        self.name, self.argv, self.log = name, [str(a) for a in argv], pathlib.Path(log)
        self.env = dict(os.environ, **(env or {}))
        self.process = None

    def start(self):
        out = open(self.log, "ab")
        self.process = subprocess.Popen(self.argv, stdout=out, stderr=out, stdin=subprocess.DEVNULL, env=self.env)
        out.close()
        return self

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def kill(self):
        """SIGKILL, as a crash would."""
        self.process.kill()
        self.process.wait()

    def stop(self, seconds=30):
        """SIGTERM; the program must end by itself and with 0."""
        if self.process is None:
            return
        if self.alive():
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(seconds * SLOW)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError(f"{self.name} did not end within {seconds * SLOW} s of SIGTERM")
        code, self.process = self.process.returncode, None
        assert code == 0, f"{self.name} ended with {code}:\n{self.text()[-3000:]}"

    def discard(self):
        """For cleaning up after a failure."""
        if self.alive():
            self.process.kill()
            self.process.wait()

    def text(self):
        return self.log.read_text(errors="replace") if self.log.exists() else ""


class Server(Program):
    """logq-server in a directory: dev=True is `run --dev` (plain HTTP, no login), else init, TLS and a token."""

    def __init__(self, directory, dev=False, env=None):
        self.dir = pathlib.Path(directory)
        self.dev = dev
        if dev:
            argv = [BIN / "logq-server", "run", "--dev", "--data", self.dir / "data", "--config", self.dir / "server.yaml"]
        else:
            argv = [BIN / "logq-server", "run", "--config", self.dir / "server.yaml"]
        super().__init__("logq-server", argv, self.dir.parent / (self.dir.name + ".log"), env)
        self.token = None
        self.context = None

    def init(self, edit=None):
        """`logq-server init`, ports set to 0; edit(text) -> text changes server.yaml."""
        if self.dev:
            self.dir.mkdir(parents=True, exist_ok=True)
            text = "http:\n  listen: 127.0.0.1:0\nforward:\n  listen: 127.0.0.1:0\n"
        else:
            run([BIN / "logq-server", "init", self.dir])
            text = (self.dir / "server.yaml").read_text().replace(":3100", ":0").replace(":24224", ":0")
            self.token = (self.dir / "admin.token").read_text().strip()
            self.context = ssl.create_default_context(cafile=self.dir / "tls" / "ca.crt")
        (self.dir / "server.yaml").write_text(edit(text) if edit else text)
        return self

    def addresses(self):
        base = self.dir / "data" if self.dev else self.dir
        for path in (self.dir / "run" / "addresses.json", base / "run" / "addresses.json"):
            if path.exists():
                found = json.loads(path.read_text())
                if found["pid"] == self.process.pid:
                    return found
        return None

    def start(self, ready=True):
        super().start()
        if ready:
            def up():
                assert self.alive(), f"logq-server ended:\n{self.text()[-3000:]}"
                return self.addresses()
            wait_for("addresses.json of the server", up)
            wait_for("/ready", lambda: self.get("/ready")[0] == 200)
        return self

    @property
    def url(self):
        return ("http://" if self.dev else "https://") + self.addresses()["https"][0]

    @property
    def forward(self):
        return self.addresses()["forward"][0]

    def request(self, method, path, body=None, headers=None, token=True, timeout=30):
        """(status, bytes, headers); HTTP errors are answers, not exceptions."""
        request = urllib.request.Request(self.url + path, data=body, method=method, headers=headers or {})
        if self.token and token:
            request.add_header("Authorization", "Bearer " + (token if isinstance(token, str) else self.token))
        try:
            with urllib.request.urlopen(request, timeout=timeout * SLOW, context=self.context) as answer:
                return answer.status, answer.read(), answer.headers
        except urllib.error.HTTPError as answer:
            return answer.code, answer.read(), answer.headers

    def get(self, path, **params):
        query = urllib.parse.urlencode(params, doseq=True)
        status, body, _ = self.request("GET", path + ("?" + query if query else ""))
        return status, body

    def push(self, streams):
        """streams: [(labels dict, [(ns, line) or (ns, line, metadata)])] by Loki's push API."""
        body = {"streams": [{"stream": labels, "values": [[str(v[0]), *v[1:]] for v in values]} for labels, values in streams]}
        status, text, _ = self.request("POST", "/loki/api/v1/push", json.dumps(body).encode(), {"Content-Type": "application/json"})
        assert status == 204, (status, text)

    def query(self, text, seconds=3600, at=None):
        """An instant metric query: [(labels, value)]."""
        params = {"query": text}
        if at is not None:
            params["time"] = str(at)
        status, body = self.get("/loki/api/v1/query", **params)
        assert status == 200, (status, body)
        data = json.loads(body)["data"]
        if data["resultType"] == "scalar":
            return [({}, float(data["result"][1]))]
        return [(item["metric"], float(item["value"][1])) for item in data["result"]]

    def entries(self, text, start=None, end=None, limit=0):
        """Every entry of a log query, oldest first, as dicts of /api/v1/export."""
        now = time.time_ns()
        status, body = self.get("/api/v1/export", query=text, start=str(start if start is not None else now - 24 * 3600 * 10**9),
                                end=str(end if end is not None else now + 3600 * 10**9), direction="forward", limit=str(limit))
        assert status == 200, (status, body)
        return [json.loads(line) for line in body.splitlines()]

    def metric(self, name):
        """Sum of a metric over its labels, from /metrics."""
        total = 0.0
        for line in self.get("/metrics")[1].decode().splitlines():
            if line.startswith(name) and line[len(name)] in " {":
                total += float(line.rsplit(" ", 1)[1])
        return total

    def environment(self):
        """For `logq`."""
        env = {"LOGQ_ADDR": self.url}
        if self.token:
            env |= {"LOGQ_TOKEN": self.token, "LOGQ_CA_FILE": str(self.dir / "tls" / "ca.crt")}
        return env


class Collector(Program):
    """logq-collector against a Server of this story, with the inputs given as YAML text."""

    def __init__(self, directory, server, inputs, env=None, more=""):
        self.dir = pathlib.Path(directory)
        self.server, self.inputs, self.more = server, inputs, more
        super().__init__("logq-collector", [BIN / "logq-collector", "run", "--config", self.dir / "collector.yaml"],
                         self.dir.parent / (self.dir.name + ".log"), env)
        self.dir.mkdir(parents=True, exist_ok=True)

    def configure(self):
        tls = self.server.dir / "collector"
        address = self.server.forward
        (self.dir / "collector.yaml").write_text(
            f"server:\n  address: {address}\n  ca: {tls}/ca.crt\n  cert: {tls}/client.crt\n  key: {tls}/client.key\n"
            f"state_dir: {self.dir}/state\n{self.more}inputs:\n{self.inputs}")

    def start(self, configure=True):
        """configure=False: as it was, for a server that is away and cannot tell its address."""
        if configure:
            self.configure()
        return super().start()

    def get(self, path):
        """What it says of itself at `path`, where its metrics are."""
        address = json.loads((self.dir / "state" / "addresses.json").read_text())["metrics"]
        return urllib.request.urlopen(f"http://{address}{path}", timeout=30 * SLOW).read().decode()


class Feed(Program):
    """tests/tools/feed: writes numbered lines to a log as a runtime would, and rotates it."""

    def __init__(self, log_path, *options, index=None):
        self.path = pathlib.Path(log_path)
        self.index = index
        more = ["-i", index] if index else []
        self.output = self.path.parent / f".{self.path.name}.fed"
        super().__init__("feed", [BIN / "feed", *options, *more, self.path], self.output)

    def wait(self, seconds=60):
        """Until it has written all; it must succeed."""
        code = self.process.wait(seconds * SLOW)
        assert code == 0, f"feed ended with {code}: {self.text()}"
        return self

    def files(self):
        """What it has told so far: a dict per file that was begun and left, oldest first."""
        return [json.loads(line) for line in self.text().splitlines() if line.startswith("{")]

    def lines_in(self, no, start, end):
        """The lines whose last byte lies in [start, end) of its file `no` (from 1); needs index=."""
        found = set()
        for line in open(self.index):
            number, _, _, last, at = map(int, line.split())
            if last == no and start < at <= end:
                found.add(number)
        return found


class Stage:
    """A server on ports that stay, a collector that is not started yet, and feeds; see stage()."""

    def __init__(self, work, inputs, more="", edit=None):
        self.work = work
        self.programs = []
        ports = [free_port(), free_port()]

        def fixed(text):
            for port in ports:
                text = text.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
            return edit(text) if edit else text

        self.server = Server(work / "server").init(fixed)
        self.collector = Collector(work / "collector", self.server, inputs.replace("@", str(work)), more=more)
        self.programs = [self.collector, self.server]

    def feed(self, path, *options, index=None):
        """A feed of `path` below the work directory, not started yet."""
        path = self.work / path
        path.parent.mkdir(parents=True, exist_ok=True)
        feed = Feed(path, *options, index=self.work / index if index else None)
        self.programs.insert(0, feed)
        return feed


@contextlib.contextmanager
def stage(inputs, more="", edit=None):
    """A Stage in a workspace; the server runs.  `inputs`: @ is the work directory; edit(text) -> text changes server.yaml.
    At the end nothing runs any more."""
    with workspace() as work:
        s = Stage(work, inputs, more, edit)
        try:
            s.server.start()
            yield s
        finally:
            for program in s.programs:
                program.discard()


def stamp(ns=None):
    """That time, or now, as CRI writes it."""
    ns = time.time_ns() if ns is None else ns
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(ns // 10**9)) + ".%09dZ" % (ns % 10**9)


def wait_count(server, selector, lines, seconds=60):
    """Wait until `selector` finds at least so many records."""
    count = f"sum(count_over_time({selector}[24h]))"
    wait_for(f"{lines} records", lambda: sum(v for _, v in server.query(count)) >= lines, seconds)


def numbers(server, selector, env=None):
    """The numbers n=... of all records that `selector` finds, as a list; a record without one fails the story."""
    argv = [BIN / "logq", "query", "--limit", "0", "--since", "24h", "-o", "raw", selector]
    done = run(argv, env=server.environment() | (env or {}), timeout=300, text=False)
    return [int(line[2:12]) if line.startswith(b"n=") else alien(line) for line in done.stdout.splitlines()]


def alien(line):
    raise AssertionError(f"a line nobody wrote: {line[:120]!r}")


def exact(server, selector, first, end, gone=()):
    """Every number in [first, end) is there once, but for those in `gone`, which are not there at all."""
    got = numbers(server, selector)
    have = set(got)
    want = set(range(first, end)) - set(gone)
    lost, more = sorted(want - have), sorted(have - want)
    print(f"{len(got)} records, {len(have)} distinct, {len(want)} expected, {len(gone)} gone")
    assert not lost, f"{len(lost)} lost: {lost[:10]} ... {lost[-3:]}"
    assert not more, f"{len(more)} there that should not be: {more[:10]}"
    assert len(got) == len(have), f"{len(got) - len(have)} stored twice"


def gaps(server, cause=None):
    """The collector's gap records: [{"gap": cause, "file", "start", "end", ...}], numbers as numbers."""
    found = [e["attributes"] for e in server.entries('{source="logq"}') if "gap" in e.get("attributes", {})]
    for gap in found:
        gap |= {key: int(gap[key]) for key in ("start", "end", "bytes") if key in gap}
    return [gap for gap in found if cause in (None, gap["gap"])]


def run(argv, check=True, env=None, timeout=120, text=True, **more):
    """subprocess.run with output captured and shown when it fails."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=text, env=dict(os.environ, **(env or {})),
                          timeout=timeout * SLOW, stdin=more.pop("stdin", subprocess.DEVNULL), **more)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(str(a) for a in argv)} ended with {done.returncode}:\n{done.stdout}{done.stderr}")
    return done


class Receiver:
    """A real HTTP receiver for webhooks: keeps (monotonic time, path, headers, body); answers with `status`."""

    def __init__(self):
        self.got = []
        self.status = 200
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                receiver.got.append((time.monotonic(), self.path, dict(self.headers), body))
                self.send_response(receiver.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.httpd.server_address[1]}/hook"
        threading.Thread(target=self.httpd.serve_forever, daemon=True).start()

    def close(self):
        self.httpd.shutdown()
        self.httpd.server_close()


def rootfs(directory):
    """A tar of a small root file system with static busybox, the image of every container here."""
    directory = pathlib.Path(directory)
    root = directory / "rootfs"
    for d in ("bin", "etc", "proc", "sys", "dev", "tmp"):
        (root / d).mkdir(parents=True, exist_ok=True)
    shutil.copy("/bin/busybox", root / "bin" / "busybox")
    for applet in "sh echo ls cat sleep id seq date usleep printf awk true head dd tr".split():
        link = root / "bin" / applet
        if not link.is_symlink():
            link.symlink_to("busybox")
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    run(["tar", "-C", root, "-cf", directory / "rootfs.tar", "."])
    return directory / "rootfs.tar"


def remove_cgroups(name):
    """rmdir what a runtime of ours left under /sys/fs/cgroup/*/`name`; only empty directories go.  Each has a parent of its own:
    in the usual one somebody else may just make a container."""
    root = pathlib.Path("/sys/fs/cgroup")
    for path in [*root.glob(name), *root.glob(f"*/{name}")]:
        with contextlib.suppress(OSError):
            for inner in sorted((p for p in path.rglob("*") if p.is_dir()), key=lambda p: -len(p.parts)):
                inner.rmdir()
            path.rmdir()


class Podman:
    """Podman with all state in one directory: private containers.conf, vfs, runc, events in a file."""

    def __init__(self):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="logq-podman-"))
        self.events = self.dir / "events.log"
        (self.dir / "containers.conf").write_text(
            '[containers]\ndefault_ulimits = []\nlog_driver = "k8s-file"\n'
            f'[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\nevents_logfile_path = "{self.events}"\n'
            f'tmp_dir = "{self.dir}/tmp"\n[network]\nnetwork_config_dir = "{self.dir}/net"\n')
        self.env = {"CONTAINERS_CONF": str(self.dir / "containers.conf")}
        self.argv = ["podman", "--root", self.dir / "root", "--runroot", self.dir / "run", "--storage-driver", "vfs"]
        self.service_process = None
        self("import", "-q", rootfs(self.dir), "localhost/bb:1")

    def __call__(self, *args, **more):
        if args[0] in ("run", "create"):
            args = (args[0], "--cgroup-parent", f"/{self.dir.name}", *args[1:])
        return run([*self.argv, *args], env=self.env, **more).stdout.strip()

    def run(self, name, *command, options=()):
        """Start detached; the log file's path."""
        self("run", "-d", "--name", name, "--network", "none", *options, "localhost/bb:1", *command)
        return self.log_path(name)

    def log_path(self, name):
        return pathlib.Path(self("inspect", name, "--format", "{{.HostConfig.LogConfig.Path}}"))

    def wait(self, name):
        assert self("wait", name, timeout=600) == "0"

    def service(self):
        """The Docker-compatible API on a unix socket."""
        path = self.dir / "podman.sock"
        self.service_process = subprocess.Popen([*map(str, self.argv), "system", "service", "--time=0", f"unix://{path}"],
                                                env=dict(os.environ, **self.env), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        wait_for("podman's service", path.exists)
        return path

    def close(self):
        if self.service_process:
            self.service_process.terminate()
            self.service_process.wait()
        run([*self.argv, "rm", "-fa", "-t", "0"], env=self.env, check=False)
        remove_cgroups(self.dir.name)
        shutil.rmtree(self.dir, ignore_errors=True)


class Docker:
    """dockerd with all state in one directory, its own containerd, no bridge, no iptables; `inside`: the beginning of its
    command."""

    def __init__(self, inside=()):
        self.dir = pathlib.Path(tempfile.mkdtemp(prefix="logq-docker-"))
        self.socket = self.dir / "d.sock"
        self.log = open(self.dir / "dockerd.log", "wb")
        self.daemon = subprocess.Popen(
            [*inside, "dockerd", "--data-root", self.dir / "data", "--exec-root", self.dir / "exec", "--pidfile", self.dir / "pid",
             "-H", f"unix://{self.socket}", "--storage-driver", "vfs", "--iptables=false", "--ip6tables=false", "--bridge=none",
             "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self.dir.name}"],
            stdout=self.log, stderr=self.log, stdin=subprocess.DEVNULL)
        self.env = {"DOCKER_HOST": f"unix://{self.socket}"}
        wait_for("dockerd", lambda: run(["docker", "version"], env=self.env, check=False).returncode == 0, 40)
        self("import", rootfs(self.dir), "bb:1")

    def __call__(self, *args, **more):
        return run(["docker", *args], env=self.env, **more).stdout.strip()

    def run(self, name, *command, options=()):
        self("run", "-d", "--name", name, "--network", "host", *options, "bb:1", *command)
        return pathlib.Path(self("inspect", name, "--format", "{{.LogPath}}"))

    def wait(self, name):
        assert self("wait", name, timeout=600) == "0"

    def close(self):
        for container in self("ps", "-aq", check=False).split():
            self("rm", "-f", container, check=False)
        self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.log.close()
        run(["umount", self.dir / "exec" / "netns" / "default"], check=False)
        remove_cgroups(self.dir.name)
        shutil.rmtree(self.dir, ignore_errors=True)


def logq(server, *args, check=True, env=None):
    """The command line against `server`."""
    return run([BIN / "logq", *args], env=server.environment() | (env or {}), check=check)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def main(story):
    """Run the story; its docstring says what happens and what each party must have seen."""
    sys.stdout.reconfigure(line_buffering=True)
    begin = time.monotonic()
    story()
    print(f"ok in {time.monotonic() - begin:.1f} s")
