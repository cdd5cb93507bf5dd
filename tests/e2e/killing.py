"""The exactly-once story, shared by d001 (podman) and d002 (docker)."""
import collections
import re
import time

from lib import Collector, Server, free_port, seed, wait_for, workspace

LINES, PER_SECOND, LONG_EVERY, LONG_BYTES = 200_000, 5_000, 2_000, 40_000

# 500 lines every 100 ms; every 2,000th is 40 kB long, so that the runtime writes it in parts.
WRITER = (
    "BEGIN { pad = sprintf(\"%%%ds\", \"\"); gsub(/ /, \"x\", pad);"
    " for (i = 1; i <= %d; i++) { printf \"n=%%07d request handled%%s\\n\", i, i %% %d == 0 ? pad : \"\";"
    " if (i %% 500 == 0) { fflush(); system(\"usleep 97000\") } } }" % (LONG_BYTES, LINES, LONG_EVERY)
)


def acks(server):
    return server.metric("logq_forward_acks_total")


def kill_between_sync_and_ack(server, armed):
    """Arm the fault point that sends SIGKILL after a group is synced and before it is acknowledged."""
    armed.write_text("wal.synced:kill:1\n")
    server.process.wait(60)
    armed.write_text("")


def story(runtime, name, inputs):
    """A container writes 200,000 numbered lines, 5,000 a second.  Server and collector are killed with SIGKILL five times
    each at moments from a printed seed, at least two of the server's kills between a WAL fsync and its ack; the next kill
    comes only after a further ack.  Afterwards there are exactly 200,000 records with 200,000 distinct numbers, and the
    lines that the runtime wrote in parts are whole."""
    rnd = seed()
    with workspace() as work:
        armed = work / "faults"
        armed.write_text("")
        port, http = free_port(), free_port()
        server = Server(work / "server", env={"LOGQ_FAULT_FILE": str(armed)}).init()
        conf = work / "server" / "server.yaml"
        text = conf.read_text().replace("127.0.0.1:0", f"127.0.0.1:{http}", 1).replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
        conf.write_text(text)
        server.start()
        collector = Collector(work / "collector", server, inputs)
        collector.start()
        try:
            runtime.run(name, "/bin/awk", WRITER)
            begin = time.monotonic()
            kill_all(rnd, server, collector, armed, begin)
            runtime.wait(name)
            print(f"container ended after {time.monotonic() - begin:.1f} s")
            check(server, name)
            collector.stop()
            server.stop()
        finally:
            collector.discard()
            server.discard()


def kill_all(rnd, server, collector, armed, begin):
    kinds = ["server"] * 3 + ["server between fsync and ack"] * 2 + ["collector"] * 5
    rnd.shuffle(kinds)
    span = LINES / PER_SECOND
    # On a slow machine each kill delays the next; the last must still find lines unwritten, or no ack follows it.
    moments = sorted(rnd.uniform(0.04, 0.6) * span for _ in kinds)
    wait_for("the first ack", lambda: acks(server) > 0, 30)
    for kind, moment in zip(kinds, moments):
        time.sleep(max(0.0, begin + moment - time.monotonic()))  # a moment of the plan, not a wait for an effect
        if kind == "collector":
            collector.kill()
            before = acks(server)
            collector.start()
        else:
            if kind == "server":
                server.kill()
            else:
                kill_between_sync_and_ack(server, armed)
            before = 0
            server.start()
        print(f"{time.monotonic() - begin:6.2f} s killed {kind}")
        wait_for("an ack after the kill", lambda: acks(server) > before, 30)
    assert time.monotonic() - begin < span * 1.6, "the kills took longer than the writing"


def check(server, name):
    count = f'sum(count_over_time({{container="{name}"}}[1h]))'
    try:
        wait_for("200,000 records", lambda: sum(v for _, v in server.query(count)) >= LINES, 90)
    finally:
        print("records counted by a query:", server.query(count))
    entries = server.entries(f'{{container="{name}"}}')
    numbers = []
    for e in entries:
        found = re.match(r"n=(\d{7}) request handled(x*)$", e["line"])
        assert found, f"a line nobody wrote: {e['line'][:80]!r}"
        assert len(found[2]) == (LONG_BYTES if int(found[1]) % LONG_EVERY == 0 else 0), (found[1], len(found[2]))
        numbers.append(int(found[1]))
    print(f"{len(entries)} records, {len(set(numbers))} distinct numbers")
    assert len(entries) == LINES and set(numbers) == set(range(1, LINES + 1)), missing(numbers)
    assert sum(v for _, v in server.query(count)) == LINES


def missing(numbers):
    have = set(numbers)
    lost = [n for n in range(1, LINES + 1) if n not in have]
    twice = sorted(n for n, k in collections.Counter(numbers).items() if k > 1)
    return f"{len(lost)} lost {lost[:10]}, {len(numbers) - len(have)} too many {twice[:10]}"
