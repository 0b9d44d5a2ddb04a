"""A table's export: the newest, or a certain one, chosen for a plan and then read as planned."""

import logging
from collections.abc import Callable
from datetime import datetime, timedelta

from connector.core.state import Identity
from connector.core.words import counted
from connector.errors import ConfigError, ConnectorError, ExportRefused
from connector.ports import Decoded, Past, Prepared
from connector.sources.exports.calls import DEFAULT_DAYS, ExportCalls
from connector.sources.exports.data_files.checking import check_files
from connector.sources.exports.data_files.formats import format_of
from connector.sources.exports.export import Export, open_export, read_summary
from connector.sources.exports.filling import commands
from connector.sources.exports.finding import newest
from connector.sources.exports.manifest import SUMMARY, of_a_filter
from connector.sources.exports.snapshot import ExportSnapshot
from connector.sources.exports.starting import Starter
from connector.sources.exports.storage import Storage, place
from connector.sources.way import Opening
from connector.waits import Waits

log = logging.getLogger("connector.sources.exports")

EDGE = timedelta(minutes=5)
"""An export may lack what was written shortly before its time, or have what came after it."""
MOST_PARTS = 1000
"""A table has a file for each of its partitions; as many tasks as these can be mapped."""


class ExportSource:
    """Reads one table's export. Nothing of it is opened before it is needed."""

    def __init__(self, opening: Opening) -> None:
        self._opening = opening
        self._snapshot: ExportSnapshot | None = None

    def prepare(self, table: Identity) -> Prepared:
        """The export that was asked for, or the newest.

        Raises ExportRefused where there is none that can be loaded, and ConfigError where it is in
        Ion and nothing is installed that reads it.
        """
        storage, export = self._chosen(table, starting=True)
        format = format_of(export.format)
        counts = f"{counted(export.items, 'item')} in {counted(len(export.files), 'file')}"
        log.info("%s: the export %s has %s", self._opening.table, export.url, counts)

        def uncovered(since: datetime, now: datetime) -> ConnectorError:
            return too_old(export, table, since, now)

        parts = max(1, min(len(export.files), MOST_PARTS))
        return Prepared(
            export.url,
            parts,
            Past(export.at, export.at - EDGE, uncovered),
            check=lambda: check_files(storage, export, table.keys, format, self._opening.sleep),
        )

    def found(self, table: Identity) -> str:
        """The newest export and its time, by its manifests. Raises as `prepare` does."""
        try:
            _, export = self._chosen(table)
        except ExportRefused as error:
            if not self._opening.config.exports.start:
                raise
            return f"the next run starts one: {error.message}"
        format_of(export.format)
        return f"{export.url}, {counted(export.items, 'item')} as of {_shown(export.at)}"

    def resume(self, origin: str | None) -> None:
        """Raises ConfigError where another export is being loaded than the one asked for."""
        wanted = self._opening.export
        if wanted is None or origin is None:
            return
        if place(wanted).path.removesuffix(f"/{SUMMARY}") == place(origin).path:
            return
        raise ConfigError(
            f"{self._opening.table} is being loaded from {origin} already, and another export was "
            "asked for.",
            "Name that one, or add --full-refresh to begin anew with the other.",
        )

    def page(
        self, segment: int, segments: int, since: str | None, decode: Callable[[bytes], Decoded]
    ) -> tuple[Decoded, datetime]:
        """The page after the token `since`, decoded, and the time that the export is of."""
        if self._snapshot is None:
            self._snapshot = self._planned()
        return self._snapshot.page(segment, segments, since, decode)

    def _planned(self) -> ExportSnapshot:
        plan = self._opening.plan
        if plan is None or plan.origin is None:
            raise ExportRefused(
                f"No export was planned for {self._opening.table}.",
                f"Run `connector snapshot {self._opening.table} --full-refresh`.",
            )
        storage = self._storage(plan.origin)
        return ExportSnapshot(storage, open_export(storage, storage.at.path, plan.identity))

    def _chosen(self, table: Identity, starting: bool = False) -> tuple[Storage, Export]:
        source = self._opening.dynamodb
        calls = ExportCalls(source.caller, source.clients.dynamodb, self._opening.table)
        if self._opening.export is not None:
            storage = self._storage(self._opening.export)
            folder = storage.at.path.removesuffix(f"/{SUMMARY}")
            summary = read_summary(storage, folder)
            if summary is not None and summary.of(table) and calls.filtered(summary):
                raise of_a_filter(summary)
            return storage, open_export(storage, folder, table)
        url = self._opening.config.exports.url
        if url is None:
            raise ConfigError(
                f"tables.{self._opening.table}.snapshot is export, and nothing says where exports "
                "are.",
                "Set exports.url to the folder that holds AWSDynamoDB/, or name one with --export.",
            )
        storage = self._storage(url)
        starter = starter_of(self._opening, calls)
        if starter is None or not starting:
            return storage, newest(storage, table, calls.filtered)
        return storage, self._newest_or_started(storage, table, starter)

    def _newest_or_started(self, storage: Storage, table: Identity, starter: Starter) -> Export:
        """The newest export; one is started if there is none, or none that can still be used."""
        backups, now = starter.calls.backups(), self._opening.dynamodb.now()
        since = now - timedelta(days=backups.days if backups else DEFAULT_DAYS)
        try:
            found = newest(storage, table, starter.calls.filtered)
        except ExportRefused as error:
            log.info("%s: %s One is started.", self._opening.table, error.message)
        else:
            if found.at > since:
                return found
        starter.whole(table, backups, now)
        return newest(storage, table, starter.calls.filtered)

    def _storage(self, url: str) -> Storage:
        return storage_of(self._opening, url)


def storage_of(opening: Opening, url: str) -> Storage:
    """Where exports are, as the table's own credentials read it."""
    at = place(url)
    if at.scheme != "s3":
        return Storage(at)
    from connector.sources.exports.s3 import S3Bucket

    source, clients = opening.config.source, opening.clients
    return Storage(at, S3Bucket(at.bucket, source, clients.credentials if clients else None))


def starter_of(opening: Opening, calls: ExportCalls) -> Starter | None:
    """What starts exports of a table; None where the configuration does not allow it."""
    exports = opening.config.exports
    if not exports.start or exports.url is None:
        return None
    return Starter(
        calls,
        place(exports.url),
        exports.format,
        opening.sleep,
        opening.config.tail.idle_poll_seconds,
        opening.waits or Waits(opening.table),
    )


def too_old(export: Export, table: Identity, since: datetime, now: datetime) -> ExportRefused:
    """The error for an export that the stream does not reach back to, with what would fill the gap.

    `since` is from when on the stream has every change.
    """
    return ExportRefused(
        f"The export {export.url} is of {_shown(export.at)}, and the stream reaches back to "
        f"{_shown(since)} only: changes in between are in neither.",
        "Take a newer export, and use it as soon as it is complete: "
        f"{commands(export, table, since, now)}",
    )


def _shown(at: datetime) -> str:
    return at.isoformat(timespec="seconds")
