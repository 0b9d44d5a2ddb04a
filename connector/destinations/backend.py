"""A kind of database, as far as code outside its folder needs to know it."""

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
    """A destination's url. Printing it never shows a password; `reveal` returns all of it."""

    kind: str
    path: Path | None
    """The file's absolute path, if the destination is a file."""
    secret: SecretStr
    shown: str

    def reveal(self) -> str:
        """The whole url, with its password: for the driver only, never for a log."""
        return self.secret.get_secret_value()

    @property
    def place(self) -> str:
        """Identifies this destination among others of its kind, whoever logs in."""
        return str(self.path or self.shown.rpartition("://")[2].rpartition("@")[2])

    @property
    def name(self) -> str:
        """A short form of the place that distinguishes files of the same name in two folders."""
        if self.path is None:
            return self.place
        return f"{self.path.stem}-{sha256(self.place.encode()).hexdigest()[:4]}"

    @property
    def folder(self) -> Path:
        """The default folder for the files of a run: the file's own, or the current one."""
        return self.path.parent if self.path else Path()

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"DestinationUrl({self.shown!r})"


@dataclass(frozen=True)
class Opening:
    """The arguments that every destination is opened with. `lock_timeout` is in seconds."""

    url: DestinationUrl
    schema: str
    lock_timeout: float
    command: str = ""
    waits: Waits = field(default_factory=Waits)


@dataclass(frozen=True)
class HostConnection:
    """A connection that a host program such as Airflow stores, by the fields of its form."""

    name: str
    host: str | None = None
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    database: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The options of its url."""
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Hosted:
    """How Airflow stores a connection to a kind of database."""

    type: str
    url: Callable[[HostConnection], DestinationUrl]
    """Raises ConfigError if the connection names no destination."""
    hook: str = ""
    """The hook class that interprets the form; without one, the form is read as it is."""


@dataclass(frozen=True)
class Backend:
    """One kind of database. Only `open` imports modules that are slow to import."""

    kind: str
    name: str
    """The product's name, spelled as its vendor does."""
    begins: str
    """The beginning of its urls."""
    example: str
    is_one: Callable[[str], bool]
    """Whether a text is meant as such a url."""
    parse: Callable[[str, Path], DestinationUrl]
    """Reads a url; a relative path starts from the folder. Raises ConfigError."""
    schema: str
    """The default schema for tables."""
    open: Callable[[Opening, Any], "Destination"]
    """Opens a destination with its own section. Raises ConfigError if a package is missing."""
    keys: type[Section] = Section
    """The section with the configuration keys that only this kind has."""
    urls: tuple[str, ...] = ()
    """Every form of its urls, for the documentation, if there are more than the example."""
    name_bytes: int | None = None
    """The longest name of a schema or a table; a longer one could be truncated silently."""
    reserved_schemas: str = ""
    """The beginning of the names of schemas that the database keeps for itself."""
    one_writer: bool = False
    """Whether only one process at a time may write."""
    limits: Limits = EVERYTHING
    hosted: Hosted | None = None
