"""How a run begins and ends: logging, signals, and the exit code of every error."""

import logging
import os
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from connector.errors import ConnectorError, Interrupted

LEAVE_SECONDS = 27.0
"""A scheduler kills what has not left 30 seconds after it was asked to."""

_UNEXPECTED = 1


@contextmanager
def leave_with(quiet: bool = False) -> Iterator[None]:
    """Turns every error into one clear sentence on stderr and its exit code."""
    _log_to_stderr(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    except ConnectorError as error:
        kind = "Interrupted" if isinstance(error, Interrupted) else "Error"
        typer.echo(f"{kind}: {error.message}", err=True)
        if error.hint:
            typer.echo(f"Hint: {error.hint}", err=True)
        raise typer.Exit(error.exit_code) from error
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as error:
        raise typer.Exit(Interrupted.exit_code) from error
    except BrokenPipeError as error:
        # Whoever read stdout has gone; there is nobody to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise typer.Exit(_UNEXPECTED) from error
    except Exception as error:
        # The message of an unknown error may quote an item, so only its kind and place are shown.
        place = traceback.extract_tb(error.__traceback__)[-1]
        typer.echo(
            f"Error: unexpected {type(error).__name__} in {place.name} ({place.filename}:"
            f"{place.lineno}); nothing of the current batch was committed.",
            err=True,
        )
        typer.echo(
            "Hint: run the same command again; if it stays, please report this line.", err=True
        )
        raise typer.Exit(_UNEXPECTED) from error


class _ToStderr(logging.Handler):
    """Writes to what stderr is now: a progress display takes its place while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        print(self.format(record), file=sys.stderr)


def _log_to_stderr(level: int) -> None:
    logger = logging.getLogger("connector")
    logger.setLevel(level)
    if not logger.handlers:
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.propagate = False


@contextmanager
def stopped_by_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal, or too long a wait, ends at once."""
    stop = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            _leave_now()
        stop.set()
        timer = threading.Timer(LEAVE_SECONDS, _leave_now)
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_now() -> None:
    # Nothing is half-written: a transaction that has not committed is rolled back.
    os._exit(Interrupted.exit_code)
