#!/usr/bin/env python3
# label: story
# timeout: 300
"""The server is away, and logs are deleted that are more than spool.bytes allows to lie about: the collector packs them into
keep/.  While it does it is killed, again and again.  What a kill took is what had no other place yet, and a gap record says
exactly which bytes; every line outside of those is there once, and no gap speaks of a line that is there."""
import shutil

from lib import LONG, exact, gaps, main, seed, stage, wait_count, wait_for

ROUNDS = 8 if LONG else 2
LINES, MANY = 60_000, 3  # about 7 MB each


def run():
    dice = seed()
    with stage("  - {type: cri, paths: ['@/pods/*/*/*.log']}\n",
               more="log_level: debug\nspool: {bytes: 12MB}\nchunk: {bytes: 64KiB, bytes_busy: 64KiB, window: 2}\n") as s:
        s.collector.start()
        wait_for("a connection", lambda: "ship.connected" in s.collector.text())
        s.server.kill()
        feeds, written = {}, 0
        for i in range(ROUNDS):
            for k in range(MANY):
                name = f"p{i}x{k}"
                log = f"pods/ns_{name}_uid-{name}/app/0.log"
                lines = LINES + len(feeds)  # no two of one size
                feeds[name] = s.feed(log, "-s", written, "-n", lines, "-b", 60, index=f"index-{name}")
                written += lines
                feeds[name].start().wait()
                wait_for("the log to be followed", lambda: f"file.open file={s.work / log} position=0" in s.collector.text())
                feeds[name].text = lambda text=feeds[name].text(): text  # what it told goes with its log
            wait_for("a note of their sizes", lambda: noted(s) >= {f.files()[-1]["bytes"] for f in list(feeds.values())[-MANY:]})
            for pod in (s.work / "pods").iterdir():
                shutil.rmtree(pod)
            wait_for("a log to be copied", lambda: kept_bytes(s) > dice.randrange(1, 1_000_000))
            s.collector.kill()
            s.collector.start(configure=False)
            wait_for("a start", lambda: s.collector.text().count("collector.started") == i + 2)
        s.server.start()
        lost = {}

        def accounted():
            for gap in gaps(s.server):
                feed = next(f for n, f in feeds.items() if f"_{n}_" in gap["file"])
                lost[gap["file"], gap["start"], gap["end"]] = feed.lines_in(1, gap["start"], gap["end"])
            return sum(v for _, v in s.server.query('sum(count_over_time({container="app"}[24h]))')) + \
                sum(len(v) for v in lost.values()) >= written

        wait_for("every line to be there or in a gap", accounted, 60)
        wait_for("keep/ to be empty", lambda: kept_bytes(s) == 0)
        s.collector.stop()
        assert accounted()
        causes = {gap["gap"] for gap in gaps(s.server)}
        print(f"{len(lost)} gaps, {causes}")
        assert causes <= {"file_gone", "spool_full"}, causes
        gone = set().union(*lost.values())
        assert len(gone) == sum(len(v) for v in lost.values()), "two gaps of one line"
        exact(s.server, '{container="app"}', 0, written, gone)
        s.server.stop()


def kept_bytes(s):
    return sum(path.stat().st_size for path in (s.collector.dir / "state" / "keep").iterdir())


def noted(s):
    """Sizes of files in the journal (docs/formats/checkpoint.md)."""
    journal = (s.collector.dir / "state" / "checkpoint").read_bytes()
    return {int.from_bytes(journal[at + 16:at + 24], "little") for at in range(64, len(journal), 64) if journal[at + 4] == 7}


main(run)
