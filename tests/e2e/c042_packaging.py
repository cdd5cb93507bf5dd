#!/usr/bin/env python3
# timeout: 120
"""The collector with the rights that packaging/ gives it.

    unit        `systemd-analyze security` scores it 2.0 or less; started as it says (never root, CAP_DAC_READ_SEARCH
                alone) it reads logs of root
    DaemonSet   root with five capabilities becomes another user and reads logs of root
    sidecar     nobody without any right reads the logs of its own pod
    all         no process that parses has a capability, and each line is stored once

The configurations of the manifests are such; the one that asks for labels may list and watch pods, and nothing else.
"""
import os
import pathlib
import re
import shutil
import subprocess
import textwrap

from lib import BIN, ROOT, main, stage, wait_for

NOBODY = 65534
UNIT = ROOT / "packaging/systemd/logq-collector.service"


def capabilities(name):
    """Of the DaemonSet, as setpriv calls them."""
    text = (ROOT / "packaging/k8s" / name).read_text()
    return [c.strip().lower() for c in re.search(r"add: \[([^]]*)\]", text)[1].split(",")]


def score():
    done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT], check=True, capture_output=True,
                          text=True)
    return float(re.search(r"Overall exposure level for \S+: ([0-9.]+)", done.stdout)[1])


def own(path, uid):
    """The directory `path` and all in it belong to `uid`."""
    path.mkdir(exist_ok=True)
    for entry in [path, *path.rglob("*")]:
        os.chown(entry, uid, uid)


def workers():
    found = []
    for entry in pathlib.Path("/proc").glob("[0-9]*/comm"):
        try:
            if entry.read_text() == "logq-worker\n":
                found.append((entry.parent / "status").read_text())
        except OSError:
            pass
    return found


def story(s, name, prefix):
    """Start it behind `prefix`; it has to bring the line of its own log."""
    log = s.work / "logs" / f"{name}.log"
    log.write_text(f"this is {name}\n")
    log.chmod(0o600 if name != "sidecar" else 0o644)
    s.collector.argv = [*prefix, str(s.work / "bin/logq-collector"), "run", "--config", str(s.collector.dir / "collector.yaml")]
    s.collector.start()
    wait_for(f"the line of {name}", lambda: f"this is {name}" in [e["line"] for e in s.server.entries('{source="file"}')])
    mine = [w for w in workers() if f"PPid:\t{s.collector.process.pid}\n" in w]
    assert len(mine) == 1 and "CapEff:\t0000000000000000\n" in mine[0] and "Uid:\t0" not in mine[0], mine
    print(name, *[line for line in s.collector.text().splitlines() if "privileges.dropped" in line][-1:])
    s.collector.stop()


def check_manifests(work, tls):
    """Each collector.yaml in them, as the pods have it, but for where the certificates are."""
    env = {"NODE_NAME": "n", "NAMESPACE": "ns", "POD_NAME": "p", "KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}
    for name in ("k8s/daemonset.yaml", "k8s/sidecar.yaml", "k8s-labels/config.yaml"):
        text = (ROOT / "packaging" / name).read_text()
        lines = re.search(r"^  collector\.yaml: \|\n((?:    .*\n|\n)+)", text, re.M)[1]
        (work / "manifest.yaml").write_text(textwrap.dedent(lines).replace(" /tls/", f" {tls}/"))
        done = subprocess.run([BIN / "logq-collector", "check", "--config", work / "manifest.yaml"], capture_output=True, text=True,
                              env=os.environ | env)
        assert done.returncode == 0, (name, done.stderr)
        assert ("api: \"https://10.96.0.1:443\"" in done.stdout or "api: https://10.96.0.1:443" in done.stdout) == ("labels" in name), name
    sidecar = (ROOT / "packaging/k8s/sidecar.yaml").read_text()  # namespaces that enforce `restricted` take it
    for wanted in ("allowPrivilegeEscalation: false", "capabilities: {drop: [ALL]}"):
        assert sidecar.count(wanted) == sidecar.count(" image: ") == 2, wanted
    role = (ROOT / "packaging/k8s-labels/rbac.yaml").read_text()
    assert re.findall(r"(apiGroups|resources|verbs): (.*)", role) == [("apiGroups", '[""]'), ("resources", "[pods]"),
                                                                       ("verbs", "[list, watch]")], role


def run():
    found = score()
    print("score", found)
    assert found <= 2.0, found
    with stage("  - {type: file, paths: ['@/logs/*.log']}\n", "privileges: {user: nobody}\n") as s:
        check_manifests(s.work, s.server.dir / "collector")
        (s.work / "logs").mkdir()
        (s.work / "bin").mkdir()
        shutil.copy(BIN / "logq-collector", s.work / "bin")
        if os.geteuid() == 0:
            s.work.chmod(0o755)
            nobody = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
            own(s.collector.dir / "state", NOBODY)
            story(s, "unit", [*nobody, "--inh-caps=-all,+dac_read_search", "--ambient-caps=-all,+dac_read_search",
                              "--bounding-set=-all,+dac_read_search", "--no-new-privs"])
            some = ",".join(["-all", *("+" + c for c in capabilities("daemonset.yaml"))])
            shutil.rmtree(s.collector.dir / "state")
            (s.work / "logs/unit.log").unlink()
            story(s, "daemonset", ["setpriv", "--inh-caps=" + some, "--bounding-set=" + some, "--no-new-privs"])
            (s.work / "logs/daemonset.log").unlink()
            own(s.collector.dir, NOBODY)
            own(s.server.dir / "collector", NOBODY)
            s.server.dir.chmod(0o755)
            prefix = [*nobody, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
        else:
            prefix = []
        story(s, "sidecar", prefix)
        lines = [e["line"] for e in s.server.entries('{source="file"}')]
        assert sorted(lines) == sorted(set(lines)), lines


main(run)
