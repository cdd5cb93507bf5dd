#!/usr/bin/env python3
# label: story
# needs: runtime
# timeout: 240
"""Containers of a real podman and of a real dockerd log to a real systemd-journald, and what is done to them is what is done to
containers that log to files.

    web, api    write numbered lines of four kinds and stack traces, to stdout and stderr, one by podman's driver and one by
                Docker's; both ask for addresses to be taken out and for java's traces, by annotations and labels
    hidden      one of each: they ask to be left out
    rules       drop noise, keep a part of thin lines and so many a second of a flood
    collector   is killed while they write, at moments from a printed seed
    server      has every plain line once, every trace as one record, of the other kinds together with the drops that
                notices report all that were written, for each container; no address; nothing of the hidden ones
"""
import collections
import time

from journald import Journald
from lib import LONG, SLOW, Docker, Podman, exact, main, seed, stage, wait_count, wait_for, workspace

LOOPS = 5_000 if LONG else 500
KILLS = 20 if LONG else 4
TRACE_EVERY = 10
RULES = """rules:
  - {name: noise, if: {line: kind=noise}, then: drop}
  - {name: thin, if: {line: kind=thin, level: debug}, sample: 0.25}
  - {name: flood, if: {pattern: 'kind=(flood|torrent) ', stream: stderr}, rate: 20, burst: 50}
"""
KINDS = ("noise", "thin", "flood")
# A loop is a plain line, one of each kind and now and then a trace; fifty of them every tenth of a second.
WRITER = (
    'BEGIN { for (i = 1; i <= %d; i++) {'
    ' printf "n=%%010d plain from 10.1.2.3\\n", i; printf "n=%%010d kind=noise x\\n", i;'
    ' printf "n=%%010d kind=thin level=debug\\n", i;'
    ' if (i %% %d == 0) printf "Exception in thread \\"main\\" java.lang.IllegalStateException: t=%%d at 10.1.2.3\\n'
    '\\tat a.b.C.d(C.java:1)\\n\\tat a.b.C.main(C.java:2)\\n", i;'
    ' fflush(); printf "n=%%010d kind=flood \\n", i > "/dev/stderr"; fflush("/dev/stderr");'
    ' if (i %% 50 == 0) system("usleep 97000") } }' % (LOOPS, TRACE_EVERY)
)
HINTS = {"logq.io/redact": "ip", "logq.io/multiline": "java"}


def options(flag, hints):
    return [text for name, value in hints.items() for text in (flag, f"{name}={value}")]


def start_containers(podman, docker):
    driver = ["--log-driver", "journald"]
    hidden = {"logq.io/exclude": "true"}
    podman("run", "-d", "--name", "podhidden", "--network", "none", *driver, *options("--annotation", hidden), "localhost/bb:1",
           "/bin/sh", "-c", "echo nobody wants this")
    docker("run", "-d", "--name", "dockhidden", "--network", "host", *driver, *options("--label", hidden), "bb:1",
           "/bin/sh", "-c", "echo nobody wants this")
    podman("run", "-d", "--name", "web", "--network", "none", *driver, *options("--annotation", HINTS), "localhost/bb:1", "awk", WRITER)
    docker("run", "-d", "--name", "api", "--network", "host", *driver, *options("--label", HINTS | {"app": "shop"}), "bb:1",
           "awk", WRITER)


def kill_while_they_write(rnd, s):
    for _ in range(KILLS):
        acked = s.server.metric("logq_forward_acks_total")
        wait_for("an ack", lambda: s.server.metric("logq_forward_acks_total") > acked, 20)
        time.sleep(rnd.uniform(0, 0.2))  # a moment of the plan
        s.collector.kill()
        s.collector.start()


def drops(server):
    """{(container, rule): count} as the notices tell."""
    found = collections.Counter()
    for entry in server.entries('{source="logq"}'):
        a = entry["attributes"]
        if "drop" in a:
            found[a["container"], a["drop"]] += int(a["count"])
    return found


