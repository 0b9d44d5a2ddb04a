"""Warns when a tail is so far behind that changes will soon be lost."""

import logging
from dataclasses import dataclass
from datetime import datetime, timedelta

from connector.core.changes.shards import Retention
from connector.core.words import lasting

log = logging.getLogger("connector.tail")

WARN_EVERY = timedelta(seconds=60)


@dataclass
class LagAlarm:
    """Logs a warning, later an error, but not in every round."""

    _warned_at: datetime | None = None

    def check(self, table: str, lag: float, now: datetime, retention: Retention) -> None:
        """Logs a lag, in seconds, if it is too long."""
        behind, lasts = timedelta(seconds=lag), retention.lasts
        if behind < lasts / 2 or (self._warned_at and now - self._warned_at < WARN_EVERY):
            return
        self._warned_at = now
        level = logging.ERROR if behind >= lasts * 5 / 6 else logging.WARNING
        hours = lasts / timedelta(hours=1)
        shown = lasting(lag)
        log.log(level, "%s: %s behind; changes are lost at %.0f hours", table, shown, hours)
