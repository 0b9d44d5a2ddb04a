"""The newest full export of a table among all the exports of a folder."""

import logging
from concurrent.futures import ThreadPoolExecutor

from connector.core.state import Identity
from connector.core.words import counted
from connector.errors import ExportRefused
from connector.sources.exports.export import Export, open_export, read_summary
from connector.sources.exports.manifest import FOLDER, Summary
from connector.sources.exports.storage import Storage

log = logging.getLogger("connector.sources.exports")

READERS = 16
NOT_EXPORTS = ("data",)
"""The folder that incremental exports share."""


def newest(storage: Storage, table: Identity) -> Export:
    """The newest completed full export of this very table below the storage's folder.

    Raises ExportRefused where there is none, or where it cannot be loaded as it is.
    """
    parent = f"{storage.at.path}/{FOLDER.rstrip('/')}"
    names = [name for name in storage.folders(parent) if name not in NOT_EXPORTS]

    def summary(name: str) -> Summary | ExportRefused | None:
        try:
            return read_summary(storage, f"{parent}/{name}")
        except ExportRefused as error:
            # It may be of any table, and of any time.
            return error

    with ThreadPoolExecutor(READERS, "export") as threads:
        found = dict(zip(names, threads.map(summary, names), strict=True))
    fitting = {
        name: each
        for name, each in found.items()
        if isinstance(each, Summary) and each.of(table) and each.full
    }
    for error in found.values():
        if isinstance(error, ExportRefused):
            log.warning("passed over: %s", error.message)
    if not fitting:
        raise _none(storage.at.url(parent), table, list(found.values()))
    name = max(fitting, key=lambda name: (str(fitting[name].at or ""), name))
    return open_export(storage, f"{parent}/{name}", table)


def _none(url: str, table: Identity, found: list[Summary | ExportRefused | None]) -> ExportRefused:
    hint = (
        "Take one, and wait until it is complete: aws dynamodb export-table-to-point-in-time "
        f"--table-arn {table.table_arn} --s3-bucket BUCKET --s3-prefix PREFIX; exports.url is the "
        "folder that holds AWSDynamoDB/."
    )
    if not found:
        return ExportRefused(f"There is no export in {url}.", hint)
    summaries = [each for each in found if isinstance(each, Summary)]
    mine = sum(each.of(table) for each in summaries)
    kinds = {
        "of other tables": len(summaries) - mine,
        "not full": mine,
        "not complete": found.count(None),
        "damaged": len(found) - len(summaries) - found.count(None),
    }
    said = ", ".join(f"{count:,} {what}" for what, count in kinds.items() if count)
    return ExportRefused(
        f"There is no full export of {table.table_arn} in {url}: of "
        f"{counted(len(found), 'export')}, {said}.",
        hint,
    )
