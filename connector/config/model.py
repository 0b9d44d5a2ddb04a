"""connector.yaml, the environment and the command line as one frozen, checked value."""

from collections.abc import Mapping
from typing import Literal

from pydantic import Field, ValidationInfo, field_validator, model_validator

from connector.config.aws_names import check_external_id, check_role
from connector.config.destination import DestinationConfig
from connector.config.fields import (
    Columns,
    Count,
    ExportsUrl,
    KinesisArn,
    Positive,
    Records,
    Regions,
    Seconds,
    Section,
    Segments,
    Share,
    SourceTable,
    Spool,
    Text,
    checked,
)
from connector.config.tables.columns import TableColumns
from connector.config.tables.followed import check_columns, check_kept, check_stream
from connector.config.tables.names import check_distinct
from connector.config.tables.routes import TableRoutes
from connector.config.text import absolute
from connector.config.urls import check_endpoint, check_one_region, check_start, choices_of
from connector.core.spec import Deletes, TableSpec

_SPOOL = ".connector/spool"
_AWS_NAMES = {"role_arn": check_role, "external_id": check_external_id}


class SourceConfig(Section):
    """Where the DynamoDB tables are; boto3's own chain supplies what is left out."""

    region: Text | None = Field(default=None, description="The AWS region, for example us-west-2.")
    regions: Regions = Field(
        default=(),
        description="The Regions of the replicas of global tables, first choice first; in the "
        "environment, separated by commas.",
    )
    profile: Text | None = Field(
        default=None, description="A profile of the AWS configuration files."
    )
    role_arn: Text | None = Field(default=None, description="A role to assume for reading.")
    external_id: Text | None = Field(
        default=None, description="The external id that the role's trust policy asks for."
    )
    allow_http: bool = Field(
        default=False, description="Allows plain http endpoints that are not on this machine."
    )
    endpoint_url: Text | None = Field(
        default=None, description="The endpoint of DynamoDB, for example http://localhost:8000."
    )
    streams_endpoint_url: Text | None = Field(
        default=None,
        description="The endpoint of DynamoDB Streams; by default endpoint_url serves both.",
    )
    kinesis_endpoint_url: Text | None = Field(
        default=None, description="The endpoint of Kinesis; by default endpoint_url serves it too."
    )
    consistent_read: bool = Field(
        default=True,
        description="Scans with strongly consistent reads, which cost twice as many read units.",
    )
    max_read_units: Positive | None = Field(
        default=None,
        description="Read units per second that all scans of a run may use together; by default "
        "unlimited.",
    )
    retry_seconds: Seconds = Field(
        default=300.0, description="Seconds to keep retrying throttled and failed requests."
    )
    connect_timeout: Seconds = Field(default=5.0, description="Seconds to wait for a connection.")
    read_timeout: Seconds = Field(default=30.0, description="Seconds to wait for an answer.")

    @field_validator("role_arn", "external_id")
    @classmethod
    def _aws_name(cls, text: str | None, info: ValidationInfo) -> str | None:
        check = _AWS_NAMES[str(info.field_name)]
        return None if text is None else checked(lambda: check(text))

    @field_validator("endpoint_url", "streams_endpoint_url", "kinesis_endpoint_url")
    @classmethod
    def _endpoint(cls, url: str | None, info: ValidationInfo) -> str | None:
        if url is not None:
            allow_http = bool(info.data.get("allow_http"))
            checked(lambda: check_endpoint(url, allow_http=allow_http))
            choices = choices_of(info.data.get("region"), info.data.get("regions", ()))
            checked(lambda: check_one_region(url, choices))
        return url

    @property
    def home(self) -> str | None:
        """The Region in which a table is first read; None where boto3's own chain knows it."""
        return next(iter(self.choices), None)

    @property
    def choices(self) -> tuple[str, ...]:
        """Every Region that a table may be read in, first choice first."""
        return choices_of(self.region, self.regions)

    def at(self, region: str | None) -> "SourceConfig":
        """The same, but in this Region."""
        return self.model_copy(update={"region": region or self.region})

    def name_of(self, table: str) -> str:
        """What a table is called in this Region: the ARN of a replica has its own Region in it."""
        parts = table.split(":")
        if not self.regions or self.region is None or not table.startswith("arn:"):
            return table
        return ":".join([*parts[:3], self.region, *parts[4:]])


