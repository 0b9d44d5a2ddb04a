"""Every kind of database that can be a destination. To add one: its folder, and a line here."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from connector.config.fields import Section
from connector.core.words import joined
from connector.destinations.backend import Backend, DestinationUrl, HostConnection, Hosted, Opening
from connector.destinations.duckdb.backend import DUCKDB
from connector.destinations.postgres.backend import POSTGRES
from connector.errors import ConfigError
from connector.waits import Waits

if TYPE_CHECKING:
    from connector.ports import Destination

BACKENDS: tuple[Backend, ...] = (DUCKDB, POSTGRES)


def backend_of(url: DestinationUrl) -> Backend:
    """The kind of database that a url is for."""
    return next(each for each in BACKENDS if each.kind == url.kind)


def parse_url(text: str, folder: Path | None = None) -> DestinationUrl:
    """Reads a url of any kind; a relative path in it starts from `folder`. Raises ConfigError."""
    for each in BACKENDS:
        if each.is_one(text):
            with _hinted():
                return each.parse(text, folder or Path())
    begins = joined([each.begins for each in BACKENDS])
    raise ConfigError(f"The url must begin with {begins}.", _hint())


def hosted_url(hosted: Hosted, connection: HostConnection) -> DestinationUrl:
    """The url for a connection of a host program. Raises ConfigError."""
    with _hinted():
        return hosted.url(connection)


@contextmanager
def _hinted() -> Iterator[None]:
    """Adds the valid forms of a url as a hint to an error that has none."""
    try:
        yield
        return
    except ConfigError as error:
        if error.hint:
            raise
        problem = ConfigError(error.message, _hint())
    raise problem


def stand_in_url(name: str) -> str:
    """A url for a destination that a host program names, and that is not looked up yet."""
    return f"{BACKENDS[0].begins}{name}"


def _hint() -> str:
    return f"Use {joined([each.example for each in BACKENDS])}."


def open_destination(
    url: DestinationUrl,
    keys: Section,
    *,
    schema: str,
    lock_timeout: float,
    command: str = "",
    waits: Waits | None = None,
) -> "Destination":
    """The destination of a url; `keys` contains those of its kind."""
    opening = Opening(url, schema, lock_timeout, command, waits or Waits())
    return backend_of(url).open(opening, keys)
