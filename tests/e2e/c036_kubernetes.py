#!/usr/bin/env python3
# label: story
# timeout: 120
"""Logs of pods are labelled by what the Kubernetes API server says, over real HTTPS with a bearer token.

    refused    what the server says of a role that is missing is told once, and what it says of a token that is not right too
    list       labels, attributes, image, owner and hints of a pod are those of its log; a cron job's pod is not its job's
    before     a pod that the API tells before its log is there, and
    after      one whose log is there first: no record goes without its labels
    change     a label that changes is new for the records from then on
    410        versions that the server has forgotten: it is listed again, in pages, and what was missed is known
    rotation   a token that is replaced is used; the old one is never sent again
    outage     the API is away and the collector is killed: it starts, and knows its pods from the file; a pod nobody knows
               waits two seconds at most, and has its labels when the API is back
    deleted    a pod that is gone: its last lines have its labels
    full       more pods than are kept: that is told once
    all        every line is stored once
"""
import collections
import os
import time

from kubeapi import KubeApi
from lib import main, stage, wait_for

NODE = "node-1"


class Pods:
    """Logs as containerd writes them below /var/log/pods."""

    def __init__(self, root):
        self.root = root
        self.written = collections.Counter()

    def path(self, uid):
        path = self.root / f"shop_{uid}-pod_{uid}" / "app" / "0.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def write(self, uid, first, last, text="", stored=""):
        """Lines with `text` at their end, which has to be stored as `stored`."""
        now = time.strftime("%Y-%m-%dT%H:%M:%S.000000001Z", time.gmtime())
        with open(self.path(uid), "a") as log:
            for n in range(first, last + 1):
                log.write(f"{now} stdout F {uid} n={n}{text}\n")
                self.written[f"{uid} n={n}{stored}"] += 1


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log'], runtime: containerd}\n") as s:
        api = KubeApi(s.work, NODE, "first").start()
        s.collector.more = (f"kubernetes:\n  api: {api.url}\n  node: {NODE}\n  token_file: {s.work}/token\n"
                            f"  ca_file: {s.work}/api-ca.crt\n  labels: [team, x.io/*]\n")
        try:
            story(s, api)
        finally:
            api.stop()


