"""A real systemd-journald for stories, in a mount namespace of its own: /run there is empty but for it."""
import array
import fcntl
import os
import signal
import socket
import struct
import subprocess

from lib import wait_for

CONF = "[Journal]\nStorage=volatile\nRateLimitIntervalSec=0\nRateLimitBurst=0\nReadKMsg=no\nAudit=no\nForwardToSyslog=no\n" \
       "ForwardToKMsg=no\nForwardToConsole=no\nForwardToWall=no\nLineMax=64K\nRuntimeMaxUse=512M\nRuntimeKeepFree=1M\n"
SETUP = "mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal && " \
        "mount --bind \"$0/journal\" /run/log/journal && mount --bind \"$0/journald.conf\" /etc/systemd/journald.conf && " \
        "exec /lib/systemd/systemd-journald"


class Journald:
    """systemd-journald with its files in work/journal; log() speaks its native protocol."""

    def __init__(self, work):
        self.dir = work / "journal"
        self.dir.mkdir()
        (work / "journald.conf").write_text(CONF)
        self.log_file = open(work / "journald.log", "wb")
        self.process = subprocess.Popen(["unshare", "-m", "--propagation", "private", "sh", "-c", SETUP, work],
                                        env=dict(os.environ, SYSTEMD_LOG_TARGET="console"), stdin=subprocess.DEVNULL,
                                        stdout=self.log_file, stderr=self.log_file)
        path = f"/proc/{self.process.pid}/root/run/systemd/journal/socket"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)

        def there():
            assert self.process.poll() is None, (work / "journald.log").read_text()
            self.socket.connect(path)
            return True
        wait_for("journald's socket", there)
        wait_for("a journal", lambda: list(self.dir.rglob("system.journal")))

    def inside(self):
        """The beginning of a command that shall find this journald where one is usually."""
        return ["nsenter", "-m", "-t", str(self.process.pid)]

    def log(self, **fields):
        out = b""
        for name, value in fields.items():
            value = value if isinstance(value, bytes) else str(value).encode()
            out += name.encode()
            out += b"\n" + struct.pack("<Q", len(value)) + value + b"\n" if b"\n" in value else b"=" + value + b"\n"
        if len(out) < 60_000:
            self.socket.send(out)
            return
        fd = os.memfd_create("entry", os.MFD_ALLOW_SEALING)  # what is too long for a datagram
        os.write(fd, out)
        fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL)
        self.socket.sendmsg([], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
        os.close(fd)

    def files(self):
        return sorted(self.dir.rglob("*.journal"))

    def rotate(self):
        before = len(self.files())
        self.process.send_signal(signal.SIGUSR2)
        wait_for("a rotation", lambda: len(self.files()) > before)

    def close(self):
        self.socket.close()
        self.process.terminate()
        self.process.wait()
        self.log_file.close()
