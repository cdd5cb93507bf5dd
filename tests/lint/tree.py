"""Which files the lints look at.  All of them run from the root of the repository."""
import pathlib

TOPS = ["base", "wire", "storage", "query", "collector", "server", "demo", "tests", "bench", "scripts"]
SKIP = {"corpus", "golden", "__pycache__", "node_modules", "build"}


def sources(suffixes, tops=tuple(TOPS)):
    """Paths below `tops` that end in one of `suffixes`, sorted."""
    found = []
    for top in tops:
        for path in pathlib.Path(top).rglob("*"):
            if path.suffix in suffixes and path.is_file() and not SKIP & set(path.parts):
                found.append(path)
    return sorted(found)


def report(complaints):
    """Print what is wrong, one a line; the exit code of the lint."""
    bad = 0
    for complaint in complaints:
        print(complaint)
        bad += 1
    return 1 if bad else 0
