#!/usr/bin/env python3
# timeout: 120
"""While a log is written and rotated, the configuration is read again thirty times: as it is, with an input more, with one
that is gone, broken, and with a certificate that is none.

    collector   takes over what is right within seconds, refuses what is wrong and says so, counts both; its worker and
                its files stay (the process that opens files is another after a reload: it goes by what may be opened then)
    server      every line once, of the log that was there all the time and of the one that came by a reload; when it goes
                away /files and /health say how far behind the collector is
"""
import json
import os
import pathlib
import signal
import urllib.request

from lib import exact, main, stage, wait_count, wait_for

LINES = 24000
FIRST = "  - {type: cri, paths: ['@/pods/*/*/*.log']}\n"
MORE = "  - {type: file, paths: ['@/more/*.log']}\n"


def lag(s, ask):
    """While the server is away the lag grows in bytes and in seconds, of that file alone; then it is gone."""
    path = str(s.work / "more/new.log")
    s.server.kill()
    with open(path, "a") as f:
        f.write("n=0000001001 more\n")

    def behind():
        f = next(f for f in json.loads(ask("/files")) if f["path"] == path)
        return f["lag_bytes"] == 18 and f["lag_s"] >= 2 and f["size"] - f["acked"] == 18

    wait_for("a lag", behind)
    health = json.loads(ask("/health"))
    assert health["lag_bytes"] == 18 and health["lag_s"] >= 2 and not health["connected"], health
    s.server.start()
    wait_for("no lag", lambda: json.loads(ask("/health"))["lag_bytes"] == 0)
    exact(s.server, '{source="file"}', 1, 1002)


def run():
    with stage(FIRST, "metrics: {listen: '127.0.0.1:0'}\n") as s:
        feed = s.feed("pods/ns_p_u/app/0.log", "-n", LINES, "-r", LINES // 6, "-R", "rename", "-E", LINES // 8, "-S", "-k", 20)
        (s.work / "more").mkdir()
        config = s.collector.dir / "collector.yaml"
        s.collector.start()
        good = config.read_text()
        parent = s.collector.process.pid

        def children():
            pids = pathlib.Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
            names = [(pid, pathlib.Path(f"/proc/{pid}/comm")) for pid in pids]
            return sorted(pid for pid, name in names if name.exists() and name.read_text().strip() != "logq-files")

        broken_certificate = s.work / "broken.crt"
        broken_certificate.write_text("no certificate\n")
        certificate = next(line for line in good.splitlines() if line.startswith("  cert:"))
        variants = [good, good + MORE.replace("@", str(s.work)), good + "nonsense: 1\n", good,
                    good.replace(certificate, f"  cert: {broken_certificate}")]

        def ask(path):
            address = json.loads((s.collector.dir / "state/addresses.json").read_text())["metrics"]
            return urllib.request.urlopen(f"http://{address}{path}", timeout=10).read().decode()

        def counted(name):
            text = ask("/metrics")
            return sum(int(float(line.split()[-1])) for line in text.splitlines() if line.startswith(name + " "))

        wait_for("metrics", lambda: counted("config_reload_total") == 0)
        before = wait_for("a worker", children)
        feed.start()
        taken = refused = 0
        for i in range(30):
            variant = variants[i % len(variants)]
            config.write_text(variant)
            os.kill(parent, signal.SIGHUP)
            if i % len(variants) in (2, 4):
                refused += 1
                wait_for("a refusal", lambda: counted("config_reload_failed_total") == refused)
            else:
                taken += 1
                wait_for("a reload", lambda: counted("config_reload_total") == taken)
            if i == 1:
                (s.work / "more/new.log").write_text("".join(f"n={n:010d} more\n" for n in range(1, 1001)))
                wait_count(s.server, '{source="file"}', 1000)
        feed.wait(60)
        wait_count(s.server, '{container="app"}', LINES)
        exact(s.server, '{container="app"}', 1, LINES + 1)
        exact(s.server, '{source="file"}', 1, 1001)
        wait_for("the same worker", lambda: children() == before)  # one that is to open files has another name for a moment
        wait_for("no lag", lambda: counted("logq_collector_lag_bytes") == 0)
        files = json.loads(ask("/files"))
        assert all(f["acked"] == f["read"] == f["size"] and f["lag_bytes"] == f["lag_s"] == 0 for f in files), files
        assert {"followed", "rotated"} <= {f["state"] for f in files}, files
        config.write_text(variants[1])
        os.kill(parent, signal.SIGHUP)
        wait_for("the last reload", lambda: counted("config_reload_total") == taken + 1)
        lag(s, ask)
        text = s.collector.text()
        assert "nonsense" in text and "broken.crt" in text, text[-2000:]
        s.collector.stop()


main(run)
