"""Merges settings from several places into one tree that remembers where each came from."""

import re
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from connector.config.place import find_file
from connector.config.reading import read_environment, read_file
from connector.config.tables.files import table_file
from connector.errors import ConfigError, NotListed

_DEEPEST = 8
_LISTED = 12
_REFERENCE = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)\}|\$\{")

Key = tuple[str, ...]


@dataclass(frozen=True)
class Origin:
    """Where a setting was given, and the folder that its relative paths start from."""

    name: str
    folder: Path
    is_file: bool = False
    within: Key = ()
    """The section that all of it is in, which the file itself does not name."""

    def shown(self, key: Key) -> str:
        """The place of a key in it."""
        inside = ".".join(key[len(self.within) :])
        return f"{self.name}: {inside}" if inside else self.name


class Settings:
    """Settings of several origins in one tree; later ones win."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self.file: Path | None = None
        self.wrong: dict[str, ConfigError] = {}
        """What is wrong with the files of single tables."""
        self._origins: dict[Key, Origin] = {}
        self._looked: set[str] = set()

    def merge(self, values: Mapping[str, Any], origin: Origin) -> None:
        """Merges `values` over the present ones; a null overrides nothing."""
        self._merge(self.values, values, origin, ())

    def _merge(
        self, into: dict[str, Any], values: Mapping[str, Any], origin: Origin, key: Key
    ) -> None:
        if len(key) > _DEEPEST:
            raise ConfigError(f"{origin.shown(key)} is nested too deeply.")
        for name, value in values.items():
            here = (*key, name)
            if isinstance(value, Mapping):
                self._origins.setdefault(here, origin)
                inner = into.get(name)
                into[name] = inner if isinstance(inner, dict) else {}
                self._merge(into[name], value, origin, here)
            elif value is not None or name not in into:
                self._origins[here] = origin
                into[name] = value

    def origin(self, key: Key) -> Origin | None:
        """The origin of `key`, or of the section around it."""
        for end in range(len(key), 0, -1):
            if found := self._origins.get(key[:end]):
                return found
        return None

    def with_tables(self, tables: Iterable[str]) -> "Settings":
        """A copy with only these tables."""
        only = Settings()
        only.file = self.file
        only._origins = self._origins
        only.wrong = {name: self.wrong[name] for name in tables if name in self.wrong}
        only.values = deepcopy(self.values)
        listed = only.values.get("tables") or {}
        only.values["tables"] = {name: listed[name] for name in tables}
        return only

    def add_files(self, tables: Iterable[str]) -> None:
        """Merges the files of the tables so far, and of `tables`, where there are any."""
        listed = self.values.get("tables")
        sections = listed if isinstance(listed, Mapping) else {}
        for table in dict.fromkeys([*sections, *tables]):
            if table in self._looked:
                continue
            self._looked.add(table)
            try:
                found = table_file(self.file, table, sections.get(table))
            except ConfigError as error:
                self.wrong[table] = error
                continue
            # A section that is none stays a mistake.
            if found is not None and isinstance(sections.get(table, {}), Mapping | None):
                within = ("tables", table)
                origin = Origin(str(found.path), found.path.parent, is_file=True, within=within)
                self.merge({"tables": {table: found.values}}, origin)

    def interpolate(self, environment: Mapping[str, str]) -> None:
        """Replaces ${NAME} in values from a file that nothing has overridden."""
        self._interpolate(self.values, environment, ())

    def _interpolate(
        self, values: dict[str, Any], environment: Mapping[str, str], key: Key
    ) -> None:
        for name, value in values.items():
            here = (*key, name)
            origin = self._origins[here]
            if isinstance(value, dict):
                self._interpolate(value, environment, here)
            elif origin.is_file:
                values[name] = _expanded(value, environment, origin.shown(here), len(here))


def _expanded(value: Any, environment: Mapping[str, str], where: str, depth: int) -> Any:
    # A list of YAML may hold itself.
    if depth > _DEEPEST:
        raise ConfigError(f"{where} is nested too deeply.")
    if isinstance(value, list):
        return [_expanded(each, environment, where, depth + 1) for each in value]
    if isinstance(value, dict):
        return {
            name: _expanded(each, environment, where, depth + 1) for name, each in value.items()
        }
    return _expand(value, environment, where) if isinstance(value, str) else value


def _expand(text: str, environment: Mapping[str, str], where: str) -> str:
    def replace(found: re.Match[str]) -> str:
        name = found["name"]
        if found[0] == "$${":
            return "${"
        if name is None:
            raise ConfigError(
                f"{where} has ${{ without the name of a variable and a }}.",
                "Write ${NAME}, or $${ for the characters themselves.",
            )
        if name not in environment:
            raise ConfigError(
                f"{where} needs the environment variable {name}, which is not set.",
                f"Set {name}, or write $${{ for the characters ${{.",
            )
        return environment[name]

    return _REFERENCE.sub(replace, text)


def suggest(name: str, known: Iterable[str]) -> str:
    """A hint for a name that is not known: a similar one, or the list of known names."""
    names = list(known)
    if close := get_close_matches(name, names, n=1):
        return f"Did you mean {close[0]}?"
    more = ", …" if len(names) > _LISTED else ""
    return f"Known here: {', '.join(names[:_LISTED])}{more}."


def gather(
    path: Path | None,
    to: str | None,
    tables: Sequence[str],
    environment: Mapping[str, str],
    overrides: Mapping[str, object],
    given_by: str | None = None,
) -> Settings:
    """Merges the file, the environment and the command line; later ones win.

    References to variables are left as written: see `Settings.interpolate`.

    `given_by` names the origin of `to` and `overrides` if it is not the command line.
    """
    # Relative paths start from the current folder, which is looked up only if there are any.
    line = Origin(given_by or "the command line", Path())
    settings = Settings()
    file = path or find_file(environment)
    settings.file = file
    if file:
        settings.merge(read_file(file), Origin(str(file), file.parent, is_file=True))
    variables = read_environment(environment)
    settings.add_files(_named(variables))
    for variable, values in variables.items():
        settings.merge(values, Origin(variable, Path()))
    listed = settings.values.get("tables") or {}
    if isinstance(listed, dict):
        if file and listed:
            _refuse_unlisted(tables, listed, file)
        settings.add_files(table for table in tables if table not in listed)
        settings.merge({"tables": {table: {} for table in tables}}, line)
    for key, value in overrides.items():
        settings.merge(_nested(key, value), line)
    if to is not None:
        settings.merge({"destination": {"url": to}}, Origin(given_by or "--to", Path()))
    return settings


def _named(variables: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The tables that the environment names."""
    return [table for values in variables.values() for table in values.get("tables", ())]


def listed_tables(path: Path | None, environment: Mapping[str, str]) -> list[str]:
    """The tables that the file and the environment list; nothing else is checked or replaced."""
    tables = gather(path, None, (), environment, {}).values.get("tables")
    return list(tables) if isinstance(tables, dict) else []


def _refuse_unlisted(tables: Sequence[str], listed: Mapping[str, Any], file: Path) -> None:
    for table in tables:
        if table not in listed:
            raise NotListed(f"{file} does not list the table {table}.", suggest(table, listed))


def _nested(key: str, value: object) -> dict[str, Any]:
    first, _, rest = key.partition(".")
    return {first: _nested(rest, value) if rest else value}
