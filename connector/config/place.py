"""Finds the configuration file when no flag names one."""

import os
from collections.abc import Mapping
from pathlib import Path

from connector.config.text import at_home
from connector.errors import ConfigError

VARIABLE = "CONNECTOR_CONFIG"
FILE = "connector.yaml"
SHORT = "connector.yml"


def find_file(environment: Mapping[str, str]) -> Path | None:
    """The file that CONNECTOR_CONFIG names, or else the one in the current folder, if any.

    Raises ConfigError if both spellings exist, since it is unclear which one should win.
    """
    if named := environment.get(VARIABLE):
        path = at_home(named) if named.startswith("~/") else Path(named)
        if not os.path.lexists(path):
            raise ConfigError(
                f"There is no file {path}.",
                f"{VARIABLE} names it: correct the variable, or name another with --config.",
            )
        return path
    # A broken link counts as well: it is no reason to continue without a configuration.
    found = [Path(name) for name in (FILE, SHORT) if _is_there(name)]
    if len(found) > 1:
        raise ConfigError(
            f"There are both {FILE} and {SHORT} in {Path.cwd()}.",
            f"Keep one of them, or name one: --config {FILE}.",
        )
    return found[0] if found else None


def _is_there(name: str) -> bool:
    try:
        os.lstat(name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise ConfigError(
            f"The current folder cannot be searched for {name}: {error.strerror}.",
            "Change to a folder that you may read, or name a file with --config.",
        ) from None
    return True


def misspelt(path: Path) -> str:
    """The file with the other spelling, if it exists instead, or an empty string."""
    others = {".yaml": ".yml", ".yml": ".yaml"}
    other = path.with_suffix(others.get(path.suffix, path.suffix))
    return str(other) if other != path and other.is_file() else ""
