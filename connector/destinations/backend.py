"""What a kind of database is, as far as anybody outside of its folder needs to know."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import SecretStr

from connector.config.fields import Section
from connector.core.spec import EVERYTHING, Limits
from connector.waits import Waits

if TYPE_CHECKING:
    from connector.ports import Destination


@dataclass(frozen=True, repr=False)
class DestinationUrl:
    """A destination's url. Printing it never shows a password; `reveal` gives it whole."""

    kind: str
    path: Path | None
    """The file, absolute, if the destination is one."""
    secret: SecretStr
    shown: str

    def reveal(self) -> str:
        """The whole url, with its password: for the driver only, never for a log."""
        return self.secret.get_secret_value()

    @property
    def place(self) -> str:
        """What tells this destination from others of its kind, whoever logs in."""
        return str(self.path or self.shown.rpartition("://")[2].rpartition("@")[2])

    @property
    def name(self) -> str:
        """The place in short: files of one name in two folders are told apart."""
        if self.path is None:
            return self.place
        return f"{self.path.stem}-{sha256(self.place.encode()).hexdigest()[:4]}"

    @property
    def folder(self) -> Path:
        """Where files of a run are kept if nobody says: beside the file, or the current folder."""
        return self.path.parent if self.path else Path()

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"DestinationUrl({self.shown!r})"


@dataclass(frozen=True)
class Opening:
    """What every destination is opened with. `lock_timeout` is in seconds."""

    url: DestinationUrl
    schema: str
    lock_timeout: float
    command: str = ""
    waits: Waits = field(default_factory=Waits)


@dataclass(frozen=True)
class HostConnection:
    """A connection that a host program keeps, such as Airflow, by what its form has fields for."""

    name: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """What its url says further."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Hosted:
    """How Airflow keeps a connection to a kind of database."""

    type: str
    url: Callable[[HostConnection], DestinationUrl]
    """Raises ConfigError if the connection names no destination."""
    hook: str = ""
    """The class that knows what Airflow makes of the form; without it, the form is read as is."""


@dataclass(frozen=True)
class Backend:
    """One kind of database. What is slow to import is imported by `open` alone."""

    kind: str
    name: str
    """As its makers write it."""
    begins: str
    """How its urls begin."""
    example: str
    is_one: Callable[[str], bool]
    """Whether a text is meant to be such a url."""
    parse: Callable[[str, Path], DestinationUrl]
    """Reads a url; a relative path starts from the folder. Raises ConfigError."""
    schema: str
    """Where tables go if nobody says."""
    open: Callable[[Opening, Any], "Destination"]
    """The destination, with the section of its keys. Raises ConfigError if a package is missing."""
    keys: type[Section] = Section
    """The section of the configuration's keys that this kind alone has."""
    urls: tuple[str, ...] = ()
    """Every way to write one, for the documentation, if there are more than the example."""
    name_bytes: int | None = None
    """How long the name of a schema or a table may be; a longer one could be cut silently."""
    one_writer: bool = False
    """Whether only one process at a time may write."""
    limits: Limits = EVERYTHING
    hosted: Hosted | None = None
