"""Where things are: the destination's url, endpoints of AWS, and the spool's folder."""

import re
from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Literal

from pydantic import SecretStr

from connector.config.postgres.url import LAST_PORT, PostgresUrl
from connector.config.text import absolute
from connector.errors import ConfigError

_ALLOWED = "Use duckdb:///warehouse.duckdb or postgresql://user@host:5432/database."
_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
# What DuckDB, or an extension of it, would take for something else than a file here.
_ELSEWHERE = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|(?:md|motherduck|ducklake|sqlite|mysql|postgres|postgresql"
    r"|s3|s3a|s3n|gs|gcs|gcss|r2|az|azure|abfss?|hf|https?|file|duckdb):)",
    re.IGNORECASE,
)
_MOTHERDUCK = re.compile(r"(?:md|motherduck):", re.IGNORECASE)
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](?:/[^?#@]*)?")


@dataclass(frozen=True, repr=False)
class DestinationUrl:
    """A destination's url. Printing it never shows a password; `reveal` gives it whole."""

    kind: Literal["duckdb", "postgresql"]
    path: Path | None
    """The DuckDB file, absolute; None for Postgres."""
    secret: SecretStr
    shown: str

    @classmethod
    def parse(cls, text: str, folder: Path | None = None) -> "DestinationUrl":
        """Reads `duckdb:///…` (relative to `folder`), `postgresql://…` or `postgres://…`."""
        if text.startswith("duckdb:"):
            return cls._duckdb(text, folder or Path())
        if PostgresUrl.is_one(text):
            return cls.of_postgres(PostgresUrl.parse(text))
        if _MOTHERDUCK.match(text):
            raise _motherduck()
        raise ConfigError("The url must begin with duckdb:/// or postgresql://.", _ALLOWED)

    @classmethod
    def _duckdb(cls, text: str, folder: Path) -> "DestinationUrl":
        name = text.removeprefix("duckdb:///")
        in_memory = not name or name.startswith(":memory:")
        if text in ("duckdb:", "duckdb:/", "duckdb://") or in_memory:
            raise ConfigError(
                "The url names no file, and a database in memory cannot keep the table's state.",
                "Name a file: duckdb:///warehouse.duckdb.",
            )
        if name == text:
            raise ConfigError(
                "The url of a DuckDB file begins with three slashes.",
                "Write duckdb:///relative.duckdb or duckdb:////absolute.duckdb.",
            )
        if "?" in name:
            raise ConfigError("The url of a DuckDB file takes no options.", _ALLOWED)
        if not _is_a_name(name):
            raise ConfigError("The url of a DuckDB file holds what is not UTF-8 text.", _ALLOWED)
        _check_file(name)
        path = absolute(name, folder)
        url = f"duckdb:///{path}"
        return cls("duckdb", path, SecretStr(url), url)

    @classmethod
    def of_postgres(cls, url: PostgresUrl) -> "DestinationUrl":
        """The url of a Postgres database whose parts are known."""
        return cls("postgresql", None, SecretStr(url.text), url.shown)

    def reveal(self) -> str:
        """The whole url, with its password: for the driver only, never for a log."""
        return self.secret.get_secret_value()

    def __str__(self) -> str:
        return self.shown

    def __repr__(self) -> str:
        return f"DestinationUrl({self.shown!r})"


def _is_a_name(path: str) -> bool:
    """Whether a path can be passed on: as bytes that are UTF-8, and without an end inside."""
    try:
        return "\0" not in path and bool(path.encode())
    except UnicodeEncodeError:
        return False


def _motherduck() -> ConfigError:
    return ConfigError(
        "MotherDuck is not supported: the destination is a DuckDB file or a Postgres database.",
        _ALLOWED,
    )


def _check_file(name: str) -> None:
    """Refuses what is no name of a file on this machine."""
    if _MOTHERDUCK.match(name):
        raise _motherduck()
    if _ELSEWHERE.match(name):
        raise ConfigError(
            "The url of a DuckDB file must name a file on this machine, and has another scheme.",
            "Write duckdb:///relative.duckdb or duckdb:////absolute.duckdb; a file that is really "
            "called so is duckdb:///./ and its name.",
        )
    if name.endswith(("/", "/.", "/..")) or name in (".", "..", "~"):
        raise ConfigError(
            "The url of a DuckDB file names a folder.",
            "Name a file in it: duckdb:///folder/warehouse.duckdb.",
        )


def spool_location(text: str, folder: Path) -> str:
    """An absolute folder, or an s3:// URL as it is."""
    if not _is_a_name(text):
        raise ConfigError("The spool must be a folder or an s3:// URL.")
    if "://" not in text:
        return str(absolute(text, folder))
    if not text.startswith("s3://"):
        raise ConfigError("The spool must be a folder or an s3:// URL.")
    if not _S3.fullmatch(text):
        raise ConfigError(
            "The spool's URL must be s3://bucket/prefix.",
            "Credentials and options come from the environment, not from the URL.",
        )
    return text


def check_endpoint(url: str, *, allow_http: bool) -> None:
    """Refuses an endpoint that is no URL, or that would send data in the clear."""
    parts = _ENDPOINT.fullmatch(url)
    if not parts or not _is_host(parts["host"]) or not _is_port(parts["port"]):
        raise ConfigError(
            "An endpoint must be a URL of a scheme, a host and a port, and nothing else.",
            "For example https://dynamodb.us-west-2.amazonaws.com or http://localhost:8000.",
        )
    if parts["scheme"] == "http" and not allow_http and not _is_loopback(parts["host"]):
        raise ConfigError(
            "Anyone on the way can read plain http, so it is for endpoints on this machine only.",
            "Use https, or set source.allow_http to true.",
        )


def _is_host(host: str) -> bool:
    """Whether a host is an address, or a name that a resolver takes."""
    if not host.startswith("["):
        return all(map(_LABEL.fullmatch, host.removesuffix(".").split(".")))
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False


def _is_port(port: str | None) -> bool:
    return port is None or 1 <= int(port) <= LAST_PORT


def _is_loopback(host: str) -> bool:
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
