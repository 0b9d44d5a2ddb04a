"""Tells when a tail is so far behind that changes will soon be lost."""

import logging
from datetime import datetime, timedelta

log = logging.getLogger("connector.tail")

WARN_LAG = timedelta(hours=12)
ALARM_LAG = timedelta(hours=20)
TELL_EVERY = timedelta(seconds=60)


class LagAlarm:
    """Warns, and then complains, but not with every round."""

    def __init__(self) -> None:
        self._told_at: datetime | None = None

    def tell(self, table: str, lag: float | None, now: datetime) -> None:
        """Logs a lag, in seconds, that is too long."""
        behind = timedelta(seconds=lag or 0.0)
        if behind < WARN_LAG or (self._told_at and now - self._told_at < TELL_EVERY):
            return
        self._told_at = now
        level = logging.ERROR if behind >= ALARM_LAG else logging.WARNING
        log.log(level, "%s: %s behind; changes are lost at 24 hours", table, behind)
