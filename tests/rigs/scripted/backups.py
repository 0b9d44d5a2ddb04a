"""Point-in-time recovery of the scripted tables, and their exports to a folder."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import ServiceError, invalid, missing_table
from .responses import Response

if TYPE_CHECKING:
    from .service import ScriptedDynamoDB
    from .table import Table

Parameters = Mapping[str, Any]

MINUTE = 60.0
DAY = 86_400.0
TOKEN_SECONDS = 8 * 3600.0
PLACES = ("S3Bucket", "S3Prefix")


@dataclass
class Export:
    """One export that was asked for."""

    arn: str
    parameters: dict[str, Any]
    started_at: float
    status: str = "IN_PROGRESS"
    failure: str | None = None

    @property
    def name(self) -> str:
        """The name of its folder."""
        return self.arn.rpartition("/")[2]

    def describe(self) -> dict[str, Any]:
        """The ExportDescription of DescribeExport."""
        said = {n: v for n, v in self.parameters.items() if n != "ExportType"}
        if self.failure:
            said["FailureCode"] = self.failure
        return {
            "ExportArn": self.arn,
            "ExportStatus": self.status,
            "StartTime": self.started_at,
            "ExportType": self.parameters.get("ExportType", "FULL_EXPORT"),
            **said,
        }


@dataclass
class Backups:
    """What a test steers of exports: where they go, how long they take, and how they end."""

    bucket: Path | None = None
    """The folder that every bucket is."""
    enabled: bool = True
    days: int = 35
    seconds: float = 0.0
    """How long an export takes."""
    running: int = 300
    """How many may run at once."""
    failures: list[str] = field(default_factory=list)
    """How the next exports fail."""
    exports: dict[str, Export] = field(default_factory=dict)

    def settle(self, service: "ScriptedDynamoDB") -> None:
        """Writes every export whose time has come."""
        for export in self.exports.values():
            due = service.clock.now() - export.started_at >= self.seconds
            if export.status != "IN_PROGRESS" or not due:
                continue
            if self.failures:
                export.status, export.failure = "FAILED", self.failures.pop(0)
                continue
            self._write(service.model(export.parameters["TableArn"]), export)
            export.status = "COMPLETED"

    def root(self, parameters: Parameters) -> Path:
        """The folder that holds AWSDynamoDB/."""
        if self.bucket is None:
            raise invalid(f"The specified bucket {parameters['S3Bucket']} does not exist")
        return self.bucket / parameters.get("S3Prefix", "")

    def _write(self, table: "Table", export: Export) -> None:
        # The rig of the files has this package in it.
        from tests.rigs import exports

        asked = export.parameters
        how: dict[str, Any] = {
            "form": asked.get("ExportFormat", "DYNAMODB_JSON"),
            "prefix": asked.get("S3Prefix", ""),
            "name": export.name,
        }
        if asked.get("ExportType") == "INCREMENTAL_EXPORT":
            window = asked["IncrementalExportSpecification"]
            begin, end = (_moment(window[name]) for name in ("ExportFromTime", "ExportToTime"))
            view = window.get("ExportViewType", "NEW_AND_OLD_IMAGES")
            exports.write_window(self.root(asked), table, begin, end, view=view, **how)
            return
        at = _moment(asked["ExportTime"])
        items = table.rows.as_of(at.timestamp() - 1e-6)
        exports.write(self.root(asked), table, at, items=[each.item for each in items], **how)


def _moment(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def describe_backups(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DescribeContinuousBackups."""
    try:
        service.model(parameters["TableName"])
    except ServiceError:
        raise ServiceError("TableNotFoundException", "Table not found") from None
    backups, now = service.backups, service.clock.now()
    recovery: dict[str, Any] = {"PointInTimeRecoveryStatus": "DISABLED"}
    if backups.enabled:
        recovery = {
            "PointInTimeRecoveryStatus": "ENABLED",
            "RecoveryPeriodInDays": backups.days,
            "EarliestRestorableDateTime": now - backups.days * DAY,
            "LatestRestorableDateTime": now,
        }
    return Response.of(
        {
            "ContinuousBackupsDescription": {
                "ContinuousBackupsStatus": "ENABLED",
                "PointInTimeRecoveryDescription": recovery,
            }
        }
    )


def describe_export(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """DescribeExport."""
    service.backups.settle(service)
    export = service.backups.exports.get(parameters["ExportArn"])
    if export is None:
        raise ServiceError("ExportNotFoundException", "Export not found")
    return Response.of({"ExportDescription": export.describe()})


def list_exports(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """ListExports, all on one page."""
    service.backups.settle(service)
    summaries = [
        {
            "ExportArn": export.arn,
            "ExportStatus": export.status,
            "ExportType": export.parameters.get("ExportType", "FULL_EXPORT"),
        }
        for export in service.backups.exports.values()
        if parameters.get("TableArn") in (None, export.parameters["TableArn"])
    ]
    return Response.of({"ExportSummaries": summaries})


def start_export(service: "ScriptedDynamoDB", parameters: Parameters) -> Response:
    """ExportTableToPointInTime."""
    backups, now = service.backups, service.clock.now()
    backups.settle(service)
    try:
        table = service.model(parameters["TableArn"])
    except ServiceError:
        raise missing_table(parameters["TableArn"]) from None
    for export in backups.exports.values():
        same = export.parameters.get("ClientToken") == parameters.get("ClientToken")
        if same and "ClientToken" in parameters and now - export.started_at < TOKEN_SECONDS:
            if json.dumps(export.parameters) != json.dumps(parameters):
                raise ServiceError("ExportConflictException", "Other parameters of a token")
            return Response.of({"ExportDescription": export.describe()})
    _refuse(backups, parameters, now)
    number = len(backups.exports)
    arn = f"{table.arn}/export/{int(now * 1000) + number:014d}-{number:08x}"
    export = Export(arn, dict(parameters), now)
    if parameters.get("ExportType", "FULL_EXPORT") == "FULL_EXPORT":
        export.parameters.setdefault("ExportTime", now)
    backups.exports[arn] = export
    return Response.of({"ExportDescription": export.describe()})


def _refuse(backups: Backups, parameters: Parameters, now: float) -> None:
    """Raises what the service says of an export that it does not start."""
    if not backups.enabled:
        raise ServiceError(
            "PointInTimeRecoveryUnavailableException", "Point in time recovery is not enabled"
        )
    under_way = sum(each.status == "IN_PROGRESS" for each in backups.exports.values())
    if under_way >= backups.running:
        raise ServiceError("LimitExceededException", "Too many exports are running")
    backups.root(parameters)
    times = [parameters.get("ExportTime", now)]
    if parameters.get("ExportType") == "INCREMENTAL_EXPORT":
        window = parameters["IncrementalExportSpecification"]
        times = [window["ExportFromTime"], window["ExportToTime"]]
        if not 15 * MINUTE <= times[1] - times[0] <= DAY:
            raise invalid("An incremental export is of 15 minutes to 24 hours")
    if not now - backups.days * DAY <= min(times) <= max(times) <= now:
        raise ServiceError("InvalidExportTimeException", "Outside of the recovery window")
