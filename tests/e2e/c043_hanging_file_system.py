#!/usr/bin/env python3
# label: story
# timeout: 120
"""A file system does not answer: the process that opens files stops in a question.

    others     are opened and read by another such process; what is open already is read on
    health     says where it hangs, and the metric that one process does
    SIGHUP     is done meanwhile; when the one that hangs is gone, what it was asked about is read
    SIGTERM    ends the collector within its time, also while a question is waited for, and leaves no process behind
"""
import json
import os
import pathlib
import signal
import time

from lib import main, stage, wait_for

PAUSE = 34  # the system call that a fault point stops in


def openers(s):
    parent = s.collector.process.pid
    found = []
    for pid in pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        try:
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "logq-files":
                found.append(int(pid))
        except OSError:
            pass
    return found


def stopped(s):
    for pid in openers(s):
        try:
            if pathlib.Path(f"/proc/{pid}/syscall").read_text().startswith(f"{PAUSE} "):
                return pid
        except OSError:
            pass
    return None


def hang(s, armed, log):
    """A new log that stops whoever looks at it.  Returns the process that does."""
    armed.write_text("opener.answer:stop:1")
    log.write_text(f"in {log.name}\n")
    pid = wait_for("a process that hangs", lambda: stopped(s))
    armed.write_text("")
    return pid


def run():
    with stage("  - {type: file, paths: ['@/plain/*.log', '@/hung/*.log']}\n", "metrics: {listen: '127.0.0.1:0'}\n") as s:
        plain, hung, armed = s.work / "plain", s.work / "hung", s.work / "faults"
        plain.mkdir()
        hung.mkdir()
        armed.write_text("")
        (plain / "a.log").write_text("one\n")
        s.collector.env["LOGQ_FAULT_FILE"] = str(armed)
        s.collector.start()
        wait_for("the first log", lambda: s.server.entries('{source="file"} |= "one"'))
        pid = hang(s, armed, hung / "x.log")
        wait_for("its path in /health", lambda: json.loads(s.collector.get("/health"))["hanging"] == [str(hung / "x.log")])
        assert "logq_collector_opens_hanging 1" in s.collector.get("/metrics")
        (plain / "b.log").write_text("two\n")
        with open(plain / "a.log", "a") as log:
            log.write("three\n")
        wait_for("another log", lambda: s.server.entries('{source="file"} |= "two"'))
        wait_for("a log that was open", lambda: s.server.entries('{source="file"} |= "three"'))
        os.kill(s.collector.process.pid, signal.SIGHUP)
        wait_for("a reload", lambda: "config.reloaded" in s.collector.text())
        os.kill(pid, signal.SIGKILL)  # the file system is there again
        os.kill(s.collector.process.pid, signal.SIGHUP)
        wait_for("what could not be opened", lambda: s.server.entries('{source="file"} |= "in x.log"'))
        assert json.loads(s.collector.get("/health"))["hanging"] == []
        hang(s, armed, hung / "y.log")
        left = openers(s)
        begin = time.monotonic()
        s.collector.stop()
        took = time.monotonic() - begin
        print(f"stopped in {took:.1f} s")
        assert took < 15, took
        wait_for("the end of all", lambda: not any(pathlib.Path(f"/proc/{p}").exists() for p in left))
        assert len(s.server.entries('{source="file"}')) == 4


main(run)
