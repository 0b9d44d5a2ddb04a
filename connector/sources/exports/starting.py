"""Starts exports, each at most once, and awaits them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from connector.core.state import Identity
from connector.errors import ExportRefused
from connector.sources.exports.calls import Backups, ExportCalls
from connector.sources.exports.manifest import INCREMENTAL, ION, JSON
from connector.sources.exports.storage import Place
from connector.waits import Waits

DONE = "COMPLETED"
FAILED = "FAILED"


@dataclass
class Starter:
    """Starts the exports of one table to one place.

    What identifies an export is derived from what it is of: a run that starts it again gets the
    same one from DynamoDB, within eight hours.
    """

    calls: ExportCalls
    place: Place
    format: str
    sleep: Callable[[float], None]
    poll_seconds: float
    waits: Waits
    mine: set[str] = field(default_factory=set)
    """The exports that this run has started or awaited."""

    def window(self, table: Identity, begin: datetime, end: datetime, tries: int) -> str:
        """The ARN of the export of a window; another one for each of the `tries`."""
        arn = self.calls.start(
            **self._parameters(table, begin.isoformat(), end.isoformat(), tries),
            ExportType=INCREMENTAL,
            IncrementalExportSpecification={
                "ExportFromTime": begin,
                "ExportToTime": end,
                "ExportViewType": "NEW_AND_OLD_IMAGES",
            },
        )
        self.mine.add(arn)
        return arn

    def whole(self, table: Identity, backups: Backups | None, now: datetime) -> str:
        """The ARN of a full export of about now, once it is complete.

        Raises ExportRefused if it fails, and Interrupted if the run is asked to end.
        """
        at = self._time_of_whole(backups, now)
        arn = self.calls.start(
            **self._parameters(table, at.isoformat(), "whole", 0),
            ExportType="FULL_EXPORT",
            ExportTime=at,
        )
        self.await_(arn)
        return arn

    def await_(self, arn: str) -> None:
        """Waits until an export is complete. Raises ExportRefused if it fails."""
        wait = self.waits.begin()
        while True:
            found = self.calls.status(arn)
            if found.status == FAILED:
                raise failed(arn, found.failure)
            if found.status == DONE:
                return
            wait.goes_on(f"the export {arn}, which takes minutes to hours", None, self.poll_seconds)
            self.sleep(self.poll_seconds)

    @staticmethod
    def _time_of_whole(backups: Backups | None, now: datetime) -> datetime:
        # The same for every run of an hour, which then awaits the same export.
        latest = min(now, backups.latest) if backups and backups.latest else now
        hour = latest.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
        if backups and backups.earliest and backups.earliest > hour:
            return min(latest, backups.earliest + timedelta(seconds=1)).replace(microsecond=0)
        return hour

    def _parameters(self, table: Identity, *of: object) -> dict[str, Any]:
        bucket, _, prefix = self.place.path.partition("/")
        form = ION if self.format == "ion" else JSON
        of = (table.table_id, table.table_arn, self.place.path, form, *of)
        return {
            "TableArn": table.table_arn,
            "ClientToken": str(uuid5(NAMESPACE_URL, "|".join(map(str, of)))),
            "S3Bucket": bucket,
            **({"S3Prefix": prefix} if prefix else {}),
            "ExportFormat": form,
        }


def failed(arn: str, code: str) -> ExportRefused:
    """The error for an export that has failed."""
    return ExportRefused(
        f"The export {arn} has failed{f' ({code})' if code else ''}.",
        "`aws dynamodb describe-export` says why; the next run starts another one.",
    )
