"""The three standard streams: closed ones, full ones, and those that cannot show every letter."""

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
    """A descriptor that a run outlives: what cannot be written is dropped, and why is kept."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._gone = False
        self.problem = ""

    def write(self, content: "Buffer", /) -> int:
        """Writes what can be written; the rest has nobody to read it."""
        rest = memoryview(content)
        whole = len(rest)
        while rest and not self._gone:
            try:
                rest = rest[os.write(self._descriptor, rest) :]
            except BlockingIOError:
                # Whoever shares the descriptor has asked that nobody waits for it.
                select.select([], [self._descriptor], [])
            except BrokenPipeError:
                # Whoever read it has gone, and has what they wanted.
                self._gone = True
            except OSError as error:
                self._gone = True
                self.problem = error.strerror or type(error).__name__
        return whole

    def writable(self) -> bool:
        """It is."""
        return True

    def fileno(self) -> int:
        """The number of the descriptor."""
        return self._descriptor

    def isatty(self) -> bool:
        """Whether a person reads it."""
        return os.isatty(self._descriptor)


_outputs: dict[int, _Output] = {}


def secure() -> None:
    """Gives the program streams that nothing it prints can fail on.

    A stream that the caller has closed is nowhere from now on: else the next file that is opened,
    the warehouse perhaps, would be the one that is printed to.
    """
    for descriptor in (STDIN, STDOUT, STDERR):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is this one. Processes that are started later need it too.
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    if sys.stdin is None:
        sys.stdin = open(STDIN, encoding="utf-8", closefd=False)  # noqa: SIM115
    sys.stdout = _lasting(STDOUT, sys.stdout)
    sys.stderr = _lasting(STDERR, sys.stderr)


def _lasting(descriptor: int, before: TextIO | None) -> TextIO:
    output = _outputs[descriptor] = _Output(descriptor)
    encoding = before.encoding if before is not None else "utf-8"
    if "\n".encode(encoding) != b"\n":
        # Nobody who reads lines or JSON could read this.
        encoding = "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding,
        errors="backslashreplace",
        line_buffering=descriptor == STDERR or output.isatty(),
    )


def ended(code: int) -> int:
    """Sends what is still to be sent; the exit code, given that of the run."""
    sys.stdout.flush()
    problem = _outputs[STDOUT].problem if STDOUT in _outputs else ""
    if problem and code == 0:
        code = _FAILED
        print(
            "Error: The command succeeded, but what it had to say could not be written to "
            f"standard output: {problem}.\n"
            "Hint: Make room there, or send it elsewhere; to run the command again does no harm.",
            file=sys.stderr,
        )
    sys.stderr.flush()
    return code
