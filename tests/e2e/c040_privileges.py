#!/usr/bin/env python3
# timeout: 120
"""The collector in its processes.

    worker      has no capability, a filter of system calls, and where the collector was started by root another user;
                still it ships logs that only their owner can read
    files       opens logs, with the rights of the parent, and not what a link among them leads to
    metrics     on a unix socket are bound by the parent, as the worker may make none; they outlive a worker
    users       may be numbers; one that does not exist is an error where privileges are required
    reload      to certificates that are none leaves the worker as it was, and the next one as well; to good ones it is the next one's
    killed      a worker that is killed, or tries to start a program, or cannot be answered, is followed by another: nothing is lost or stored
                twice, and the process that was started is the same all the time; with it the worker ends, too
"""
import json
import os
import pathlib
import signal
import socket
import subprocess
import urllib.request

from lib import BIN, exact, main, stage, wait_count, wait_for

LINES = 30000
CONFINED = "tsan" not in str(BIN)  # there is no filter under ThreadSanitizer
ROOT = os.geteuid() == 0


def child(parent, name):
    """The process `name` of the collector `parent`; None while there is none."""
    for entry in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            if pathlib.Path(f"/proc/{entry}/comm").read_text().strip() == name:
                return int(entry)
        except OSError:
            pass
    return None


def status(pid):
    lines = pathlib.Path(f"/proc/{pid}/status").read_text().splitlines()
    return {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}


def check_rights(parent):
    worker = wait_for("a worker", lambda: child(parent, "logq-worker"))
    s = wait_for("a confined worker", lambda: status(worker) if status(worker)["NoNewPrivs"] == "1" else None)
    assert int(s["CapEff"], 16) == 0 and int(s["CapPrm"], 16) == 0, s
    if CONFINED:
        wait_for("a filter", lambda: status(worker)["Seccomp"] == "2")
    s = status(parent)
    assert int(s["CapEff"], 16) in (0, 1 << 2), s  # CAP_DAC_READ_SEARCH
    if ROOT:
        assert status(worker)["Uid"].split()[0] == s["Uid"].split()[0] != "0", s
        assert s["CapEff"].strip("0") == "4" and int(s["CapBnd"], 16) == 0, s
    opens = status(wait_for("who opens files", lambda: child(parent, "logq-files")))
    assert all(opens[key] == s[key] for key in ("Uid", "CapEff", "CapPrm", "CapBnd", "Seccomp", "NoNewPrivs")), (opens, s)
    gate = wait_for("a gate", lambda: child(parent, "logq-gate"))
    assert int(status(gate)["CapEff"], 16) == 0
    return worker


def metric(s, name):
    try:
        address = json.loads((s.collector.dir / "state/addresses.json").read_text())["metrics"]
        text = urllib.request.urlopen(f"http://{address}/metrics", timeout=5).read().decode()
    except FileNotFoundError:
        return 0
    return sum(float(line.split()[-1]) for line in text.splitlines() if line.startswith(name))


def next_worker(s):
    parent = s.collector.process.pid
    before = child(parent, "logq-worker")
    os.kill(before, signal.SIGKILL)
    return wait_for("another worker", lambda: child(parent, "logq-worker") not in (None, before) and child(parent, "logq-worker"))


