"""A DuckDB file as a kind of destination."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    ValidationInfo,
    WithJsonSchema,
)
from pydantic_core import PydanticKnownError

from connector.config.fields import (
    Seconds,
    Section,
    Size,
    Threads,
    checked,
    folder_of,
    minor_version,
)
from connector.destinations.backend import Backend, DestinationUrl, HostConnection, Hosted, Opening
from connector.destinations.duckdb import url
from connector.errors import ConfigError

if TYPE_CHECKING:
    from connector.ports import Destination

_Version = Literal["1.0", "1.1", "1.2", "1.3", "1.4", "1.5", "2.0"]
DuckDBVersion = Annotated[
    _Version,
    BeforeValidator(minor_version),
    # An editor accepts it without quotes too.
    WithJsonSchema({"enum": [*get_args(_Version), *map(float, get_args(_Version))]}),
]


def _copy(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str):
        raise PydanticKnownError("string_type")
    folder = folder_of("destination.publish", info)
    # Without a valid url, the error of that is reported.
    return checked(lambda: url.copy_path(value, folder, info.data.get("url")))


Copy = Annotated[
    Path,
    PlainValidator(_copy),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "minLength": 1}),
]


class DuckDBKeys(Section):
    """The keys that only DuckDB has."""

    threads: Threads | None = Field(
        default=None, description="Threads that DuckDB may use; without it, 2."
    )
    memory_limit: Size | None = Field(
        default=None,
        description="Memory that DuckDB may use, for example 4GB; without it, 300MB.",
    )
    storage_version: DuckDBVersion | None = Field(
        default=None,
        description="The oldest DuckDB that must be able to read a new file, for example 1.4; "
        "without it, the newest format is written.",
    )
    publish: Copy | None = Field(
        default=None,
        description="A file in which a copy is published for readers, so that nobody waits for "
        "them; only for DuckDB.",
    )
    publish_seconds: Seconds = Field(
        default=300.0,
        description="The least seconds between two published copies while a run goes on.",
    )


def _open(opening: Opening, keys: DuckDBKeys) -> "Destination":
    from connector.destinations.duckdb.file import DuckDBDestination

    assert opening.url.path is not None
    return DuckDBDestination(
        opening.url.path,
        opening.schema,
        lock_timeout=opening.lock_timeout,
        threads=keys.threads,
        memory_limit=keys.memory_limit,
        storage_version=keys.storage_version,
        command=opening.command,
        waits=opening.waits,
        publish=keys.publish,
        publish_seconds=keys.publish_seconds,
    )


def _hosted(connection: HostConnection) -> DestinationUrl:
    file = connection.extra.get("database") or connection.host
    if not file or not isinstance(file, str):
        raise ConfigError(
            f"The connection {connection.name} names no DuckDB file.",
            "Set its host to an absolute path: a table in memory is lost when its task ends.",
        )
    return url.file_url(file)


DUCKDB = Backend(
    kind=url.KIND,
    name="DuckDB",
    begins="duckdb:///",
    example="duckdb:///warehouse.duckdb",
    urls=("duckdb:///relative.duckdb", "duckdb:////absolute.duckdb"),
    is_one=url.is_one,
    parse=url.parse,
    keys=DuckDBKeys,
    schema="main",
    open=_open,
    one_writer=True,
    hosted=Hosted("duckdb", _hosted),
)