class ScanConfig(Section):
    """How a scan is divided."""

    segments: Segments | None = Field(
        default=None,
        description="Parts to divide a scan into; by default the table's size decides.",
    )
    workers: Count | None = Field(
        default=None,
        description="Segments to scan at once, over all tables; by default as many as processors, "
        "at most 4.",
    )


class TailConfig(Section):
    """How the stream is read."""

    quiet_seconds: Seconds = Field(
        default=2.0,
        description="Seconds every shard must stay empty before a run without --follow ends; "
        "covers the stream's own delay.",
    )
    poll_seconds: Seconds = Field(
        default=1.0, description="Seconds between two reads of a shard that has nothing new."
    )
    idle_poll_seconds: Seconds = Field(
        default=10.0, description="Seconds to which that interval grows while a shard stays idle."
    )
    idle_requests: Positive = Field(
        default=20.0, description="The most reads per second of idle shards, all together."
    )
    batch_records: Count = Field(default=40_000, description="The most records in one commit.")
    commit_seconds: Seconds = Field(
        default=1.0, description="Seconds between commits while following, if there are changes."
    )
    readers: Count = Field(default=16, description="The most shards to read at once.")


class QuarantineConfig(Section):
    """What happens to records that the destination cannot hold."""

    limit: Records = Field(
        default=100,
        description="The most quarantined records a table may have before its run stops.",
    )


class ExportsConfig(Section):
    """Where exports of the tables to S3 are."""

    url: ExportsUrl | None = Field(
        default=None,
        description="The folder that holds AWSDynamoDB/: s3://bucket/prefix, or file:///folder for "
        "a copy.",
    )
    start: bool = Field(default=False, description="Allows the connector to start exports itself.")
    format: Literal["json", "ion"] = Field(default="json", description="The format they get.")


class TableConfig(TableColumns, TableRoutes):
    """How one table is replicated."""

    snapshot: Literal["scan", "export"] = Field(
        default="scan",
        description="How all items are read: scan reads the table itself, export the newest full "
        "export in exports.url.",
    )
    follow: Literal["stream", "kinesis", "exports", "none"] = Field(
        default="stream",
        description="How changes are read: from DynamoDB Streams, from a Kinesis data stream, from "
        "incremental exports; with none, each sync reads the whole table again.",
    )
    kinesis: KinesisArn | None = Field(
        default=None, description="The ARN of that Kinesis data stream, with follow: kinesis."
    )
    segments: Segments | None = Field(
        default=None,
        description="Parts to divide this table's scan into; by default scan.segments.",
    )
    layout: Literal["columns", "packed"] = Field(
        default="columns",
        description="columns gives each attribute a column; packed puts all attributes except the "
        "key into one JSON column, _rest.",
    )
    max_columns: Columns = Field(
        500, description="The most columns a table may have; further attributes go to _rest."
    )
    deletes: Literal["apply", "soft", "ignore-ttl"] = Field(
        default="apply",
        description="apply deletes a row with its item; soft keeps the row, marked _deleted; "
        "ignore-ttl does so only for items that expired through their time to live.",
    )
    history: bool = Field(False, description="Keeps all versions of items, in <table>__history.")
    changes: bool = Field(False, description="Keeps all changes, in the table <table>__changes.")
    on_gap: Literal["fail", "resync", "repair"] = Field(
        default="fail",
        description="What to do when changes were lost: fail stops with exit code 3, resync reads "
        "the whole table again, repair reads what was lost from incremental exports.",
    )
    max_deleted: Share = Field(
        default=0.5,
        description="The share of a table's rows that a full refresh may delete without --yes.",
    )

    @model_validator(mode="after")
    def _has_stream(self) -> "TableConfig":
        said = "follow" in self.model_fields_set
        check_stream(said, self.follow == "kinesis", self.kinesis, self.on_gap)
        check_kept(self.follow == "stream", self.history or self.changes)
        check_columns(self.declarations(), self.layout == "packed", self.max_columns)
        self.check_routes(by_time=self.follow in ("kinesis", "exports"))
        return self

    def spec(self) -> TableSpec:
        """The spec to make the table's rows with."""
        rows = (self.layout, self.max_columns, Deletes(self.deletes))
        rules = self.rules()
        ways = (self.snapshot, self.follow, rules)
        routes = self.routes.sealed(rules.hides_whole)
        declared = (self.declarations(), self.descriptions(), routes)
        return TableSpec(*rows, *ways, self.history, self.changes, *declared)

    @property
    def followed(self) -> bool:
        """Whether its changes are read, so that it need not be read whole each time."""
        return self.follow != "none"


