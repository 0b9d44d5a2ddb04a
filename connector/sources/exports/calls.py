"""What DynamoDB itself says of exports: only where the configuration has a place for them."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar

from connector.config.model import Config
from connector.errors import ConnectorError, ExportRefused, SourceRefused, Throttled
from connector.sources.dynamodb.calls import Caller, error_code, member
from connector.sources.dynamodb.refused.denied import DENIED
from connector.sources.exports.manifest import Summary

log = logging.getLogger("connector.sources.exports")

Answer = TypeVar("Answer")

ASKED = frozenset(("DescribeContinuousBackups", "DescribeExport"))
"""What may be called if there is a place for exports; none of it changes anything."""
STARTED = frozenset(("ExportTableToPointInTime",))
"""What may be called only if exports may be started."""

DEFAULT_DAYS = 35
"""For how long a table can be exported at most, where that cannot be asked."""
_UNASKED = DENIED | {"UnknownOperationException", "UnknownOperation", "ValidationException"}


def besides(config: Config) -> frozenset[str]:
    """The operations that a configuration allows besides those that are always allowed."""
    if config.exports.url is None:
        return frozenset()
    return ASKED | STARTED if config.exports.start else ASKED


@dataclass(frozen=True)
class Backups:
    """Within what times a table can be exported."""

    days: int
    earliest: datetime | None = None
    latest: datetime | None = None


@dataclass(frozen=True)
class Described:
    """What DynamoDB says of an export."""

    status: str
    filtered: bool = False
    failure: str = ""
    kind: str = ""


@dataclass
class ExportCalls:
    """Calls about the exports of one table."""

    call: Caller
    client: Any
    table: str
    _silent: bool = False
    """Whether it has been said that DescribeExport may not be called."""

    def backups(self) -> Backups | None:
        """Within what times the table can be exported; None where that may not be asked.

        Raises ExportRefused if point-in-time recovery is switched off.
        """
        return self._unless_denied("DescribeContinuousBackups", self.known_backups)

    def known_backups(self) -> Backups:
        """The same. Raises SourceRefused where that may not be asked."""
        found = self.call(
            self.client.describe_continuous_backups,
            member("ContinuousBackupsDescription"),
            TableName=self.table,
        )
        recovery = found.get("PointInTimeRecoveryDescription") or {}
        if recovery.get("PointInTimeRecoveryStatus", "DISABLED") != "ENABLED":
            raise recovery_off(self.table)
        return Backups(
            int(recovery.get("RecoveryPeriodInDays") or DEFAULT_DAYS),
            _moment(recovery.get("EarliestRestorableDateTime")),
            _moment(recovery.get("LatestRestorableDateTime")),
        )

    def described(self, arn: str) -> Described | None:
        """An export's status, and whether it has a filter; None where that may not be asked."""
        return self._unless_denied("DescribeExport", lambda: self.status(arn))

    def filtered(self, summary: Summary) -> bool:
        """Whether an export was made with a filter, as far as its manifest or DynamoDB says it."""
        if summary.filtered or summary.arn is None:
            return summary.filtered
        found = self.described(summary.arn)
        return found is not None and found.filtered

    def status(self, arn: str) -> Described:
        """The same of an export that was started here: whoever starts one must be allowed to."""
        found = self.call(self.client.describe_export, member("ExportDescription"), ExportArn=arn)
        return _described(found)

    def start(self, **parameters: Any) -> str:
        """Starts an export, or finds the one of the same token; returns its ARN."""
        try:
            found = self.call(
                self.client.export_table_to_point_in_time,
                member("ExportDescription"),
                **parameters,
            )
        except ConnectorError as error:
            raise _refused(error, self.table, parameters) from error.__cause__
        return str(found["ExportArn"])

    def _unless_denied(self, name: str, ask: Callable[[], Answer]) -> Answer | None:
        try:
            return ask()
        except ConnectorError as error:
            if "ExportNotFound" in error_code(error):
                # AWS forgets an export long before its files are deleted.
                return None
            if error_code(error) not in _UNASKED:
                raise
            if not self._silent:
                self._silent = True
                log.info("%s: %s was not answered: %s", self.table, name, error.message)
            return None
        except PermissionError:
            # The clients were opened for a configuration without a place for exports.
            return None


def _described(found: dict[str, Any]) -> Described:
    return Described(
        str(found.get("ExportStatus", "")),
        found.get("FilterSpecification") is not None,
        str(found.get("FailureCode") or ""),
        str(found.get("ExportType") or ""),
    )


def _moment(value: Any) -> datetime | None:
    return value.astimezone(UTC) if isinstance(value, datetime) else None


def recovery_off(table: str) -> ExportRefused:
    """The error for a table that cannot be exported."""
    return ExportRefused(
        f"Point-in-time recovery of {table} is switched off, so it cannot be exported.",
        f"Enable it: aws dynamodb update-continuous-backups --table-name {table} "
        "--point-in-time-recovery-specification PointInTimeRecoveryEnabled=true",
    )


def _refused(error: ConnectorError, table: str, parameters: dict[str, Any]) -> Exception:
    """Why an export cannot be started, in a sentence of ours."""
    code = error_code(error)
    if code == "PointInTimeRecoveryUnavailableException":
        return recovery_off(table)
    if code == "InvalidExportTimeException":
        return ExportRefused(
            f"DynamoDB cannot export {table} as of the time that is needed: it is before the "
            "earliest time that point-in-time recovery reaches, or after the latest.",
            f"What lies before the earliest is in no export: run `connector snapshot {table} "
            "--full-refresh`. What is too new can be exported some minutes later: run again.",
        )
    if code == "ExportConflictException":
        return Throttled(
            f"DynamoDB refused to start an export of {table}: it conflicts with another one.",
            "Run the same command again once that is complete.",
        )
    if code == "LimitExceededException":
        return Throttled(
            f"DynamoDB refused to start an export of {table}: too many are running.",
            "Run the same command again later.",
        )
    if code in DENIED:
        return SourceRefused(
            f"{error.message}",
            "exports.start needs dynamodb:ExportTableToPointInTime on the table, and s3:PutObject "
            f"and s3:AbortMultipartUpload on s3://{parameters['S3Bucket']}; docs/sources.md has "
            "the statement.",
        )
    if code.startswith("ResourceNotFound") or code == "TableNotFoundException":
        return SourceRefused(f"There is no table {table} to export.", error.hint)
    return error
