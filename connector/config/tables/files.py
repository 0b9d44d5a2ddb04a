"""The files of single tables, `schemas/<table>.yaml` beside the configuration."""

import errno
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from connector.config.reading import read_file
from connector.core.words import joined
from connector.errors import ConfigError

FOLDER = "schemas"
KEYS = ("columns", "unlisted", "contract", "routes")
"""The keys of a table that its file may have; each of them stands in one place only."""
ENDINGS = (".yaml", ".yml")


@dataclass(frozen=True)
class TableFile:
    """The file of one table, and what it says."""

    path: Path
    values: Mapping[str, Any]


def name_of(table: str) -> str:
    """What the file of a table is called, without its ending: the table may be named by its ARN."""
    return table.rpartition("/")[2]


def place_of(file: Path | None, table: str) -> Path:
    """The file of a table beside the configuration, or in the current folder without one."""
    folder = file.parent if file else Path()
    return folder / FOLDER / (name_of(table) + ENDINGS[0])


def table_file(file: Path | None, table: str, section: object) -> TableFile | None:
    """The file of a table, if it has one; `section` is what the configuration says of the table.

    Raises ConfigError if it cannot be read, or if both have one of these keys.
    """
    path = find_table_file(file, table)
    if path is None:
        return None
    values = read_file(path)
    for key in values:
        if key not in KEYS:
            raise ConfigError(
                f"{path}: {key} is not a known key here.",
                f"The file of a table has {joined(list(KEYS), last='and')}; all else is in the "
                "configuration.",
            )
    if doubled := [key for key in given(section) if values.get(key) is not None]:
        raise ConfigError(
            f"{file}: tables.{table}.{doubled[0]} and the file {path} both say what the table "
            "becomes.",
            f"Keep {joined(doubled, last='and')} in one of the two.",
        )
    return TableFile(path, values)


def given(section: object) -> list[str]:
    """The keys in a table's section that its file could have instead."""
    values = section if isinstance(section, Mapping) else {}
    return [key for key in KEYS if values.get(key) is not None]


def find_table_file(file: Path | None, table: str) -> Path | None:
    """The file of a table, if there is one. Raises ConfigError if that cannot be known.

    A broken link counts as one: it is no reason to read a table by other rules.
    """
    path = place_of(file, table)
    if path.parent.is_symlink() and not path.parent.exists():
        raise ConfigError(
            f"{path.parent} is a link to a folder that does not exist.",
            "Fix the link, or remove it.",
        )
    found = [each for each in map(path.with_name, _names(table)) if _is_there(each)]
    if len(found) > 1:
        raise ConfigError(f"There are both {found[0]} and {found[1].name}.", "Keep one of them.")
    return found[0] if found else None


def _names(table: str) -> Iterable[str]:
    return (name_of(table) + ending for ending in ENDINGS)


def _is_there(path: Path) -> bool:
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            # There can be no such file.
            return False
        raise ConfigError(
            f"{path} cannot be looked for: {error.strerror}.",
            "Give the user who runs this permission to read the folder.",
        ) from None
    except ValueError:
        return False
    return True


def strangers(file: Path | None, tables: Iterable[str]) -> list[Path]:
    """Files of tables beside the configuration that are of none of `tables`."""
    known = {name for table in tables for name in _names(table)}
    folder = place_of(file, "any").parent
    try:
        names = sorted(each.name for each in folder.iterdir())
    except OSError:
        # Without the folder there are none; what is of a table is looked for by its name.
        return []
    return [folder / name for name in names if name.endswith(ENDINGS) and name not in known]