class Config(Section):
    """Everything a run needs to know."""

    source: SourceConfig = Field(
        default_factory=SourceConfig, description="Where the DynamoDB tables are."
    )
    destination: DestinationConfig = Field(description="Where the tables go.")
    spool: Spool | None = Field(
        default=None,
        description="A folder, or an s3:// URL, for scanned rows that are not loaded yet; by "
        "default .connector/spool beside the DuckDB file, or in the current folder.",
    )
    scan: ScanConfig = Field(default_factory=ScanConfig, description="How a scan is divided.")
    tail: TailConfig = Field(default_factory=TailConfig, description="How the stream is read.")
    quarantine: QuarantineConfig = Field(
        default_factory=QuarantineConfig,
        description="What happens to records that cannot be stored.",
    )
    exports: ExportsConfig = Field(
        default_factory=ExportsConfig, description="Where exports of the tables to S3 are."
    )
    tables: Mapping[SourceTable, TableConfig] = Field(
        default_factory=dict, description="The tables to replicate, by name or ARN in DynamoDB."
    )

    @model_validator(mode="after")
    def _distinct_targets(self) -> "Config":
        beside = {table: ("", *each.spec().beside) for table, each in self.tables.items()}
        every = [(name, t) for t in self.tables for name in self.targets(t)]
        names = [(name + end, t) for name, t in every for end in beside[t]]
        check_distinct(names)
        self.destination.check_names(name for name, _ in names)
        wait = [t for t, e in self.tables.items() if e.follow == "exports" or e.on_gap == "repair"]
        checked(lambda: check_start(self.exports.start, self.exports.url, wait))
        return self

    def target(self, table: str) -> str:
        """The name of a table in the destination; that of its first target if it has several."""
        return self.targets(table)[0]

    def targets(self, table: str) -> tuple[str, ...]:
        """The names of a table's targets in the destination."""
        return self.tables[table].targets(table)

    def in_region(self, region: str | None) -> "Config":
        """The same, but with the source in this Region."""
        return self.model_copy(update={"source": self.source.at(region)})

    def exported(self, table: str) -> "Config":
        """The same, but this table is read whole from an export."""
        return self._with(table, snapshot="export")

    def unfollowed(self, table: str) -> "Config":
        """The same, but nobody follows this table."""
        return self._with(table, snapshot="scan", follow="none")

    def _with(self, table: str, **changes: object) -> "Config":
        settings = self.tables[table].model_copy(update=changes)
        return self.model_copy(update={"tables": {**self.tables, table: settings}})

    def segments(self, table: str) -> int | None:
        """The number of segments to scan a table in; None if its size decides."""
        return self.tables[table].segments or self.scan.segments

    def spool_location(self) -> str:
        """The absolute folder, or the s3:// URL, of the spool."""
        return self.spool or str(absolute(_SPOOL, self.destination.url.folder))
