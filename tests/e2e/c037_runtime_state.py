#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 200
"""Containers of a pod, run by a real runc and by a real containerd, annotated as a kubelet has its runtime annotate them; their
logs lie where a kubelet puts them, in CRI's form.  Which container a log is of says only the runtime's state, which root alone may
read.  Each record has the id and the image of its container, and the container's hints are followed:

    runs        while its sandbox and it are there
    restarted   the next log is that of the next container, which has another id
    killed      the server is away, the collector is killed, and before it is back the container is gone
    deleted     the server is away, the container is gone with its log, and the collector is stopped and started

Nothing is lost or stored twice, no gap, and nobody is unresolved."""
import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import time

from lib import gaps, main, remove_cgroups, rootfs, run, stage, wait_count, wait_for

UID = "0b1c2d3e-1111-2222-3333-444455556666"
POD = {"io.kubernetes.cri.sandbox-namespace": "shop", "io.kubernetes.cri.sandbox-name": "web", "io.kubernetes.cri.sandbox-uid": UID,
       "io.kubernetes.cri.sandbox-id": "logqsandbox"}
NOW = time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z", time.gmtime())
TRACE = ["Traceback (most recent call last):", '  File "shop.py", line 1, in f', "ValueError: shop"]
LINES = 40


def annotations(name, image):
    return POD | {"io.kubernetes.cri.container-type": "container", "io.kubernetes.cri.container-name": name,
                  "io.kubernetes.cri.image-name": image, "logq.io/multiline": "python", "logq.io/redact": "ip"}


def writer(first):
    """A shell command that writes LINES numbered lines and a stack trace, in CRI's form, and stays."""
    trace = " ".join(f"'{NOW} stderr F {line}'" for line in [*TRACE, "the end"])
    return (f"for i in $(seq {first} {first + LINES - 1}); do echo \"{NOW} stdout F n=$i from 10.1.2.3\"; done; "
            f"for l in {trace}; do echo \"$l\"; done; exec sleep 1000")


def expected(first):
    return sorted([f"n={i} from [redacted:ip]" for i in range(first, first + LINES)] + ["\n".join(TRACE), "the end"])


class Runc:
    """runc with its state in one directory, as a runtime that Kubernetes uses calls it."""

    def __init__(self, directory, cgroup):
        self.dir, self.cgroup = pathlib.Path(directory), cgroup
        self.state = self.dir / "state"
        self.rootfs = rootfs(self.dir).parent / "rootfs"
        self.ids = []

    def run(self, name, notes, command, log=None):
        bundle = self.dir / name
        bundle.mkdir()
        run(["runc", "spec"], cwd=bundle)
        spec = json.loads((bundle / "config.json").read_text())
        spec["process"] |= {"terminal": False, "args": ["/bin/sh", "-c", command]}
        spec["root"]["path"] = str(self.rootfs)
        spec["linux"]["cgroupsPath"] = f"/{self.cgroup}/{name}"
        spec["annotations"] = notes
        (bundle / "config.json").write_text(json.dumps(spec))
        self.ids.append(name)
        with open(log or "/dev/null", "ab") as out:
            subprocess.run(["runc", "--root", self.state, "run", "-d", "--bundle", bundle, name], check=True, stdin=subprocess.DEVNULL,
                           stdout=out, stderr=subprocess.DEVNULL, timeout=60)

    def remove(self, name):
        run(["runc", "--root", self.state, "delete", "-f", name], check=False)
        self.ids.remove(name)

    def close(self):
        for name in list(self.ids):
            self.remove(name)
        remove_cgroups(self.cgroup)


class Containerd:
    """containerd with all state in one directory but for what its shims keep below /run/containerd."""

    def __init__(self, directory, root, cgroup):
        self.dir, self.rootfs, self.cgroup = pathlib.Path(directory), root, cgroup
        self.dir.mkdir()
        self.state = self.dir / "state" / "io.containerd.runtime.v2.task" / "k8s.io"
        self.socket = self.dir / "c.sock"
        (self.dir / "c.toml").write_text(f'version = 2\nroot = "{self.dir}/root"\nstate = "{self.dir}/state"\n'
                                         f'disabled_plugins = ["io.containerd.grpc.v1.cri"]\n[grpc]\n  address = "{self.socket}"\n')
        self.log = open(self.dir / "containerd.out", "wb")
        self.daemon = subprocess.Popen(["containerd", "-c", self.dir / "c.toml"], stdout=self.log, stderr=self.log,
                                       stdin=subprocess.DEVNULL)
        wait_for("containerd", lambda: self("version", check=False).returncode == 0, 40)

    def __call__(self, *args, **more):
        return run(["ctr", "-a", self.socket, "-n", "k8s.io", *args], **more)

    def run(self, name, notes, command, log):
        options = [part for key, value in notes.items() for part in ("--annotation", f"{key}={value}")]
        self("run", "-d", "--rootfs", "--cgroup", f"/{self.cgroup}/{name}", *options, "--log-uri", f"file://{log}", self.rootfs, name,
             "/bin/sh", "-c", command)

    def remove(self, name):
        self("task", "kill", "-s", "KILL", name, check=False)
        wait_for("its end", lambda: self("task", "rm", name, check=False).returncode == 0 or name not in self("task", "ls", "-q").stdout)
        self("container", "rm", name, check=False)

    def close(self):
        for name in self("container", "ls", "-q", check=False).stdout.split():
            self.remove(name)
        self.daemon.terminate()
        try:
            self.daemon.wait(30)
        except subprocess.TimeoutExpired:
            self.daemon.kill()
            self.daemon.wait()
        self.log.close()
        with contextlib.suppress(OSError):  # it is others' too, unless it is empty
            os.rmdir("/run/containerd/runc/k8s.io")


