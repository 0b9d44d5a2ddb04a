"""The url of a DuckDB file."""

import re
from pathlib import Path

from pydantic import SecretStr

from connector.config.text import absolute, is_a_path
from connector.destinations.backend import DestinationUrl
from connector.errors import ConfigError

KIND = "duckdb"

# Texts that DuckDB, or one of its extensions, would not read as a file on this machine.
_ELSEWHERE = re.compile(
    r"(?:[a-z][a-z0-9+.-]*://|(?:md|motherduck|ducklake|sqlite|mysql|postgres|postgresql"
    r"|s3|s3a|s3n|gs|gcs|gcss|r2|az|azure|abfss?|hf|https?|file|duckdb):)",
    re.IGNORECASE,
)
_MOTHERDUCK = re.compile(r"(?:md|motherduck):", re.IGNORECASE)


def is_one(text: str) -> bool:
    """Whether a text is meant as such a url, or as one of MotherDuck, which is refused by name."""
    return text.startswith("duckdb:") or _MOTHERDUCK.match(text) is not None


def parse(text: str, folder: Path) -> DestinationUrl:
    """Reads `duckdb:///…`; a relative path starts from `folder`. Raises ConfigError."""
    if _MOTHERDUCK.match(text):
        raise _motherduck()
    name = text.removeprefix("duckdb:///")
    in_memory = not name or name.startswith(":memory:")
    if text in ("duckdb:", "duckdb:/", "duckdb://") or in_memory:
        raise ConfigError(
            "The url does not name a file, and a database in memory cannot keep the table's state.",
            "Name a file: duckdb:///warehouse.duckdb.",
        )
    if name == text:
        raise ConfigError(
            "The url of a DuckDB file begins with three slashes.",
            "Write duckdb:///relative.duckdb or duckdb:////absolute.duckdb.",
        )
    if "?" in name:
        raise ConfigError("The url of a DuckDB file takes no options.")
    if not is_a_path(name):
        raise ConfigError("The url of a DuckDB file is not valid UTF-8.")
    _check_file(name)
    path = absolute(name, folder)
    url = f"duckdb:///{path}"
    return DestinationUrl(KIND, path, SecretStr(url), url)


def file_url(file: str) -> DestinationUrl:
    """The url of a file by its path alone. Raises ConfigError."""
    return parse(f"duckdb:///{file}", Path())


def _motherduck() -> ConfigError:
    return ConfigError(
        "MotherDuck is not supported: the destination is a DuckDB file or a Postgres database."
    )


def _check_file(name: str) -> None:
    """Raises ConfigError unless this is the name of a file on this machine."""
    if _MOTHERDUCK.match(name):
        raise _motherduck()
    if _ELSEWHERE.match(name):
        raise ConfigError(
            "The url of a DuckDB file must name a file on this machine, but has another scheme.",
            "Write duckdb:///relative.duckdb or duckdb:////absolute.duckdb; if that really is the "
            "file's name, write duckdb:///./ before it.",
        )
    if name.endswith(("/", "/.", "/..")) or name in (".", "..", "~"):
        raise ConfigError(
            "The url of a DuckDB file names a folder.",
            "Name a file in it: duckdb:///folder/warehouse.duckdb.",
        )
