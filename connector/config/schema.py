"""The JSON Schemas of connector.yaml and of the files of tables.

`python -m connector.config.schema` prints the first, `python -m connector.config.schema table` the
second.
"""

import json
import sys
from typing import Any

from connector.config.model import Config, TableConfig
from connector.config.tables.files import KEYS

_NULL = {"type": "null"}
_NO_TEXT = {"boolean", "integer", "number"}
_VARIABLE = {"type": "string", "pattern": r"\$\{[A-Za-z_][A-Za-z0-9_]*\}"}


def json_schema() -> str:
    """The schema as it stands in schemas/connector.schema.json."""
    return _schema(Config.model_json_schema(), "connector.yaml")


def table_schema() -> str:
    """The schema as it stands in schemas/table.schema.json."""
    generated = TableConfig.model_json_schema()
    keys = {name: key for name, key in generated["properties"].items() if name in KEYS}
    about = "What becomes of the attributes of one table."
    return _schema(generated | {"properties": keys, "description": about}, "schemas/<table>.yaml")


def _schema(generated: dict[str, Any], title: str) -> str:
    sections = generated.pop("$defs")
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **_section(generated),
        "title": title,
        "$defs": {name: _section(section) for name, section in sorted(sections.items())},
    }
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def _section(section: dict[str, Any]) -> dict[str, Any]:
    # No key is required in a file: the environment and the command line may supply it.
    kept = {name: value for name, value in section.items() if name not in ("required", "title")}
    return kept | {"properties": {n: _key(key) for n, key in section["properties"].items()}}


def _key(key: dict[str, Any]) -> dict[str, Any]:
    """The schema of a key in a file: a value, ${NAME} in its place, or nothing."""
    about = {name: key[name] for name in ("description", "default") if key.get(name) is not None}
    value = {name: part for name, part in key.items() if name not in (*about, "default", "title")}
    outer = [choice for choice in value.pop("anyOf", [value]) if choice != _NULL]
    choices = [choice for each in outer for choice in each.get("anyOf", [each])]
    choices = [_chosen(choice) for choice in choices]
    if any(choice.get("type") in _NO_TEXT or "enum" in choice for choice in choices):
        choices.append(_VARIABLE)
    if any("$ref" in choice or "enum" in choice for choice in choices):
        return about | {"anyOf": [*choices, _NULL]}
    # Every other keyword applies to one type only, so all choices fit into one schema.
    types = [choice["type"] for choice in choices]
    return about | {"type": [*types, "null"]} | _keywords(choices)


def _chosen(choice: dict[str, Any]) -> dict[str, Any]:
    """A choice among one value as one among several."""
    if "const" not in choice:
        return choice
    return {"enum": [choice["const"]], "type": choice["type"]}


def _keywords(choices: list[dict[str, Any]]) -> dict[str, Any]:
    found = {name: part for choice in choices for name, part in choice.items() if name != "type"}
    if "additionalProperties" in found:
        found["additionalProperties"] = {"anyOf": [found["additionalProperties"], _NULL]}
    return found


if __name__ == "__main__":
    print(table_schema() if "table" in sys.argv[1:] else json_schema(), end="")
