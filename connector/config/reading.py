"""Reads settings from a file and from the environment."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from connector.config.place import VARIABLE, misspelt
from connector.config.text import read_text
from connector.core.rules import hash_key
from connector.errors import ConfigError

PREFIX = "CONNECTOR_"
RESERVED = frozenset(("CONNECTOR_FAILPOINT", "CONNECTOR_CACHE", VARIABLE, hash_key.VARIABLE))
"""Variables with our prefix that are not settings."""

_TABS = "YAML is indented with spaces, never with tabs."


class _Loader(yaml.SafeLoader):
    """Refuses what YAML would accept: a repeated key, and a key that is not text."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node: yaml.MappingNode = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if key.tag == "tag:yaml.org,2002:merge":
                continue
            if key.tag != "tag:yaml.org,2002:str":
                raise _Refused("has a key that is not text: put it in quotes", key.start_mark.line)
            if key.value in seen:
                raise _Refused(f"has the key {key.value} twice in one section", key.start_mark.line)
            seen.add(key.value)
        return node


class _Refused(Exception):
    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = f"{problem} (line {line + 1})"


def parse_mapping(text: str, name: str) -> dict[str, Any]:
    """The mapping in `text`, which is YAML or JSON; `name` is its origin in errors."""
    value, problem = _parse(text)
    if problem:
        raise ConfigError(f"{name} {problem}.", _TABS if "'\\t'" in problem else "")
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise ConfigError(f"{name} must hold keys and values.")
    return value


def _parse(text: str) -> tuple[Any, str]:
    # Problems are returned as text, since the parser's exceptions quote the line, secrets included.
    try:
        return yaml.load(text, _Loader), ""
    except _Refused as refused:
        return None, refused.problem
    except yaml.MarkedYAMLError as error:
        return None, f"is not valid YAML{_position(error)}"
    except (yaml.YAMLError, ValueError):
        return None, "is not valid YAML"
    except RecursionError:
        return None, "is nested too deeply"


def _position(error: yaml.MarkedYAMLError) -> str:
    mark = error.problem_mark
    place = f" at line {mark.line + 1}, column {mark.column + 1}" if mark else ""
    problem = error.problem or ""
    # Quoted text may be part of a secret; a single quoted character (a tab, an @) cannot.
    return place + ("" if re.search(r"'.{3,}'", problem) or not problem else f": {problem}")


def read_file(path: Path) -> dict[str, Any]:
    """The settings in a YAML file. Raises ConfigError if it does not exist or is not YAML."""
    try:
        text = read_text(path)
    except FileNotFoundError:
        raise _not_there(path) from None
    return parse_mapping(text, str(path))


def _not_there(path: Path) -> ConfigError:
    if path.is_symlink():
        return ConfigError(
            f"{path} is a link to a file that does not exist.", "Fix the link, or remove it."
        )
    other = misspelt(path)
    hint = f"Did you mean {other}?" if other else "Name another with --config."
    return ConfigError(f"There is no file {path}.", hint)


def read_environment(environment: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """Settings by the CONNECTOR_ variable that holds them; empty variables are ignored."""
    found: dict[str, dict[str, Any]] = {}
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in RESERVED and environment[name]:
            found[name] = _nested(name, environment[name])
    return found


def _nested(variable: str, value: str) -> dict[str, Any]:
    path = variable.removeprefix(PREFIX).lower().split("__")
    if path == ["tables"]:
        return {"tables": parse_mapping(value, variable)}
    if path[0] == "tables":
        raise ConfigError(
            f"{variable}: a table cannot be set this way.",
            'Set CONNECTOR_TABLES to a JSON object, for example {"orders": {"into": "sales"}}.',
        )
    nested: Any = value
    for name in reversed(path):
        nested = {name: nested}
    return dict(nested)
