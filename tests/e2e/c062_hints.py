#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 200
"""What containers of a real podman and of Docker (its files, as dockerd writes them) ask for by annotations and labels: one is
left out, one has addresses taken out beside what the configuration takes out, one asks for nothing.  An input with hints: false
does not listen to them."""
import json
import time

from lib import Podman, main, stage, wait_count

WRITER = 'for i in $(seq 1 40); do echo "n=$i from 10.1.2.$i by joe@example.org"; done'
NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def docker(work, root, name, labels):
    """A log and a config.v2.json, as dockerd writes them."""
    directory = work / root / name
    directory.mkdir(parents=True)
    (directory / "config.v2.json").write_text(
        json.dumps({"ID": name, "Name": "/" + name, "Config": {"Image": "i", "Labels": labels}}))
    (directory / f"{name}-json.log").write_text("".join(
        json.dumps({"log": f"n={i} from 10.1.2.{i} by joe@example.org\n", "stream": "stdout", "time": NOW}, separators=(",", ":")) + "\n"
        for i in range(1, 41)))


def lines(server, container):
    return sorted(e["line"] for e in server.entries('{container="%s"}' % container))


def expected(address):
    return sorted(f"n={i} from {address.format(i=i)} by [redacted:email]" for i in range(1, 41))


def run():
    podman = Podman()
    inputs = (f"  - {{type: podman, paths: ['{podman.dir}/root/vfs-containers/*/userdata/ctr.log']}}\n"
              "  - {type: docker, paths: ['@/docker/*/*-json.log']}\n"
              "  - {type: docker, paths: ['@/deaf/*/*-json.log'], hints: false}\n")
    try:
        with stage(inputs, "redact: {detectors: [email]}\n") as s:
            docker(s.work, "docker", "dockhidden", {"logq.io/exclude": "true"})
            docker(s.work, "docker", "dockclean", {"logq.io/redact": "ip"})
            docker(s.work, "deaf", "deafhidden", {"logq.io/exclude": "true", "logq.io/redact": "all"})
            podman.run("hidden", "/bin/sh", "-c", WRITER, options=("--annotation", "logq.io/exclude=true"))
            podman.run("clean", "/bin/sh", "-c", WRITER, options=("--annotation", "logq.io/redact=ip card"))
            podman.run("usual", "/bin/sh", "-c", WRITER)
            for name in ("hidden", "clean", "usual"):
                podman.wait(name)
            s.collector.start()
            for name in ("clean", "usual", "dockclean", "deafhidden"):
                wait_count(s.server, '{container="%s"}' % name, 40, 30)
            s.collector.stop()
            for name in ("clean", "dockclean"):
                assert lines(s.server, name) == expected("[redacted:ip]"), lines(s.server, name)[:3]
            for name in ("usual", "deafhidden"):
                assert lines(s.server, name) == expected("10.1.2.{i}"), lines(s.server, name)[:3]
            for name in ("hidden", "dockhidden"):
                assert lines(s.server, name) == []
            s.server.stop()
    finally:
        podman.close()


main(run)
