"""The three standard streams, made safe: closed, full, or unable to show every character."""

import io
import os
import select
import sys
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from typing_extensions import Buffer

STDIN, STDOUT, STDERR = range(3)
_FAILED = 4
"""The exit code of what may succeed later, as a full disk does."""


class _Output(io.RawIOBase):
    """A descriptor that never fails a run: what cannot be written is dropped; see `problem`."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._gone = False
        self.problem = ""

    def write(self, content: "Buffer", /) -> int:
        """Writes what can be written and drops the rest."""
        rest = memoryview(content)
        whole = len(rest)
        while rest and not self._gone:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Another process that shares the descriptor has made it non-blocking.
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                # The reader has closed its end, so it has what it wanted.
                self._gone = True
            except OSError as error:
                self._gone = True
                self.problem = error.strerror or type(error).__name__
        return whole

    def writable(self) -> bool:
        """Always true."""
        return True

    def fileno(self) -> int:
        """The number of the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return os.isatty(self._descriptor)


_outputs: dict[int, _Output] = {}


def secure() -> None:
    """Replaces stdout and stderr with streams on which printing cannot fail.

    A stream that the caller has closed leads to /dev/null from now on; otherwise the next file to
    be opened, perhaps the warehouse, would receive what is printed.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is this one. Child processes need it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _lasting(STDOUT, sys.stdout)
    sys.stderr = _lasting(STDERR, sys.stderr)


def _lasting(descriptor: int, before: TextIO | None) -> TextIO:
    output = _outputs[descriptor] = _Output(descriptor)
    encoding = before.encoding if before is not None else "utf-8"
    if "\n".encode(encoding) != b"\n":
        # A reader of lines or JSON could not read this encoding.
        encoding = "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding,
        errors="backslashreplace",
        line_buffering=descriptor == STDERR or output.isatty(),
    )


def ended(code: int) -> int:
    """Flushes the streams; the exit code of the process, given that of the run."""
    sys.stdout.flush()
    problem = _outputs[STDOUT].problem if STDOUT in _outputs else ""
    if problem and code == 0:
        code = _FAILED
        print(
            "Error: The command succeeded, but its result could not be written to standard "
            f"output: {problem}.\n"
            "Hint: Make room there, or send it elsewhere; running the command again does no harm.",
            file=sys.stderr,
        )
    sys.stderr.flush()
    return code
