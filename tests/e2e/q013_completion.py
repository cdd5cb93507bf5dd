#!/usr/bin/env python3
# timeout: 240
"""What Tab does in bash, zsh and fish, each on a terminal of its own with the script that `logq completion` prints.

logq: commands, flags, labels and values from the server, within quotes and in metric queries; what goes on stays open.
server: one, plain (--dev).
"""
import fcntl
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from lib import BIN, SLOW, Server, logq, main, workspace

CASES = [  # what is typed before Tab; what must be there then; how the line goes on; what the command says
    ("logq vol", "logq volume ", "--by app -o raw\r", "web"),
    ("logq labels ho", "logq labels host ", "\r", "north"),
    ("logq query '{ap", "'{app=\"", "web\"}' -o raw\r", "line of web"),
    ("logq query '{app=\"w", "'{app=\"web\"", "}' -o raw\r", "line of web"),
    ("logq query '{app=\"web\", h", ", host=\"", "north\"}' -o raw\r", "line of web"),
    ("logq query 'count_over_time({app=\"w", "({app=\"web\"", "}[1h])' -o raw\r", "north"),
]
READY = "ready> "
SIGNS = re.compile(r"\x1b(\[[0-9;?>=]*[a-zA-Z]|[=>78]|\][^\x07]*\x07|\([A-B0]|k[^\x1b]*\x1b\\)|[\x07\x0e\x0f]|.\x08")


class Terminal:
    """A shell that has a terminal; what it shows, without the signs that move and colour."""

    def __init__(self, argv, env, cwd):
        self.mine, its = pty.openpty()
        self.shell = subprocess.Popen(argv, stdin=its, stdout=its, stderr=its, env=env, cwd=cwd, start_new_session=True,
                                      preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(its)
        self.read = ""

    def wait(self, text, what):
        end = time.monotonic() + 30 * SLOW
        while text not in (shown := SIGNS.sub("", self.read)):
            assert time.monotonic() < end, f"{what}: {shown!r} without {text!r}"
            if select.select([self.mine], [], [], 0.2)[0]:
                self.read += os.read(self.mine, 65536).decode(errors="replace")

    def write(self, text):
        self.read = ""
        os.write(self.mine, text.encode())

    def close(self):
        os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()
        os.close(self.mine)


def shells(server, work):
    """Of each its arguments, and a home with the script where docs/cli.md says."""
    homes = {name: work / name for name in ("bash", "zsh", "fish")}
    for home in homes.values():
        home.mkdir()
    (homes["bash"] / ".bashrc").write_text(f"PS1='{READY}'\neval \"$(logq completion bash)\"\n")
    (homes["zsh"] / "functions").mkdir()
    (homes["zsh"] / "functions/_logq").write_text(logq(server, "completion", "zsh").stdout)
    (homes["zsh"] / ".zshrc").write_text(f"PS1='{READY}'\nfpath=($HOME/functions $fpath)\nautoload -U compinit; compinit -u\n")
    settings = homes["fish"] / ".config/fish"
    (settings / "completions").mkdir(parents=True)
    (settings / "completions/logq.fish").write_text(logq(server, "completion", "fish").stdout)
    (settings / "config.fish").write_text(f"function fish_prompt; echo '{READY}'; end\nfunction fish_right_prompt; end\n"
                                          "set -g fish_greeting\nset -g fish_autosuggestion_enabled 0\n")
    return [(["bash", "--noprofile", "--rcfile", str(homes["bash"] / ".bashrc"), "-i"], homes["bash"]),
            (["zsh", "-i"], homes["zsh"]), (["fish", "-i"], homes["fish"])]


def complete(argv, home, server, typed, there, more, said):
    env = dict(os.environ, **server.environment()) | {"PATH": f"{BIN}:{os.environ['PATH']}", "TERM": "xterm", "HOME": str(home)}
    env.pop("XDG_CONFIG_HOME", None)
    terminal = Terminal(argv, env, home)
    try:
        terminal.wait(READY.strip(), f"{argv[0]} is there")
        for text, shown in ((typed + "\t", there), (more, said)):
            terminal.write(text)
            terminal.wait(shown, f"{argv[0]}: {text!r}")
    finally:
        terminal.close()


def run():
    with workspace() as work:
        server = Server(work / "server", dev=True).init().start()
        try:
            now = time.time_ns()
            server.push([({"app": "web", "host": "north"}, [(now, "a line of web")]),
                         ({"app": "db"}, [(now, "a line of db")])])
            for argv, home in shells(server, work):
                for case in CASES:
                    complete(argv, home, server, *case)
            server.stop()
        finally:
            server.discard()


main(run)
