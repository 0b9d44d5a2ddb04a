"""Tries what reading and starting exports of a table takes, and starts none."""

from collections.abc import Callable, Iterator
from datetime import timedelta

from connector.core.needs import Need, tried
from connector.core.state import Identity
from connector.core.words import counted
from connector.errors import ConnectorError, SourceRefused
from connector.sources.dynamodb.calls import error_code
from connector.sources.exports.calls import ExportCalls
from connector.sources.exports.filling import shown
from connector.sources.exports.source import storage_of
from connector.sources.exports.storage import place
from connector.sources.exports.windows.found import WindowFinder
from connector.sources.way import Opening

_NOBODYS = "00000000000000-00000000"
_YEARS = timedelta(days=3650)


def needs(opening: Opening, table: Identity) -> Iterator[Need]:
    """Each need of a table that reads incremental exports, or starts exports."""
    exports, name = opening.config.exports, opening.table
    if exports.url is None:
        return
    source = opening.dynamodb
    calls = ExportCalls(source.caller, source.clients.dynamodb, name)
    must = exports.start
    yield _asked("DescribeContinuousBackups", name, must, lambda: _backups(calls))
    arn = f"{table.table_arn}/export/{_NOBODYS}"
    yield _asked("DescribeExport", name, must, lambda: _described(calls, arn))
    if exports.start:
        yield tried("ExportTableToPointInTime", lambda: _startable(opening, calls, table), name)
    url = exports.url
    yield tried("incremental exports", lambda: _windows(opening, url, table), name)


def _asked(check: str, table: str, must: bool, work: Callable[[], str]) -> Need:
    """A need of exports that are started; without them, a run only knows less."""
    need = tried(check, work, table)
    if must or need.error is None or not isinstance(need.error, SourceRefused):
        return need
    return Need(check, f"not allowed, so it is not asked: {need.detail}", table)


def _backups(calls: ExportCalls) -> str:
    found = calls.known_backups()
    return f"point-in-time recovery of {counted(found.days, 'day')}"


def _described(calls: ExportCalls, arn: str) -> str:
    try:
        calls.status(arn)
    except ConnectorError as error:
        # Whoever may not ask is not told that there is none.
        if "ExportNotFound" not in error_code(error):
            raise
    return "allowed"


def _startable(opening: Opening, calls: ExportCalls, table: Identity) -> str:
    at = opening.dynamodb.now() + _YEARS
    bucket, _, _ = place(opening.config.exports.url or "").path.partition("/")
    try:
        calls.start(TableArn=table.table_arn, S3Bucket=bucket, ExportTime=at)
    except ConnectorError as error:
        # No export can be of the future: nothing was started.
        if error_code(error) != "InvalidExportTimeException":
            raise
    return f"allowed; whether it may write to the bucket {bucket} only an export shows"


def _windows(opening: Opening, url: str, table: Identity) -> str:
    found = WindowFinder(storage_of(opening, url), table).found()
    if found.refused:
        raise found.refused[0]
    if not found.windows:
        return f"none in {url}{found.besides}"
    begin = min(each.begin for each in found.windows)
    end = max(each.end for each in found.windows)
    return f"{len(found.windows):,} in {url}, from {shown(begin)} to {shown(end)}"
