#!/usr/bin/env python3
# needs: runtime
# label: story
# timeout: 200
"""What containers of a real podman (annotations) and of Docker (labels, in its files as dockerd writes them) ask for by
logq.io/multiline: stack traces are one record each where a container asks for them and its input does not; lines stay alone where
it asks for none and its input joins them; a format that there is not, and an input with hints: false, leave it with its input's.  The
collector is killed while a record is open, and reads on as before."""
import json
import time

from lib import Podman, gaps, main, stage, wait_count, wait_for

NOW = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
RECORDS = 20


def lines_of(n):
    return [f"java.lang.IllegalStateException: record {n}", f"\tat com.acme.Shop.f(Shop.java:{n})", "\tat com.acme.Shop.main(Shop.java:1)"]


def joined():
    return sorted(["\n".join(lines_of(n)) for n in range(RECORDS)] + ["the end"])


def alone():
    return sorted([line for n in range(RECORDS) for line in lines_of(n)] + ["the end"])


WRITER = (f"for i in $(seq 0 {RECORDS - 1}); do echo \"java.lang.IllegalStateException: record $i\"; "
          "printf '\\tat com.acme.Shop.f(Shop.java:%d)\\n' $i; printf '\\tat com.acme.Shop.main(Shop.java:1)\\n'; done; echo 'the end'")


class Docker:
    """A log and a config.v2.json, as dockerd writes them."""

    def __init__(self, work, root, name, hint):
        self.dir = work / root / name
        self.dir.mkdir(parents=True)
        labels = {"logq.io/multiline": hint} if hint else {}
        (self.dir / "config.v2.json").write_text(
            json.dumps({"ID": name, "Name": "/" + name, "Config": {"Image": "i", "Labels": labels}}))
        self.log = open(self.dir / f"{name}-json.log", "w")

    def write(self, lines):
        for line in lines:
            self.log.write(json.dumps({"log": line + "\n", "stream": "stdout", "time": NOW}, separators=(",", ":")) + "\n")
        self.log.flush()

    def write_all(self):
        self.write([line for n in range(RECORDS) for line in lines_of(n)] + ["the end"])
        return self


def records(server, container):
    return sorted(e["line"] for e in server.entries('{container="%s"}' % container))


def run():
    podman = Podman()
    inputs = (f"  - {{type: podman, paths: ['{podman.dir}/root/vfs-containers/*/userdata/ctr.log']}}\n"
              "  - {type: docker, paths: ['@/docker/*/*-json.log']}\n"
              "  - {type: docker, paths: ['@/joining/*/*-json.log'], multiline: {format: auto}}\n"
              "  - {type: docker, paths: ['@/deaf/*/*-json.log'], hints: false}\n")
    want = {"podjava": joined, "podplain": alone, "dockauto": joined, "dockplain": alone, "dockwrong": alone, "joinplain": joined,
            "joinnone": alone, "deafjava": alone, "dockopen": joined}
    try:
        with stage(inputs, "multiline_timeout: 10m\n") as s:
            opened = Docker(s.work, "docker", "dockopen", "java")
            for root, name, hint in (("docker", "dockauto", "auto"), ("docker", "dockplain", ""), ("docker", "dockwrong", "cobol"),
                                     ("joining", "joinplain", ""), ("joining", "joinnone", "none"), ("deaf", "deafjava", "java")):
                Docker(s.work, root, name, hint).write_all()
            podman.run("podjava", "/bin/sh", "-c", WRITER, options=("--annotation", "logq.io/multiline=java"))
            podman.run("podplain", "/bin/sh", "-c", WRITER)
            for name in ("podjava", "podplain"):
                podman.wait(name)
            s.collector.start()
            for n in range(RECORDS):
                opened.write(lines_of(n)[:2])
                if n % 7 == 3:
                    wait_for("the records before", lambda n=n: len(records(s.server, "dockopen")) == n)
                    s.collector.kill()
                    s.collector.start(configure=False)
                opened.write(lines_of(n)[2:])
            opened.write(["the end"])
            for name, made in want.items():
                wait_count(s.server, '{container="%s"}' % name, len(made()), 30)
            s.collector.stop()
            for name, made in want.items():
                assert records(s.server, name) == made(), (name, records(s.server, name)[:3])
            assert gaps(s.server) == [], gaps(s.server)
            s.server.stop()
    finally:
        podman.close()


main(run)
