#!/usr/bin/env python3
# label: story
# timeout: 200
"""A wall of screens shows the same slow panel: many equal questions at once.  One of them is worked on, the others wait for its
answer, and while they wait whoever asks something else is served, though there are only two workers.

server: all of the wall get the same, right answer; it was read by one of them (the counter says how many joined); other questions
were answered before the slow one was.
"""
import http.client
import json
import threading
import time
import urllib.parse

from lib import SLOW, Server, main, wait_for, workspace

S, HOUR = 10**9, 3600 * 10**9
LINES, WALL, ROUNDS_MAX = 3000, 40, 30000


def slow(rounds):
    """Counts lines, each only after `rounds` rounds of a template's loop."""
    return 'sum(count_over_time({app="web"} | line_format "{{range %d}}{{end}}{{__line__}}" |= "line" [5m]))' % rounds


class Wall:
    def __init__(self, server, start):
        self.server, self.start = server, start
        self.answers, self.lock = [], threading.Lock()

    def connect(self):
        wire = http.client.HTTPSConnection(self.server.url.split("//")[1], context=self.server.context, timeout=120 * SLOW)
        wire.connect()
        return wire

    def ask(self, wire, query):
        wire.request("GET", self.path(query), headers={"Authorization": f"Bearer {self.server.token}"})
        answer = wire.getresponse()
        body = answer.read()
        assert answer.status == 200, body
        return sum(float(v[1]) for s in json.loads(body)["data"]["result"] for v in s["values"])

    def path(self, query):
        return "/loki/api/v1/query_range?" + urllib.parse.urlencode(
            {"query": query, "start": self.start, "end": self.start + HOUR, "step": "5m"})

    def screen(self, wire, query):
        answer = self.ask(wire, query)
        with self.lock:
            self.answers.append(answer)


def rounds_for_seconds(wall, seconds):
    """How many rounds make a question take about so long here."""
    wire, rounds = wall.connect(), 100
    while True:
        began = time.monotonic()
        assert wall.ask(wire, slow(rounds)) == LINES
        took = time.monotonic() - began
        if took > seconds / 10 or 4 * rounds > ROUNDS_MAX:
            return min(ROUNDS_MAX, int(rounds * seconds / took))
        rounds *= 4


def run():
    with workspace() as work:
        server = Server(work / "server").init(edit=lambda text: text + "\nquery: {workers: 2}\n").start()
        try:
            start = (time.time_ns() // HOUR - 3) * HOUR
            server.push([({"app": "web"}, [(start + (i + 1) * S, f"line {i}") for i in range(LINES)])])
            assert server.request("POST", "/api/v1/admin/flush", b"")[0] == 200
            wall = Wall(server, start)
            query = slow(rounds_for_seconds(wall, 3))
            before = server.metric("logq_query_results_joined_total")
            wires = [wall.connect() for _ in range(WALL)]  # so that all ask at once
            screens = [threading.Thread(target=wall.screen, args=(wire, query)) for wire in wires]
            for s in screens:
                s.start()
            wait_for("all but one wait for that one", lambda: server.metric("logq_query_results_joined_total") - before >= WALL - 1)
            others = 0
            while not wall.answers and others < 20:
                assert server.query("vector(1) + vector(1)") == [({}, 2.0)]
                others += 1
            assert others > 1, "other questions waited for the slow one"
            for s in screens:
                s.join()
            assert wall.answers == [LINES] * WALL, wall.answers
            assert server.metric("logq_query_results_alone_total") == 0
            server.stop()
        finally:
            server.discard()


main(run)
