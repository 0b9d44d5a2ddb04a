"""A configuration of which a table that cannot be used is left out, and the others are kept."""

import os
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from connector.config import Config, validated
from connector.config_settings import Settings, gather
from connector.errors import ConfigError


def load_each(
    path: Path,
    *,
    to: str | None = None,
    environment: Mapping[str, str] = os.environ,
    overrides: Mapping[str, object] = MappingProxyType({}),
    said_by: str | None = None,
) -> tuple[Config, dict[str, ConfigError]]:
    """As `load`, but a mistake in one table's section leaves out that table only.

    Returns what is wrong with each table that is left out. Of two tables that would land in one
    place, the later one is. Raises ConfigError for a mistake anywhere else.
    """
    settings = gather(path, to, (), environment, overrides, said_by)
    listed = settings.values.get("tables")
    names = list(listed) if isinstance(listed, dict) else []
    first = settings.with_tables(names) if names else settings
    config = _tried(first, environment)
    if isinstance(config, Config):
        return config, {}
    if not names:
        raise config
    # Without its tables the rest must be right: else its own error is raised here.
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
        # To be raised, if at all, outside of the handler: Airflow shows what is handled as well.
        return error
