#!/usr/bin/env python3
# label: story
# timeout: 200
"""Rules drop, sample and limit what a program writes, while the collector is killed again and again.  For each kind of line
the records at the server and the drops that notices report add up to the lines that were written, exactly; what no rule is
about is there once, line by line.  What a sample keeps is about its part.  An input's select leaves a whole log out."""
import os

from lib import LONG, SLOW, main, seed, stage, stamp, wait_count, wait_for

LINES = 30_000 if LONG else 6_000
KILLS = 12 if LONG else 4
KINDS = ("plain", "noise", "thin", "flood")
INPUTS = """  - type: cri
    paths: ['@/pods/shop_web_1/app/*.log', '@/pods/quiet_web_2/app/*.log']
    select: {exclude: {namespace: qui*}}
"""
RULES = """rules:
  - {name: noise, if: {line: kind=noise, level: debug}, then: drop}
  - {name: thin, if: {line: kind=thin, labels: {container: app}}, sample: 0.25}
  - {name: flood, if: {pattern: 'kind=(flood|torrent) '}, rate: 200, burst: 100}
"""


def write(path, rnd, counts, alive):
    """LINES lines, interleaved kinds, two streams, some cut in pieces; alive() is called now and then."""
    os.makedirs(path.parent, exist_ok=True)
    with open(path, "wb", buffering=0) as log:
        for n in range(LINES):
            kind = KINDS[rnd.randrange(len(KINDS))]
            stream = b"stdout" if rnd.randrange(3) else b"stderr"
            now = stamp().encode()
            text = b"n=%010d kind=%s level=debug %s" % (n, kind.encode(), b"x" * rnd.randrange(100))
            cut = rnd.randrange(len(text)) if rnd.randrange(10) == 0 else 0
            if cut:
                log.write(b"%s %s P %s\n" % (now, stream, text[:cut]))
            log.write(b"%s %s F %s\n" % (now, stream, text[cut:]))
            counts[kind].append(n)
            if n % (LINES // (KILLS + 1)) == LINES // (KILLS + 1) - 1:
                alive()


def drops(server):
    """Records dropped by rule, as the notices tell: {rule: count}."""
    found = {}
    for entry in server.entries('{source="logq"}'):
        a = entry.get("attributes", {})
        if "drop" in a:
            found[a["drop"]] = found.get(a["drop"], 0) + int(a["count"])
    return found


def stored(server, kind):
    lines = [e["line"] for e in server.entries('{container="app"} |= "kind=%s "' % kind)]
    return [int(line[2:12]) for line in lines]


def run():
    rnd = seed()
    with stage(INPUTS, RULES) as s:
        counts = {kind: [] for kind in KINDS}
        s.collector.start()
        quiet = s.work / "pods/quiet_web_2/app/0.log"
        quiet.parent.mkdir(parents=True)
        quiet.write_text(f"{stamp()} stdout F nobody wants this\n" * 100)

        def die():
            acked = s.server.metric("logq_forward_acks_total")
            wait_for("an ack", lambda: s.server.metric("logq_forward_acks_total") > acked, 20)
            s.collector.kill()
            s.collector.start()

        write(s.work / "pods/shop_web_1/app/0.log", rnd, counts, die)
        wait_count(s.server, '{container="app"} |= "kind=plain "', len(counts["plain"]), 30)

        def told():
            # What was stored and what was dropped is all that was written.
            got = drops(s.server)
            return all(len(stored(s.server, k)) + got.get(k, 0) >= len(counts[k]) for k in KINDS)

        wait_for("notices of all drops", told, 40 / SLOW + 20, every=1)
        got = drops(s.server)
        s.collector.stop()
        for kind in KINDS:
            have = stored(s.server, kind)
            assert len(have) == len(set(have)), f"{kind}: something is stored twice"
            assert set(have) <= set(counts[kind]), kind
            assert len(have) + got.get(kind, 0) == len(counts[kind]), (kind, len(have), got, len(counts[kind]))
            print(f"{kind}: {len(counts[kind])} written, {len(have)} stored, {got.get(kind, 0)} dropped")
        assert "plain" not in got, got
        assert stored(s.server, "noise") == []
        assert 0.15 < len(stored(s.server, "thin")) / len(counts["thin"]) < 0.35
        assert got["flood"] > 0 and len(stored(s.server, "flood")) >= 100, got
        assert s.server.entries('{namespace="quiet"}') == []
        s.server.stop()


main(run)
