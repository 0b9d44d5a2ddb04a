"""How a run begins and ends: logging, signals, and the exit code of every error."""

import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import typer

from connector.cli.screen.visible import visible
from connector.errors import ConfigError, ConnectorError, Interrupted, QueryFailed, uncaught
from connector.stop import Stop

LEAVE_SECONDS = 27.0
"""Schedulers kill a process that has not ended 30 seconds after they asked it to."""

_ONE_TOO_MANY = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)")
_COMMENT = "No such option: -- "


@contextmanager
def leave_with(quiet: bool = False) -> Iterator[None]:
    """Prints every error on stderr as one clear sentence, and exits with its code."""
    _log_to_stderr(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    except ConnectorError as error:
        raise _printed(error) from error
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as error:
        raise typer.Exit(Interrupted.exit_code) from error
    except Exception as error:
        raise typer.Exit(report(error)) from error


def report(error: Exception) -> int:
    """Prints an error that nothing has caught, and returns its exit code."""
    return _printed(uncaught(error)).exit_code


def misused(error: typer.BadParameter) -> int:
    """Prints a mistake on the command line itself, and returns its exit code."""
    text = " ".join(error.format_message().split()).rstrip(".")
    command = f"`{error.ctx.command_path if error.ctx else 'connector'} --help`"
    hint = f"{command} lists what the command takes."
    if not text:
        # A command line without any argument: the help has been printed.
        return error.exit_code
    if more := _ONE_TOO_MANY.fullmatch(text):
        text = f"The command line has more arguments than the command takes: {more[1]}"
    elif text.startswith(_COMMENT):
        text = "A statement on the command line that begins with -- is taken for an option"
        hint = 'Write `connector query -- "-- …"`, or `connector query --file FILE`.'
    text += "" if text.endswith("?") else "."
    return _printed(ConfigError(text, hint)).exit_code


def _printed(error: ConnectorError) -> typer.Exit:
    _print(f"{'Interrupted' if isinstance(error, Interrupted) else 'Error'}: {error.message}")
    if isinstance(error, QueryFailed):
        for line in error.excerpt:
            _print(line)
    if error.hint:
        _print(f"Hint: {error.hint}")
    return typer.Exit(error.exit_code)


def _print(text: str) -> None:
    """Prints one line; it may hold names from the data or from the command line."""
    print(visible(text), file=sys.stderr)


class _ToStderr(logging.Handler):
    """Writes to the current `sys.stderr`, which a progress display replaces while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        _print(self.format(record))


def _log_to_stderr(level: int) -> None:
    logger = logging.getLogger("connector")
    logger.setLevel(level)
    if not logger.handlers:
        handler = _ToStderr()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
    logger.propagate = False


@contextmanager
def stopped_by_signals() -> Iterator[Stop]:
    """SIGINT and SIGTERM ask the run to end; a second signal, or 27 seconds, end it at once."""
    asked = threading.Event()

    def hear(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            _leave_now()
        asked.set()
        timer = threading.Timer(LEAVE_SECONDS, _leave_now)
        timer.daemon = True
        timer.start()

    before = {number: signal.signal(number, hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield Stop.of(asked)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _leave_now() -> None:
    # Nothing is half-written: a transaction that has not committed is rolled back.
    os._exit(Interrupted.exit_code)