def log_of(s, name, restart):
    path = s.work / "pods" / f"shop_web_{UID}" / name / f"{restart}.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def remembered(s, container, log):
    """Until all of its log is written, and the collector has found out whose log it is."""
    path = s.collector.dir / "state" / "containers"
    wait_for("its lines", lambda: log.read_text().count("\n") == LINES + len(TRACE) + 1)
    wait_for(f"{container} to be known", lambda: f'"id":"{container}"' in path.read_text())


def check(s, container, name, image, restart, first):
    selector = f'{{pod="web",container="{name}",image="{image}",namespace="shop"}}'
    wait_count(s.server, selector, LINES + 2, 30)
    got = s.server.entries(selector)
    assert sorted(e["line"] for e in got) == expected(first), [e["line"] for e in got][:3]
    for e in got:
        a = e["attributes"]
        assert (a.get("container_id"), a.get("pod_uid"), a.get("restart")) == (container, UID, str(restart)), a
        assert "unresolved" not in a
    print(f"{container}: {len(got)} records, image {image}")


def story(s, runc, containerd):
    s.collector.start()
    wait_for("a connection", lambda: "ship.connected" in s.collector.text())
    runc.run("logqsandbox", POD | {"io.kubernetes.cri.container-type": "sandbox"}, "exec sleep 1000")

    runc.run("logqapp0", annotations("app", "shop:0"), writer(100), log_of(s, "app", 0))
    check(s, "logqapp0", "app", "shop:0", 0, 100)
    containerd.run("logqctr0", annotations("side", "side:0"), writer(200), log_of(s, "side", 0))
    check(s, "logqctr0", "side", "side:0", 0, 200)

    for runtime, name, container in ((runc, "app", "logqapp"), (containerd, "side", "logqctr")):
        runtime.remove(f"{container}0")
        runtime.run(f"{container}1", annotations(name, f"{name}:1"), writer(300), log_of(s, name, 1))
        check(s, f"{container}1", name, f"{name}:1", 1, 300)
        runtime.remove(f"{container}1")

    s.server.kill()
    runc.run("logqapp2", annotations("app", "app:2"), writer(400), log_of(s, "app", 2))
    remembered(s, "logqapp2", log_of(s, "app", 2))
    s.collector.kill()
    runc.remove("logqapp2")
    s.collector.start(configure=False)
    containerd.run("logqctr2", annotations("side", "side:2"), writer(500), log_of(s, "side", 2))
    remembered(s, "logqctr2", log_of(s, "side", 2))
    wait_for("its log to be followed", lambda: f"file.open file={log_of(s, 'side', 2)}" in s.collector.text())
    containerd.remove("logqctr2")
    shutil.rmtree(log_of(s, "side", 2).parent)
    s.collector.stop()
    assert list((s.collector.dir / "state" / "keep").iterdir())
    s.collector.start(configure=False)
    wait_for("the kept log", lambda: "file=keep" in s.collector.text())
    s.server.start()
    check(s, "logqapp2", "app", "app:2", 2, 400)
    check(s, "logqctr2", "side", "side:2", 2, 500)
    assert gaps(s.server) == [], gaps(s.server)
    assert "file.unresolved" not in s.collector.text()
    s.collector.stop()
    s.server.stop()


def start():
    inputs = "  - {type: cri, paths: ['@/pods/*/*/*.log'], runtime_state: ['@/runc/state', '@/ctd/state/io.containerd.runtime.v2.task/k8s.io']}\n"
    with stage(inputs, "log_level: debug\n") as s:
        (s.work / "runc").mkdir()
        runc = Runc(s.work / "runc", s.work.name)
        containerd = None
        try:
            containerd = Containerd(s.work / "ctd", runc.rootfs, s.work.name)
            story(s, runc, containerd)
        finally:
            if containerd:
                containerd.close()
            runc.close()


main(start)
