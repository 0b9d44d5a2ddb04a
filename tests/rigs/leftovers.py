"""python -m tests.rigs.leftovers ARGUMENT…: runs this Python with these arguments, and fails where
it leaves a process behind.

On Linux an orphan is adopted by the nearest ancestor that asks for it, which this process does: so
every process that was started, however far down, ends or is found here.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

PR_SET_CHILD_SUBREAPER = 36
PATIENCE_SECONDS = 15.0
"""What ends together with the tests may end a little later than they do."""


def run(arguments: Sequence[str]) -> int:
    """The exit code of Python with these arguments; where that is 0 and a process is left, 1."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    # Ctrl-C reaches the command as well, which then ends by itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # Whoever ends this process before it can tell the command is heard a little later.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    started = subprocess.Popen([sys.executable, *arguments], preexec_fn=_hear_signals)
    signal.signal(signal.SIGTERM, lambda number, frame: started.send_signal(number))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    code = _reap(started.pid)
    left = _left_after(PATIENCE_SECONDS)
    for pid, name in left.items():
        print(f"Left behind by the tests, and ended now: {pid} {name}", file=sys.stderr)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return code or int(bool(left))


def _hear_signals() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _reap(wanted: int) -> int:
    """Waits for a child, and meanwhile for every orphan, so that none stays as a zombie."""
    while True:
        pid, status = os.wait()
        if pid == wanted:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code


def _left_after(seconds: float) -> dict[int, str]:
    deadline = time.monotonic() + seconds
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return {}
        if pid == 0:
            if time.monotonic() > deadline:
                return children(os.getpid())
            time.sleep(0.1)


def children(parent: int) -> dict[int, str]:
    """The command lines of a process's children, by number."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            # The name, in parentheses, may hold anything; the fields that follow do not.
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[1]) == parent:
                command = stat.with_name("cmdline").read_bytes().replace(b"\0", b" ")
                found[int(stat.parent.name)] = command.decode(errors="replace").strip()
        except OSError:
            # It has ended meanwhile.
            continue
    return found


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
