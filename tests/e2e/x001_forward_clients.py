#!/usr/bin/env python3
"""Real third-party Forward clients from npm ship over mutual TLS, with acks, in every mode they have; each record is there
once and can be queried by line, attribute and level."""
from lib import ROOT, Server, main, run as command, wait_for, workspace

COUNT = 50


def ship(server, script):
    host, port = server.forward.rsplit(":", 1)
    tls = server.dir / "collector"
    done = command(["node", ROOT / "tests" / "clients" / script, host, port, tls / "ca.crt", tls / "client.crt", tls / "client.key",
                    str(COUNT)], timeout=90)
    assert done.stdout.startswith("sent"), done.stdout + done.stderr


def run():
    with workspace() as work:
        server = Server(work / "server").init().start()
        try:
            ship(server, "fluent_logger.js")
            for mode in ("message", "packed", "gzip"):
                lines = [e["line"] for e in server.entries(f'{{source="forward"}} |= "fluent-logger {mode} "')]
                assert sorted(lines) == sorted(f"fluent-logger {mode} {i}" for i in range(COUNT)), (mode, len(lines))
            entry = server.entries('{source="forward"} |= "fluent-logger message 7"')[0]
            assert entry["attributes"]["n"] == "7" and entry["attributes"]["ok"] == "true", entry
            assert entry["attributes"]["nested"] == '{"a":[1,2]}', entry
            assert entry["attributes"]["fluent.tag"] == "message.req", entry

            ship(server, "fluent_org_logger.js")
            for mode in ("Message", "Forward", "PackedForward", "CompressedPackedForward"):
                lines = [e["line"] for e in server.entries(f'{{source="forward"}} |= "fluent-org {mode} "')]
                assert sorted(lines) == sorted(f"fluent-org {mode} {i}" for i in range(COUNT)), (mode, len(lines))
            warned = server.query('sum(count_over_time({source="forward"} |= "fluent-org" | detected_level="warn" [1h]))')
            assert warned == [({}, 4.0 * COUNT / 2)], warned
            assert server.metric("logq_forward_acks_total") > 0
            server.stop()
        finally:
            server.discard()


main(run)