def over_unix(path):
    """/metrics by the unix socket `path`; empty while nobody answers."""
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(5)
        try:
            s.connect(str(path))
            s.sendall(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            return b"".join(iter(lambda: s.recv(65536), b"")).decode()
        except OSError:
            return ""


def metrics_by_unix_socket():
    inputs = "  - {type: cri, paths: ['@/pods/*/*/*.log']}\n  - {type: docker_events, socket: '@/none.sock'}\n"
    with stage(inputs) as s:
        path = s.collector.dir / "state" / "m.sock"
        s.collector.more = f"metrics: {{listen: 'unix:{path}'}}\nprivileges: {{user: 24224}}\n"
        s.collector.start()
        wait_for("metrics", lambda: "logq_collector_worker_restarts_total 0" in over_unix(path))
        if ROOT:
            assert set(status(s.collector.process.pid)["Uid"].split()) == {"24224"}  # no entry needs to be there
        next_worker(s)
        wait_for("metrics of the next worker", lambda: "logq_collector_worker_restarts_total 1" in over_unix(path))
        s.collector.kill()
        assert path.exists()
        s.collector.start()  # one that was left behind is replaced
        wait_for("metrics of the next collector", lambda: "logq_collector_worker_restarts_total 0" in over_unix(path))
        s.collector.stop()
        assert not path.exists()


def reload_failures(s):
    return s.collector.text().count("config.reload_failed")


def reload_that_cannot_work():
    with stage("  - {type: file, paths: ['@/plain/*.log']}\n") as s:
        plain = s.work / "plain"
        plain.mkdir()
        s.collector.start()
        wait_for("a start", lambda: "collector.started" in s.collector.text())
        config = s.collector.dir / "collector.yaml"
        good = config.read_text()
        (s.work / "none.crt").write_text("no certificate\n")
        config.write_text(good.replace(str(s.server.dir / "collector" / "client.crt"), str(s.work / "none.crt")).replace("plain", "other"))
        os.kill(s.collector.process.pid, signal.SIGHUP)
        wait_for("a reload that fails", lambda: reload_failures(s) == 1)
        next_worker(s)
        (plain / "a.log").write_text("by the old configuration\n")
        wait_for("its log", lambda: s.server.entries('{source="file"} |= "old"'))
        config.write_text(good.replace("plain", "other"))
        os.kill(s.collector.process.pid, signal.SIGHUP)
        wait_for("a reload", lambda: "config.reloaded" in s.collector.text())
        next_worker(s)
        (s.work / "other").mkdir()
        (s.work / "other" / "b.log").write_text("by the new configuration\n")
        wait_for("its log", lambda: s.server.entries('{source="file"} |= "new"'))
        s.collector.stop()


def no_such_user():
    with stage("  - {type: cri}\n", "privileges: {user: no-such-user-as-this, required: true}\n") as s:
        s.collector.configure()
        done = subprocess.run(s.collector.argv, capture_output=True, text=True, timeout=30, env=s.collector.env)
        assert done.returncode == 1 and "no user 'no-such-user-as-this'" in done.stderr, done


def run():
    if ROOT:
        no_such_user()
    reload_that_cannot_work()
    metrics_by_unix_socket()
    inputs = ("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n  - {type: file, paths: ['@/plain/*.log']}\n"
              "  - {type: docker_events, socket: '@/none.sock'}\n")
    with stage(inputs, "metrics: {listen: '127.0.0.1:0'}\n") as s:
        feed = s.feed("pods/ns_p_u/app/0.log", "-n", LINES, "-r", LINES // 6)
        plain = s.work / "plain"
        plain.mkdir(mode=0o700)
        (s.work / "secret").write_text("do not tell\n")
        (plain / "good.log").write_text("only the owner reads this\n")
        (plain / "good.log").chmod(0o600)
        (plain / "evil.log").symlink_to(s.work / "secret")
        armed = s.work / "faults"
        armed.write_text("")
        s.collector.env["LOGQ_FAULT_FILE"] = str(armed)
        s.collector.start()
        parent = s.collector.process.pid
        worker = check_rights(parent)
        wait_for("the log in plain/", lambda: s.server.entries('{source="file"}'))
        wait_for("a refusal", lambda: metric(s, "logq_collector_opens_refused_total") > 0)
        feed.start()
        for i in range(3):
            wait_count(s.server, '{container="app"}', (i + 1) * LINES // 8)
            if i == 0:
                armed.write_text("worker.exec:fail:1")
            os.kill(worker, signal.SIGKILL)
            if i == 0 and CONFINED:
                wait_for("the end of a worker that starts programs", lambda: "worker.died signal=31" in s.collector.text())
            armed.write_text("")
            before = worker
            worker = wait_for("another worker", lambda: child(parent, "logq-worker") not in (None, before)
                              and child(parent, "logq-worker"))
            print(f"worker {before} -> {worker}")
        armed.write_text("opener.answer:fail:1")
        wait_for("an answer that fails", lambda: "opener.failed" in s.collector.text())
        before = worker
        worker = wait_for("a worker that is answered", lambda: child(parent, "logq-worker") not in (None, before)
                          and child(parent, "logq-worker"))
        armed.write_text("")
        feed.wait(60)
        wait_count(s.server, '{container="app"}', LINES)
        exact(s.server, '{container="app"}', 1, LINES + 1)
        assert [e["line"] for e in s.server.entries('{source="file"}')] == ["only the owner reads this"]
        assert metric(s, "logq_collector_worker_restarts_total") >= 4
        assert s.collector.alive() and s.collector.process.pid == parent
        worker = wait_for("the worker", lambda: child(parent, "logq-worker"))
        s.collector.kill()
        wait_for("the worker's end", lambda: not pathlib.Path(f"/proc/{worker}").exists() or status(worker)["State"][0] == "Z")
        s.collector.start()
        wait_for("a new start", lambda: child(s.collector.process.pid, "logq-worker"))
        s.collector.stop()


main(run)
