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
"""A scheduler kills what has not left 30 seconds after it was asked to."""

_ONE_TOO_MANY = re.compile(r"Got unexpected extra argument(?:s|\(s\))? \((.*)\)")
_COMMENT = "No such option: -- "


@contextmanager
def leave_with(quiet: bool = False) -> Iterator[None]:
    """Turns every error into one clear sentence on stderr and its exit code."""
    _log_to_stderr(logging.WARNING if quiet else logging.INFO)
    try:
        yield
    except ConnectorError as error:
        raise _said(error) from error
    except (typer.Exit, typer.Abort):
        raise
    except KeyboardInterrupt as error:
        raise typer.Exit(Interrupted.exit_code) from error
    except Exception as error:
        raise typer.Exit(report(error)) from error


def report(error: Exception) -> int:
    """Says what nobody has caught, and returns its exit code."""
    return _said(uncaught(error)).exit_code


def misused(error: typer.BadParameter) -> int:
    """Says what is wrong with the command line itself, and returns its exit code."""
    text = " ".join(error.format_message().split()).rstrip(".")
    command = f"`{error.ctx.command_path if error.ctx else 'connector'} --help`"
    hint = f"{command} shows what there is."
    if not text:
        # Without any word, the help is printed already.
        return error.exit_code
    if more := _ONE_TOO_MANY.fullmatch(text):
        text = f"There is more on the command line than the command takes: {more[1]}"
    elif text.startswith(_COMMENT):
        text = "A statement on the command line that begins with -- is taken for an option"
        hint = 'Write `connector query -- "-- …"`, or `connector query --file FILE`.'
    text += "" if text.endswith("?") else "."
    return _said(ConfigError(text, hint)).exit_code


def _said(error: ConnectorError) -> typer.Exit:
    _say(f"{'Interrupted' if isinstance(error, Interrupted) else 'Error'}: {error.message}")
    if isinstance(error, QueryFailed):
        for line in error.excerpt:
            _say(line)
    if error.hint:
        _say(f"Hint: {error.hint}")
    return typer.Exit(error.exit_code)


def _say(text: str) -> None:
    """One line: names from data and from the command line are in it."""
    print(visible(text), file=sys.stderr)


class _ToStderr(logging.Handler):
    """Writes to what stderr is now: a progress display takes its place while it is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes one line."""
        _say(self.format(record))


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
    """SIGINT and SIGTERM ask the run to end; a second one, or too long a wait, ends it at once."""
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
