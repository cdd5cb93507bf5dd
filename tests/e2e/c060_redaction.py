#!/usr/bin/env python3
# label: story
# timeout: 200
"""Programs write secrets of every kind into CRI, Docker and plain logs, into Docker's attrs, and a private key line by line,
over a rotation too, while the collector is killed.  No secret is in any record, nor as bytes in the server's data or in the
collector's state directory; every line arrives once, with a mark in the place of each secret."""
import json
import os
import time

from lib import LONG, exact, main, seed, stage, wait_count, wait_for

ROUNDS = 60 if LONG else 12
INPUTS = """  - {type: cri, paths: ['@/pods/shop_web_1/app/*.log']}
  - {type: docker, paths: ['@/docker/*/*-json.log']}
  - {type: file, paths: ['@/plain.log'], labels: {container: plain}}
"""
REDACT = """redact:
  detectors: [bearer, cloud_key, jwt, card, email, ip, private_key]
  patterns: [{name: badge, pattern: 'badge=(\\w+)'}]
"""
ALPHABET = "abcdefghijkmnopqrstuvwxyzABCDEFGHJKLMNPQRSTUVWXYZ"
DIGITS = "0123456789"


def luhn(number):
    """The number with its check digit."""
    total = sum((2 * d - 9 if d > 4 else 2 * d) if i % 2 == 0 else d for i, d in enumerate(map(int, reversed(number))))
    return number + str(-total % 10)


class Secrets:
    """Makes them, and knows all it made."""

    def __init__(self, rnd):
        self.rnd, self.all = rnd, []

    def text(self, n, alphabet=ALPHABET + DIGITS):
        return "".join(self.rnd.choice(alphabet) for _ in range(n))

    def one(self, kind):
        """(text of the line, the same as it must be stored)"""
        secret, before, after = {
            "bearer": lambda: (self.text(40), "Authorization: Bearer ", ""),
            "cloud_key": lambda: ("AKIA" + self.text(16, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), "key ", ","),
            "jwt": lambda: ("eyJ" + self.text(20) + "." + self.text(30) + "." + self.text(43), "t=", ";"),
            "card": lambda: (luhn("4" + self.text(14, DIGITS)), "paid with ", " in full"),
            "email": lambda: (f"{self.text(12)}@{self.text(9).lower()}.example.org", "mail to <", ">"),
            "ip": lambda: ("2001:db8:" + ":".join(self.text(3, "123456789") for _ in range(6)), "from ", " by"),
            "badge": lambda: (self.text(10), "badge=", " seen"),
        }[kind]()
        self.all.append(secret)
        return before + secret + after, f"{before}[redacted:{kind}]{after}"

    def key(self):
        body = [self.text(64) for _ in range(6)]
        self.all += body
        return ["-----BEGIN RSA PRIVATE KEY-----", *body, "-----END RSA PRIVATE KEY-----"]


KINDS = ("bearer", "cloud_key", "jwt", "card", "email", "ip", "badge")
TODAY = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime())
CRI = TODAY + ".%09dZ %s F %s\n"


def append(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(text)


def files_with(directory, needles):
    """Files below `directory` that hold one of the needles."""
    found = []
    for root, _, names in os.walk(directory):
        for name in names:
            with open(os.path.join(root, name), "rb") as file:
                data = file.read()
            found += [(os.path.join(root, name), n) for n in needles if n in data]
    return found


def run():
    rnd = seed()
    secrets = Secrets(rnd)
    with stage(INPUTS, REDACT) as s:
        cri, plain = s.work / "pods/shop_web_1/app/0.log", s.work / "plain.log"
        docker = s.work / "docker/c0ffee/c0ffee-json.log"
        docker.parent.mkdir(parents=True)
        (docker.parent / "config.v2.json").write_text(json.dumps({"ID": "c0ffee", "Name": "/dock", "Config": {"Image": "i", "Labels": {}}}))
        want, n = {"app": [], "dock": [], "plain": []}, 0
        s.collector.start()
        append(cri, CRI % (0, "stdout", "first"))
        want["app"].append("first")
        wait_for("the first ack", lambda: s.server.metric("logq_forward_acks_total") > 0)
        for i in range(ROUNDS):
            for kind in KINDS:
                for container in want:
                    line, clean = secrets.one(kind)
                    n += 1
                    line, clean = f"n={n:010d} {line}", f"n={n:010d} {clean}"
                    want[container].append(clean)
                    if container == "app":
                        append(cri, CRI % (n, "stdout", line))
                    elif container == "plain":
                        append(plain, line + "\n")
                    else:
                        attr, _ = secrets.one(kind)
                        append(docker, json.dumps({"log": line + "\n", "stream": "stderr", "attrs": {"note": attr}, "time": TODAY + "Z"},
                                                  separators=(",", ":")) + "\n")
            lines = [CRI % (n, "stderr", line) for line in secrets.key()]
            want["app"] += ["[redacted:private_key]"] * len(lines)
            append(cri, "".join(lines[:4]))
            if i % 4 == 1:
                cri.rename(cri.with_name(f"0.log.2026112110{i:04d}"))
            append(cri, "".join(lines[4:]))
            if i % 3 == 2:
                acked = s.server.metric("logq_forward_acks_total")
                append(cri, CRI % (n, "stdout", "still here"))
                want["app"].append("still here")
                wait_for("an ack", lambda: s.server.metric("logq_forward_acks_total") > acked, 20)
                s.collector.kill()
                s.collector.start()
        for container, lines in want.items():
            wait_count(s.server, '{container="%s"}' % container, len(lines), 30)
            got = [e["line"] for e in s.server.entries('{container="%s"}' % container)]
            assert sorted(got) == sorted(lines), sorted(set(got) ^ set(lines))[:6]
        attributes = [e["attributes"]["note"] for e in s.server.entries('{container="dock"}')]
        assert all("[redacted:" in a for a in attributes), attributes[:5]
        needles = [secret.encode() for secret in secrets.all]
        every = json.dumps(s.server.entries('{host=~".+"}')).encode()
        assert not [needle for needle in needles if needle in every]
        s.collector.stop()
        assert not files_with(s.collector.dir / "state", needles), files_with(s.collector.dir / "state", needles)[:5]
        s.server.stop()
        assert not files_with(s.server.dir, needles), files_with(s.server.dir, needles)[:5]
        print(f"{len(needles)} secrets, none found")


main(run)
