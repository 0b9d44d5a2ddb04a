"""The url of a DuckDB file."""

import os
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
_BESIDE = (".wal", ".wal.checkpoint", ".wal.recovery", ".tmp")
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


def copy_path(name: str, folder: Path, of: DestinationUrl | None) -> Path:
    """The absolute path at which copies of the file `of` are published. Raises ConfigError."""
    if of is not None and (of.kind != KIND or of.path is None):
        raise ConfigError(
            "A copy can be published only of a DuckDB file, and this destination is none.",
            "Leave it out: readers of a database server need no copy.",
        )
    if not is_a_path(name):
        raise ConfigError("This cannot be the path of a file.", "Write one: read.duckdb.")
    if _ELSEWHERE.match(name):
        raise ConfigError(
            "A copy is published as a file on this machine, but this has a scheme.",
            "Write its path alone: read.duckdb or /folder/read.duckdb.",
        )
    if name.endswith(("/", "/.", "/..")) or name in (".", "..", "~"):
        raise ConfigError(
            "This is a folder, and a copy is published as a file.",
            "Name a file in it: folder/read.duckdb.",
        )
    path = absolute(name, folder)
    if of is not None and of.path is not None:
        _refuse_own(path, of.path)
    return path


def _refuse_own(path: Path, of: Path) -> None:
    """Raises ConfigError for the DuckDB file, and for the files that DuckDB writes beside it."""
    copy, own = os.path.realpath(path), os.path.realpath(of)
    if copy == own or (copy.startswith(f"{own}.") and copy.removeprefix(own) in _BESIDE):
        raise ConfigError(
            "The copy would replace the DuckDB file itself, or one that DuckDB writes beside it.",
            "Give the copy another name, for example read.duckdb.",
        )