def story(s, api):
    pods = Pods(s.work / "pods")
    token = s.work / "token"
    token.write_text("first\n")

    def put(uid, team, **more):
        labels = {"team": team, "app": "shop", "x.io/tier": "db", "pod-template-hash": "77"}
        api.put(api.pod(uid, "shop", f"{uid}-pod", labels, **more))

    def wait_line(uid, n, team):
        """Line n of pod `uid` is stored with label team (None: without); its labels and attributes."""
        found = wait_for(f"{uid} n={n}", lambda: [e for e in s.server.entries('{pod="%s-pod"}' % uid) if e["line"] == f"{uid} n={n}"])
        assert found[0]["labels"].get("team") == team, found[0]
        return found[0]["labels"], found[0].get("attributes", {})

    # refused
    def said(event):
        return [line for line in s.collector.text().splitlines() if f"kubernetes.{event}" in line]

    api.forbidden = True
    s.collector.start()
    wait_for("two refusals", lambda: api.count("list") >= 2)
    api.tokens = set()
    wait_for("another one", lambda: len(said("failed")) >= 2)
    api.forbidden = False
    api.tokens = {"first"}
    wait_for("a list", lambda: said("connected"))
    assert "status=403" in said("failed")[0] and "cannot list resource" in said("failed")[0], said("failed")
    assert "status=401" in said("failed")[1] and len(said("failed")) == 2, said("failed")
    s.collector.stop()
    api.requests, api.denied = [], 0
    # list, before
    for i in range(120):
        put(f"filler{i:03}", "x")
    put("one", "pay", annotations={"logq.io/redact": "ip"}, owner=("ReplicaSet", "front-77"))
    put("hidden", "pay", annotations={"logq.io/exclude": "true"})
    put("loud", "pay", annotations={"logq.io/exclude": "true", "app.logq.io/exclude": "false"})
    put("cron", "pay", owner=("Job", "night-backup-29922951"))
    pods.write("one", 1, 3)
    pods.write("hidden", 1, 1)
    pods.write("loud", 1, 1)
    pods.write("cron", 1, 1)
    s.collector.start()
    stream, attributes = wait_line("one", 3, "pay")
    want = {"app": "shop", "container": "app", "image": "reg/web:1", "namespace": "shop", "pod": "one-pod", "x_io_tier": "db",
            "runtime": "containerd", "source": "container"}
    assert want.items() <= stream.items(), stream
    want = {"node": NODE, "owner": "front", "owner_kind": "deployment", "label_pod_template_hash": "77", "pod_uid": "one"}
    assert want.items() <= attributes.items(), attributes
    wait_line("loud", 1, "pay")
    _, attributes = wait_line("cron", 1, "pay")
    assert {"owner": "night-backup", "owner_kind": "cronjob"}.items() <= attributes.items(), attributes
    assert api.count("list") == 1, api.requests  # all at once, from the server's cache
    pods.write("one", 100, 100, " from 10.1.2.3", " from [redacted:ip]")  # what its annotation asks for
    # after
    wait_for("a watch", lambda: api.count("watch") == 1)
    pods.write("two", 1, 3)
    put("two", "ops")
    wait_line("two", 3, "ops")
    # change
    put("one", "new", annotations={"logq.io/redact": "ip"})
    wait_for("the change in the file", lambda: '"team":"new"' in (s.collector.dir / "state/kube.cache").read_text())
    pods.write("one", 4, 5)
    wait_line("one", 5, "new")
    # 410
    with api.changed:
        del api.pods["filler000"]  # nobody is told
    api.forget()
    wait_for("another list", lambda: api.count("list") == 4)  # 50 a page
    put("three", "late")
    pods.write("three", 1, 2)
    wait_line("three", 2, "late")
    wait_for("a watch again", lambda: api.count("watch") == 3)
    # rotation
    before = len(api.requests)
    (s.work / "token.new").write_text("second\n")
    os.rename(s.work / "token.new", token)
    api.tokens = {"second"}
    api.cut()
    wait_for("a watch with the new token", lambda: any(r[0] == "watch" for r in api.requests[before:]))
    assert {r[2] for r in api.requests[before:]} == {"second"} and api.denied == 0, api.requests[before:]
    # outage
    wait_for("all pods in the file", lambda: '"three"' in (s.collector.dir / "state/kube.cache").read_text())
    api.stop()
    s.collector.kill()
    pods.write("one", 101, 101, " from 10.1.2.4", " from [redacted:ip]")
    pods.write("one", 6, 7)
    pods.write("new", 1, 2)
    s.collector.start()
    wait_line("one", 7, "new")
    wait_line("new", 2, None)
    api.start()
    put("new", "back")
    wait_for("the API again", lambda: '"back"' in (s.collector.dir / "state/kube.cache").read_text(), 40)
    pods.write("new", 3, 4)
    wait_line("new", 4, "back")
    # deleted
    api.delete("two")
    put("two2", "x")
    wait_for("the news", lambda: '"two2"' in (s.collector.dir / "state/kube.cache").read_text())
    pods.write("two", 4, 5)
    wait_line("two", 5, "ops")
    # full
    for i in range(2048):
        put(f"many{i:04}", "x")
    wait_for("no more room", lambda: "kubernetes.full" in s.collector.text())
    put("two3", "x")
    s.collector.stop()
    assert s.collector.text().count("kubernetes.full") == 1
    stored = collections.Counter(e["line"] for e in s.server.entries('{source="container"}'))
    expected = pods.written - collections.Counter(["hidden n=1"])
    assert stored == expected, (stored - expected, expected - stored)
    s.server.stop()


main(run)
