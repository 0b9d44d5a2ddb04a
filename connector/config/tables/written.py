"""Writes the file of a table."""

import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import yaml

from connector.config.place import find_file
from connector.config.reading import read_file
from connector.config.tables.files import KEYS, find_table_file, given, place_of, table_file
from connector.core.contracts.seen import Sight, entry
from connector.core.rules.paths import escaped, parse_path, shown_path
from connector.core.words import joined
from connector.errors import ConfigError

SCHEMA = "table.schema.json"


@dataclass(frozen=True)
class Written:
    """What is written of a table so far: in its file, or in the configuration."""

    table: str
    path: Path
    """Its file, which may not be there."""
    values: Mapping[str, Any]
    """The keys of its file, as they are written: references to variables are not replaced.

    If the configuration has its columns, all keys of both.
    """
    there: bool
    """Whether there is such a file."""
    file: Path | None
    """The configuration, if it has one."""
    elsewhere: bool
    """Whether its columns stand in the configuration."""

    @classmethod
    def of(cls, config: Path | None, table: str, environment: Mapping[str, str]) -> "Written":
        """Looks it up; `config` is the file that a flag names. Raises ConfigError."""
        file = config or find_file(environment)
        path = find_table_file(file, table)
        # What a pipe says can be read only once.
        listed = (read_file(file).get("tables") or {}) if file and file.is_file() else {}
        section = listed.get(table)
        own = table_file(file, table, section) if path is not None else None
        values = dict(own.values) if own else {}
        kept = section if isinstance(section, Mapping) else {}
        elsewhere = "columns" in given(section)
        if elsewhere:
            values |= {key: kept[key] for key in given(section)}
        place = path or place_of(file, table)
        return cls(table, place, values, path is not None, file, elsewhere)

    def refuse(self, force: bool) -> None:
        """Raises ConfigError if the file may not be written."""
        if self.elsewhere:
            own = given(self.values)
            keys = joined(own, last="and")
            raise ConfigError(
                f"{self.file} has columns of {self.table}, so {self.path} cannot have any.",
                f"Save what --stdout prints as {self.path}: {keys} "
                f"{'is' if len(own) == 1 else 'are'} in it. Then remove "
                f"{'it' if len(own) == 1 else 'them'} from {self.file}.",
            )
        if self.there and not force:
            raise ConfigError(
                f"{self.path} exists already.",
                "Add --force to write it anew, with its rules and descriptions, or --stdout to see "
                "what would be in it.",
            )

    def text(self, sight: Sight) -> str:
        """What the file says once the types that were seen are in it."""
        columns = self.values.get("columns") or {}
        left = {shown_path(parse_path(name)): dict(each or {}) for name, each in columns.items()}
        lines = [*self._head(sight), "columns:"]
        for seen in sight.attributes:
            name = escaped(seen.attribute)
            made = entry(seen, left.pop(name, {}))
            lines += [f"  # {sight.comment(seen)}", *_yaml({name: made}, "  ")]
        for name, each in left.items():
            lines += _yaml({name: each}, "  ")
        if len(lines) == len([*self._head(sight), "columns:"]):
            lines[-1] = "columns: {}"
        others = {key: self.values[key] for key in KEYS[1:] if key in self.values}
        return "\n".join([*lines, *(_yaml(others, "") if others else ()), ""])

    def _head(self, sight: Sight) -> list[str]:
        schema = self.path.with_name(SCHEMA)
        lines = [f"# yaml-language-server: $schema={SCHEMA}"] if schema.is_file() else []
        lines.append(f"# The columns of {self.table}, as they were seen in {sight.where}.")
        return lines + [f"# {note}" for note in sight.notes]

    def write(self, text: str, force: bool) -> None:
        """Writes the file, all at once; without `force`, only if there is none."""
        place = Path(os.path.realpath(self.path))
        try:
            if place.parent.exists() and not place.parent.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            place.parent.mkdir(parents=True, exist_ok=True)
            _write(place, text, force)
        except FileExistsError:
            raise ConfigError(
                f"{self.path} cannot be written: something else was made there meanwhile.",
                "Run it again.",
            ) from None
        except OSError as error:
            raise ConfigError(
                f"{self.path} cannot be written: {error.strerror}.",
                f"See what {place.parent} is and who may write to it, or use --stdout.",
            ) from None


def _write(place: Path, text: str, force: bool) -> None:
    mode = 0o666 & ~_umask()
    with NamedTemporaryFile("w", encoding="utf-8", dir=place.parent, delete=False) as file:
        made = Path(file.name)
        try:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            made.chmod(place.stat().st_mode & 0o777 if place.exists() else mode)
            if force:
                made.replace(place)
            else:
                _put(made, place)
        finally:
            made.unlink(missing_ok=True)


def _put(made: Path, place: Path) -> None:
    """Gives a file its name. Raises FileExistsError if that is taken."""
    try:
        # Unlike a rename, a link replaces nothing.
        os.link(made, place)
    except FileExistsError:
        raise
    except OSError:
        # Not every file system has links.
        place.touch(exist_ok=False)
        made.replace(place)


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


class _Dumper(yaml.SafeDumper):
    """Writes a text of several lines as such."""


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    lines = value.split("\n")
    block = len(lines) > 1 and all(line.isprintable() for line in lines)
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, "|" if block else None)


_Dumper.add_representer(str, _text)


def _dumped(value: Mapping[str, Any], allow_unicode: bool) -> str:
    return yaml.dump(
        dict(value), Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=10_000
    )


def _yaml(value: Mapping[str, Any], indent: str) -> list[str]:
    text = _dumped(value, allow_unicode=True)
    if not all(each.isprintable() for each in text.split("\n")):
        # Such as characters of no width: an editor would not show them.
        text = _dumped(value, allow_unicode=False)
    return [f"{indent}{line}" if line else "" for line in text.removesuffix("\n").split("\n")]
