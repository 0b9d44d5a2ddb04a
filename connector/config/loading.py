"""Reads the configuration, whole or without the tables that are configured wrongly."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from pydantic import ValidationError

from connector.config.explain import explain
from connector.config.fields import Section
from connector.config.layers import Key, Settings, gather
from connector.config.model import Config, TableConfig
from connector.config.tables.columns import ColumnConfig
from connector.errors import ConfigError

_SECTIONS: dict[Key, list[str]] = {
    (): Config.keys(),
    ("tables", "*"): TableConfig.keys(),
    ("tables", "*", "columns", "*"): ColumnConfig.keys(),
} | {
    (name,): field.annotation.keys()
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
}


def load(
    path: Path | None = None,
    *,
    to: str | None = None,
    tables: Sequence[str] = (),
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = MappingProxyType({}),
    given_by: str | None = None,
) -> Config:
    """Reads the configuration. Flags win over the environment, then the file, then defaults.

    `overrides` are further flags, by dotted key or nested: `{"scan.segments": 8}`,
    `{"tables": {"orders": {"segments": 8}}}`; None is a flag not given. `given_by` names their
    origin in errors.
    """
    settings = gather(path, to, tables, environment, overrides, given_by)
    return validated(settings, environment)


def validated(settings: Settings, environment: Mapping[str, str]) -> Config:
    """The gathered settings as a configuration. Raises ConfigError for the first mistake."""
    for error in settings.wrong.values():
        raise error
    settings.interpolate(environment)
    folders = {
        key: origin.folder
        for key in ("destination.url", "destination.publish", "spool")
        if (origin := settings.origin(tuple(key.split("."))))
    }
    try:
        return Config.model_validate(settings.values, context=folders)
    except ValidationError as error:
        problem = explain(error, settings, _SECTIONS)
    # Outside the handler: pydantic's error holds the values, which may be secrets.
    raise problem


def load_each(
    path: Path,
    *,
    to: str | None = None,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = MappingProxyType({}),
    given_by: str | None = None,
) -> tuple[Config, dict[str, ConfigError]]:
    """Like `load`, but a mistake in one table's section leaves out only that table.

    Returns the error of each table that is left out. If two tables would get the same name in the
    destination, the later one is left out. Raises ConfigError for a mistake anywhere else.
    """
    settings = gather(path, to, (), environment, overrides, given_by)
    listed = settings.values.get("tables")
    names = list(listed) if isinstance(listed, dict) else []
    first = settings.with_tables(names) if names else settings
    config = _tried(first, environment)
    if isinstance(config, Config):
        return config, {}
    if not names:
        raise config
    # A mistake outside the tables is raised here.
    config = validated(settings.with_tables(()), environment)
    good: list[str] = []
    wrong: dict[str, ConfigError] = {}
    for name in names:
        found = _tried(settings.with_tables([*good, name]), environment)
        if isinstance(found, ConfigError):
            wrong[name] = found
        else:
            good.append(name)
            config = found
    return config, wrong


def _tried(settings: Settings, environment: Mapping[str, str]) -> Config | ConfigError:
    try:
        return validated(settings, environment)
    except ConfigError as error:
        # Returned so that it is raised outside the handler: Airflow would show both exceptions.
        return error
