"""A Postgres database as a kind of destination."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from connector.config.fields import Section
from connector.destinations.backend import Backend, DestinationUrl, HostConnection, Hosted, Opening
from connector.destinations.postgres.session.limits import LIMITS, NAME_BYTES
from connector.destinations.postgres.url.options import OPTIONS
from connector.destinations.postgres.url.parts import PostgresUrl
from connector.errors import extra_missing

if TYPE_CHECKING:
    from connector.ports import Destination

KIND = "postgresql"


def _url(url: PostgresUrl) -> DestinationUrl:
    return DestinationUrl(KIND, None, SecretStr(url.text), url.shown)


def _parse(text: str, folder: Path) -> DestinationUrl:
    return _url(PostgresUrl.parse(text))


def _open(opening: Opening, keys: Section) -> "Destination":
    try:
        from connector.destinations.postgres.server import PostgresDestination
    except ModuleNotFoundError as error:
        if not (error.name or "").startswith("adbc"):
            raise
        package = "adbc-driver-postgresql"
        raise extra_missing("A Postgres destination", "postgres", package) from None
    return PostgresDestination(
        opening.url,
        opening.schema,
        lock_timeout=opening.lock_timeout,
        command=opening.command,
        waits=opening.waits,
    )


def _hosted(connection: HostConnection) -> DestinationUrl:
    extra = {name: value for name, value in connection.extra.items() if name in OPTIONS}
    parts = PostgresUrl.of_parts(
        connection.host,
        connection.port,
        connection.user,
        connection.password,
        connection.database,
    )
    options = {**connection.options, **extra}
    return _url(parts.with_options((name, _option(value)) for name, value in options.items()))


def _option(value: Any) -> str:
    return str(int(value)) if isinstance(value, bool) else str(value)


POSTGRES = Backend(
    kind=KIND,
    name="Postgres",
    begins="postgresql://",
    example="postgresql://user@host:5432/database",
    urls=("postgresql://user:password@host:5432/database",),
    is_one=PostgresUrl.is_one,
    parse=_parse,
    schema="public",
    open=_open,
    name_bytes=NAME_BYTES,
    reserved_schemas="pg_",
    limits=LIMITS,
    hosted=Hosted("postgres", _hosted, "airflow.providers.postgres.hooks.postgres.PostgresHook"),
)
