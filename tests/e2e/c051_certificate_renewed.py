#!/usr/bin/env python3
# label: story
# timeout: 200
"""Somebody renews the collector's certificate while it runs and a log is written; nobody sends a signal.

    the first      has a few seconds left of its life: at four fifths of it the collector connects anew with what lies there
    a key alone    is put in place without its certificate: what was read before stays, the server comes back to it
    both           are there: the next connection has them
    the server     says of each how long it holds, and has every line once
"""
import calendar
import json
import os
import time

from lib import exact, logq, main, run as command, stage, wait_count, wait_for

LINES, RATE = 24_000, 2_000
CONF = """[ca]
default_ca = one
[one]
database = {dir}/index
new_certs_dir = {dir}
serial = {dir}/serial
default_md = sha256
policy = any
x509_extensions = client
unique_subject = no
[any]
commonName = supplied
[client]
subjectAltName = {san}
extendedKeyUsage = clientAuth
"""


class Issuer:
    """The CA of the server, which signs with any dates."""

    def __init__(self, s):
        self.dir, self.tls, self.mine = s.work / "issuer", s.server.dir / "tls", s.server.dir / "collector"
        self.dir.mkdir()
        (self.dir / "index").write_text("")
        (self.dir / "serial").write_text("1000\n")
        text = command(["openssl", "x509", "-in", self.mine / "client.crt", "-noout", "-ext", "subjectAltName"]).stdout
        (self.dir / "conf").write_text(CONF.format(dir=self.dir, san=text.splitlines()[-1].strip()))

    def issue(self, name, begin, end):
        """NAME.key and NAME.crt, valid from begin to end seconds from now; returns when it ends."""
        now = int(time.time())
        key, request, certificate = (self.dir / f"{name}.{kind}" for kind in ("key", "csr", "crt"))
        command(["openssl", "req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                 "-out", request, "-subj", f"/CN={name}"])
        dates = [time.strftime("%Y%m%d%H%M%SZ", time.gmtime(now + at)) for at in (begin, end)]
        command(["openssl", "ca", "-batch", "-notext", "-config", self.dir / "conf", "-cert", self.tls / "ca.crt", "-keyfile",
                 self.tls / "ca.key", "-in", request, "-out", certificate, "-startdate", dates[0], "-enddate", dates[1]])
        return now + end

    def install(self, name, *kinds):
        """Put the files in place, each in one step."""
        for kind in kinds:
            new = self.mine / f"new.{kind}"
            new.write_bytes((self.dir / f"{name}.{kind}").read_bytes())
            os.replace(new, self.mine / f"client.{kind}")


def ends(s):
    """When the certificate ends, as `logq collectors` says."""
    done = logq(s.server, "collectors", "-o", "jsonl", check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    return [calendar.timegm(time.strptime(row["expires"][:19], "%Y-%m-%dT%H:%M:%S")) for row in rows]


def run():
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n") as s:
        issuer = Issuer(s)
        first = issuer.issue("first", -60, 20)  # four fifths are over in four seconds
        second, third = issuer.issue("second", -60, 3600), issuer.issue("third", -60, 7200)
        issuer.install("first", "key", "crt")
        s.collector.start()
        feed = s.feed("pods/ns_pod_uid-1/app/0.log", "-n", LINES, "-r", RATE).start()
        wait_for("the first certificate", lambda: ends(s) == [first])
        issuer.install("second", "key", "crt")
        wait_for("the second one, before the first ends", lambda: ends(s) == [second], first - time.time())

        issuer.install("third", "key")
        s.server.kill()
        s.server.start()
        wait_for("the half is not taken", lambda: "certificate.unusable" in s.collector.text())
        lines = len(s.server.entries('{container="app"}'))
        wait_for("lines with the second one", lambda: len(s.server.entries('{container="app"}')) > lines)
        assert ends(s) == [second]
        issuer.install("third", "crt")
        s.server.kill()
        s.server.start()
        wait_for("the third one", lambda: ends(s) == [third])
        feed.wait()
        wait_count(s.server, '{container="app"}', LINES)
        exact(s.server, '{container="app"}', 1, LINES + 1)
        assert s.collector.text().count("certificate.renewed") == 2, s.collector.text()
        s.collector.stop()
        s.server.stop()


main(run)
