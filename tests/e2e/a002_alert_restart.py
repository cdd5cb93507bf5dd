#!/usr/bin/env python3
"""Alerts survive SIGKILL: a firing alert is not told a second time, what could not be delivered before the kill is
delivered after it with the same id, and an alert whose window passes while the server is away ends afterwards."""
import json
import time

from lib import Receiver, Server, main, wait_for, workspace

RULES = """groups:
  - name: long
    interval: 1s
    rules:
      - alert: Long
        expr: sum by (container) (count_over_time({source="container"} |= "error" [1h])) > 0
  - name: short
    interval: 1s
    rules:
      - alert: Short
        expr: sum(count_over_time({source="container"} |= "panic" [3s])) > 0
"""


def push(server, line, container):
    server.push([({"source": "container", "container": container}, [(time.time_ns(), line)])])


def told(receiver, name):
    """[(webhook-id, status, containers)] in order of arrival."""
    found = []
    for _, _, headers, raw in list(receiver.got):
        body = json.loads(raw)
        if body["groupLabels"]["alertname"] == name:
            found.append((headers["webhook-id"], body["status"], sorted(a["labels"].get("container", "") for a in body["alerts"])))
    return found


def run():
    receiver = Receiver()
    with workspace() as work:
        server = Server(work / "server").init(
            lambda text: text + f"alerting:\n  webhooks:\n    - url: {receiver.url}\n")
        (server.dir / "rules" / "r.yaml").write_text(RULES)
        server.start()
        try:
            push(server, "an error", "web")
            push(server, "panic", "web")
            wait_for("both alerts", lambda: len(told(receiver, "Long")) == 1 and len(told(receiver, "Short")) == 1)
            wait_for("an empty queue", lambda: server.metric("logq_webhook_queued") == 0)
            server.kill()
            server.start()
            wait_for("the end of the short one", lambda: [s for _, s, _ in told(receiver, "Short")] == ["firing", "resolved"])
            evaluations = server.metric("logq_rule_evaluations_total")
            wait_for("more evaluations", lambda: server.metric("logq_rule_evaluations_total") > evaluations + 4)
            assert [s for _, s, _ in told(receiver, "Long")] == ["firing"], told(receiver, "Long")
            assert server.metric("logq_alerts_firing") == 1

            receiver.status = 503
            push(server, "an error", "db")
            wait_for("an attempt that fails", lambda: len(told(receiver, "Long")) >= 2)
            server.kill()
            receiver.status = 200
            seen = len(told(receiver, "Long"))
            server.start()
            wait_for("the delivery", lambda: len(told(receiver, "Long")) > seen)
            wait_for("an empty queue", lambda: server.metric("logq_webhook_queued") == 0)
            rest = told(receiver, "Long")[1:]
            assert len({i for i, _, _ in rest}) == 1 and rest[-1][1:] == ("firing", ["db", "web"]), rest
            assert len(told(receiver, "Long")) == seen + 1, told(receiver, "Long")
            server.stop()
        finally:
            server.discard()
            receiver.close()


main(run)
