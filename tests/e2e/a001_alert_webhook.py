#!/usr/bin/env python3
"""A rule over error lines: one pushed line is Alertmanager's v4 body at a real HTTP receiver within two seconds, at the
default interval; when its window has passed the receiver hears that it is over.  A receiver that is broken at first gets
it all the same, once.  A bad rule file changes nothing on SIGHUP and stops a start, with its line and column."""
import json
import re
import signal
import subprocess
import time

from lib import BIN, Receiver, Server, main, wait_for, workspace

RULES = """groups:
  - name: default-interval
    rules:
      - alert: Errors
        expr: sum by (container) (count_over_time({source="container"} |= "error" [1m])) > 0
        labels: {severity: page}
        annotations:
          summary: "{{ $labels.container }}: {{ $value }} lines"
  - name: short
    interval: 1s
    rules:
      - alert: Panic
        expr: sum by (container) (count_over_time({source="container"} |= "panic" [2s])) > 0
"""
KEYS = ["receiver", "status", "alerts", "groupLabels", "commonLabels", "commonAnnotations", "externalURL", "version",
        "groupKey", "truncatedAlerts"]
ALERT_KEYS = ["status", "labels", "annotations", "startsAt", "endsAt", "generatorURL", "fingerprint"]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z")


def fingerprint(labels):
    value = 14695981039346656037
    for name in sorted(labels):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            value = (value ^ byte) * 1099511628211 % 2**64
    return f"{value:016x}"


def check_shape(body):
    assert list(body) == KEYS, list(body)
    assert body["version"] == "4" and body["receiver"] == "webhook" and body["truncatedAlerts"] == 0
    assert body["status"] in ("firing", "resolved")
    for alert in body["alerts"]:
        assert list(alert) == ALERT_KEYS, list(alert)
        assert TIME.fullmatch(alert["startsAt"]) and TIME.fullmatch(alert["endsAt"]), alert
        assert (alert["status"] == "firing") == (alert["endsAt"] == "0001-01-01T00:00:00Z"), alert
        assert alert["fingerprint"] == fingerprint(alert["labels"]), alert
        assert list(alert["labels"]) == sorted(alert["labels"])
    name = body["groupLabels"]["alertname"]
    assert body["groupKey"] == '{}:{alertname="%s"}' % name and body["commonLabels"]["alertname"] == name


def push(server, line, container="web"):
    server.push([({"source": "container", "container": container}, [(time.time_ns(), line)])])
    return time.monotonic()


def bodies(receiver, name):
    """[(time of arrival, headers, body)] of an alert, checked."""
    found = []
    for at, path, headers, raw in list(receiver.got):
        body = json.loads(raw)
        check_shape(body)
        assert path == "/hook" and headers["Content-Type"] == "application/json", headers
        assert headers["User-Agent"].startswith("Alertmanager/logq-") and headers["webhook-id"].startswith("msg_"), headers
        if body["groupLabels"]["alertname"] == name:
            found.append((at, headers, body))
    return found


def check_first_alert(server, receiver):
    push(server, "all is well")
    pushed = push(server, "an error")
    at, _, body = wait_for("the alert", lambda: bodies(receiver, "Errors"))[0]
    print(f"from the answer to the push to the webhook: {at - pushed:.3f} s")
    assert at - pushed < 2.0, at - pushed
    assert body["status"] == "firing" and len(body["alerts"]) == 1
    alert = body["alerts"][0]
    assert alert["labels"] == {"alertname": "Errors", "container": "web", "severity": "page"}, alert
    assert alert["annotations"] == {"summary": "web: 1 lines"} == body["commonAnnotations"], alert
    assert abs(time.time() - time.mktime(time.strptime(alert["startsAt"][:19], "%Y-%m-%dT%H:%M:%S")) + time.timezone) < 60


def check_end(server, receiver):
    push(server, "panic")
    wait_for("the end of the alert", lambda: len(bodies(receiver, "Panic")) == 2)
    first, last = (b for _, _, b in bodies(receiver, "Panic"))
    assert first["status"] == "firing" and last["status"] == "resolved", (first, last)
    assert first["alerts"][0]["startsAt"] == last["alerts"][0]["startsAt"]
    assert last["alerts"][0]["endsAt"] > last["alerts"][0]["startsAt"]


def check_retry(server, receiver):
    receiver.got.clear()
    receiver.status = 500
    push(server, "panic")
    wait_for("two attempts", lambda: len(bodies(receiver, "Panic")) >= 2)
    receiver.status = 200
    wait_for("the end of the alert", lambda: bodies(receiver, "Panic")[-1][2]["status"] == "resolved")
    fired = [headers for _, headers, body in bodies(receiver, "Panic") if body["status"] == "firing"]
    assert len({headers["webhook-id"] for headers in fired}) == 1, fired
    wait_for("an empty queue", lambda: server.metric("logq_webhook_queued") == 0)
    assert server.metric("logq_webhook_retries_total") >= 1 and server.metric("logq_webhook_dropped_total") == 0


def check_api(server):
    status, body = server.get("/prometheus/api/v1/rules")
    groups = json.loads(body)["data"]["groups"]
    assert status == 200 and [g["name"] for g in groups] == ["default-interval", "short"], body
    rule = groups[0]["rules"][0]
    assert rule["state"] == "firing" and rule["health"] == "ok" and rule["alerts"][0]["labels"]["container"] == "web", rule
    alerts = json.loads(server.get("/prometheus/api/v1/alerts")[1])["data"]["alerts"]
    assert [a["labels"]["alertname"] for a in alerts if a["state"] == "firing"] == ["Errors"], alerts
    assert server.metric("logq_alerts_firing") == 1 and server.metric("logq_rules_loaded") == 2


def check_bad_rules(server):
    bad = server.dir / "rules" / "bad.yaml"
    bad.write_text("groups:\n  - name: a\n    rules:\n      - alert: A\n        expr: sum(1\n")
    server.process.send_signal(signal.SIGHUP)
    wait_for("the refusal", lambda: server.metric("logq_config_reload_failed_total") == 1)
    assert "bad.yaml:5:" in server.text() and server.metric("logq_rules_loaded") == 2
    server.stop()
    done = subprocess.run([str(BIN / "logq-server"), "run", "--config", str(server.dir / "server.yaml")],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode != 0 and re.search(r"bad\.yaml:5:\d+: ", done.stderr), done
    bad.unlink()
    server.start()
    assert server.metric("logq_rules_loaded") == 2


def run():
    receiver = Receiver()
    with workspace() as work:
        server = Server(work / "server").init(
            lambda text: text + f"alerting:\n  webhooks:\n    - url: {receiver.url}\n")
        (server.dir / "rules" / "web.yaml").write_text(RULES)
        server.start()
        try:
            check_first_alert(server, receiver)
            check_end(server, receiver)
            check_retry(server, receiver)
            check_api(server)
            check_bad_rules(server)
            server.stop()
        finally:
            server.discard()
            receiver.close()


main(run)
