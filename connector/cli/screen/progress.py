"""Progress on stderr during a run: a display on a terminal, log lines elsewhere."""

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connector.events import Listener
from connector.pipeline.side_by_side import Failures
from connector.progress import Logged, Tally

_DUMB = ("dumb", "unknown")

Shown = Callable[[str], Listener]
"""Shows one try of a table; the next try replaces it."""


def _watched(quiet: bool) -> bool:
    """Whether stderr is a terminal that can show moving lines."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") in _DUMB
    return sys.stderr.isatty() and not quiet and not plain


@contextmanager
def shown_progress(failures: Failures, several: bool, quiet: bool) -> Iterator[Shown]:
    """Live progress on a terminal, one display for all tables; log lines elsewhere."""
    if not _watched(quiet):
        yield lambda table: Logged(Tally(table), failures.text)
        return
    # A scheduler's run has no terminal, and need not import what moves its lines.
    from connector.cli.screen.live import live

    with live(failures, several) as shown:
        yield shown