def check_kinds(server):
    """What was stored and what was dropped is all that was written, for each container."""
    def all_told():
        told = drops(server)
        return all(len(stored(server, c, k)) + told[c, k] >= LOOPS for c in ("web", "api") for k in KINDS)

    wait_for("notices of all drops", all_told, 40 / SLOW + 20, every=0.5)
    told = drops(server)
    for container in ("web", "api"):
        for kind in KINDS:
            have = stored(server, container, kind)
            print(f"{container} {kind}: {len(have)} stored, {told[container, kind]} dropped")
            assert len(have) == len(set(have)), f"{container} {kind}: something is stored twice"
            assert len(have) + told[container, kind] == LOOPS, (container, kind, len(have), told)
        assert stored(server, container, "noise") == []
        assert 0.1 < len(stored(server, container, "thin")) / LOOPS < 0.4
        assert 0 < told[container, "flood"] < LOOPS
    assert sum(told.values()) == sum(told[c, k] for c in ("web", "api") for k in KINDS), told


def stored(server, container, kind):
    return [int(e["line"][2:12]) for e in server.entries('{container="%s"} |= "kind=%s "' % (container, kind))]


def check_traces(server, container):
    got = sorted((e["line"] for e in server.entries('{container="%s"} |= "IllegalStateException"' % container)),
                 key=lambda line: int(line.split("t=")[1].split()[0]))
    assert got == [f'Exception in thread "main" java.lang.IllegalStateException: t={i} at [redacted:ip]\n'
                   "\tat a.b.C.d(C.java:1)\n\tat a.b.C.main(C.java:2)" for i in range(TRACE_EVERY, LOOPS + 1, TRACE_EVERY)], got[:2]


def check_labels(server):
    api = server.entries('{container="api"} |= "n=0000000001 plain"')[0]
    assert api["line"] == "n=0000000001 plain from [redacted:ip]", api
    assert {k: api["labels"].get(k) for k in ("app", "image", "runtime", "source", "stream")} == {
        "app": "shop", "image": "bb:1", "runtime": "docker", "source": "container", "stream": "stdout"}, api
    assert len(api["attributes"]["container_id"]) == 64 and api["attributes"]["image_digest"].startswith("sha256:"), api
    web = server.entries('{container="web"} |= "n=0000000001 plain"')[0]
    assert web["labels"]["runtime"] == "podman" and web["labels"]["image"] == "localhost/bb:1", web
    assert server.entries('{container="web", stream="stderr"}')


def story(own, journal, podman, docker):
    rnd = seed()
    inputs = f"  - {{type: journald, directory: '{own}/journal', since: all, " \
             f"runtime_state: ['{docker.dir}/data/containers', '{podman.dir}/root/vfs-containers']}}\n"
    with stage(inputs, RULES) as s:
        s.collector.start()
        start_containers(podman, docker)
        kill_while_they_write(rnd, s)
        podman.wait("web")
        docker.wait("api")
        for container in ("web", "api"):
            wait_count(s.server, '{container="%s"} |= "plain"' % container, LOOPS)
            wait_count(s.server, '{container="%s"} |= "IllegalStateException"' % container, LOOPS // TRACE_EVERY)
        s.collector.kill()  # what was dropped until then is told by the next
        s.collector.start()
        check_kinds(s.server)
        s.collector.stop()
        for container in ("web", "api"):
            exact(s.server, '{container="%s"} |= "plain"' % container, 1, LOOPS + 1)
            check_traces(s.server, container)
        check_labels(s.server)
        assert s.server.entries('{container=~"podhidden|dockhidden"}') == []
        assert s.server.entries('{source=~".+"} |= "10.1.2.3"') == []


def run():
    with workspace() as own:
        journal = Journald(own)
        podman = docker = None
        try:
            podman = Podman()
            podman.argv = [*journal.inside(), *podman.argv]
            docker = Docker(journal.inside())
            story(own, journal, podman, docker)
        finally:
            for engine in (podman, docker):
                if engine is not None:
                    engine.close()
            journal.close()


main(run)
