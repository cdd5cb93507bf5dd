#!/usr/bin/env python3
"""Real push clients of Loki from npm, over TLS with a token: winston-loki in protobuf and in JSON, pino-loki. Each record is
there once, with its labels, level and metadata, after a crash too; a wrong token stores nothing."""
import json

from lib import ROOT, Server, main, run as command, workspace

COUNT = 60


def ship(server, script, token=None, check=True):
    return command(["node", ROOT / "tests" / "clients" / script, server.url, token or server.token, str(COUNT)],
                   env={"NODE_EXTRA_CA_CERTS": str(server.dir / "tls" / "ca.crt")}, timeout=90, check=check)


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            assert ship(server, "winston_loki.js").stdout.startswith("sent")
            for mode in ("proto", "json"):
                found = server.entries(f'{{app="winston", mode="{mode}"}}')
                lines = sorted(e["line"] for e in found)
                levels = ["warn" if i % 2 else "info" for i in range(COUNT)]
                # format.simple() puts the labels of the record behind its message
                assert len(lines) == len(set(lines)) == COUNT, (mode, len(lines), lines[:3])
                for i in range(COUNT):
                    assert any(f'winston {mode} {i} "quoted" \u00e9' in line for line in lines), (mode, i, lines[:3])
                assert {e["labels"]["half"] for e in found} == {"first", "second"}, found[0]
                assert sorted(e["labels"]["level"] for e in found) == sorted(levels), found[0]
                assert {e["attributes"]["detected_level"] for e in found} == {"info", "warn"}, found[0]
            assert server.query('sum(count_over_time({app="winston"} | detected_level="warn" [1h]))') == [({}, float(COUNT))]

            server.kill()  # what was acknowledged is made again from the bytes as they came
            server.start()
            for mode in ("proto", "json"):
                again = server.entries(f'{{app="winston", mode="{mode}"}}')
                assert len(again) == COUNT and {e["labels"]["half"] for e in again} == {"first", "second"}, (mode, len(again))

            assert ship(server, "pino_loki.mjs").stdout.startswith("sent")
            found = server.entries('{app="pino"} | json')
            assert sorted(json.loads(e["line"])["n"] for e in found) == list(range(COUNT)), found[:2]
            for e in found:
                n = json.loads(e["line"])["n"]
                assert json.loads(e["line"])["msg"] == f"pino {n}", e
                assert e["labels"]["zone"] == ("a" if n % 3 == 0 else "b"), e
                assert e["labels"]["level"] == ("error" if n % 2 else "info"), e
                assert e["attributes"]["trace"] == f"t{n}", e

            before = server.metric("logq_store_records_total")
            ship(server, "winston_loki.js", token="x" * 20, check=False)
            assert server.metric("logq_http_denied_total") > 0
            assert server.metric("logq_store_records_total") == before
            server.stop()
        finally:
            server.discard()


main(run)
