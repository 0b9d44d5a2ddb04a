"""docs/configuration.md and the JSON Schema say what the models say, and the examples load."""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic.fields import FieldInfo

from connector.config.fields import Section
from connector.config.loading import load
from connector.config.model import Config, TableConfig
from connector.config.schema import json_schema, table_schema

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8")
SCHEMA = ROOT / "schemas" / "connector.schema.json"
OF_A_TABLE = ROOT / "schemas" / "table.schema.json"

SECTIONS: dict[str, type[Section]] = {
    name: field.annotation
    for name, field in Config.model_fields.items()
    if isinstance(field.annotation, type) and issubclass(field.annotation, Section)
} | {"tables": TableConfig}
LONE_KEYS = [name for name in Config.model_fields if name not in SECTIONS]

YAML_EXAMPLES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SHELL_EXAMPLES = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

# What the examples take from the environment.
ENVIRONMENT = {"WAREHOUSE_PASSWORD": "canary", "STAGE": "test"}


def row(key: str, field: FieldInfo) -> str:
    """The line of the page's table that describes a key."""
    default = field.get_default(call_default_factory=True)
    if isinstance(default, bool):
        default = str(default).lower()
    elif isinstance(default, float) and default.is_integer():
        default = int(default)
    shown = "" if field.is_required() or default in (None, ()) else f"`{default}`"
    return f"| `{key}` | {shown} | {field.description} |"


def rows(section: type[Section]) -> list[str]:
    """The lines of a section's table, in the order of its keys."""
    return [row(field.alias or name, field) for name, field in section.model_fields.items()]


def documented(heading: str) -> list[str]:
    """The lines of the table that follows a heading."""
    part = PAGE.partition(f"\n### `{heading}`\n")[2].partition("\n#")[0]
    table = [line for line in part.splitlines() if line.startswith("|")]
    assert table[:2] == ["| key | default | meaning |", "|---|---|---|"]
    return table[2:]


@pytest.mark.parametrize("name", SECTIONS)
def test_the_page_describes_every_key_of_a_section(name):
    assert documented(name) == rows(SECTIONS[name]), "\n".join(rows(SECTIONS[name]))


@pytest.mark.parametrize("name", LONE_KEYS)
def test_the_page_describes_a_key_outside_of_sections(name):
    assert documented(name) == [row(name, Config.model_fields[name])]


def test_the_page_describes_nothing_else():
    assert re.findall(r"^### `(.*)`$", PAGE, re.MULTILINE) == list(Config.model_fields)


def test_the_page_names_only_variables_that_exist(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1").touch()
    for variable in set(re.findall(r"CONNECTOR_[A-Z0-9_]+", PAGE)):
        value = "{}" if variable == "CONNECTOR_TABLES" else "1"
        value = "duckdb:///1.duckdb" if variable == "CONNECTOR_DESTINATION__URL" else value
        load(to="duckdb:///a.duckdb", environment={variable: value})


@pytest.mark.parametrize("text", YAML_EXAMPLES)
def test_an_example_loads_and_fits_the_schema(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "connector.yaml").write_text(text)
    config = load(environment=ENVIRONMENT)
    assert config.tables
    jsonschema.validate(yaml.safe_load(text), json.loads(json_schema()))


def test_there_are_examples():
    assert len(YAML_EXAMPLES) >= 3
    assert SHELL_EXAMPLES


def test_the_stored_schemas_are_current():
    assert SCHEMA.read_text(encoding="utf-8") == json_schema(), (
        "run: python -m connector.config.schema > schemas/connector.schema.json"
    )
    assert OF_A_TABLE.read_text(encoding="utf-8") == table_schema(), (
        "run: python -m connector.config.schema table > schemas/table.schema.json"
    )


def test_every_key_has_one_sentence():
    for name, section in {"": Config, **SECTIONS}.items():
        for key, field in section.model_fields.items():
            sentence = field.description or ""
            assert sentence.endswith("."), (name, key)
            assert ". " not in sentence, (name, key)


ACCEPTED = [
    "{}",
    "destination: {url: 'duckdb:///a.duckdb'}",
    "source:\ndestination:\ntables:\n",
    "tables:\n  orders:\n  users: {}\n",
    "destination: {storage_version: 1.4}",
    "destination: {storage_version: '${VERSION}'}",
    "tables: {orders: {layout: '${LAYOUT}', segments: '${SEGMENTS}'}}",
    "source: {max_read_units: '${UNITS}', consistent_read: '${CONSISTENT}', region: null}",
]
REFUSED = [
    "destination: {storage_version: latest}",
    "[]",
    "sorce: {}",
    "source: {regio: x}",
    "source: {region: ''}",
    "source: {consistent_read: 'no'}",
    "tail: {quiet_seconds: 0}",
    "tail: {batch_records: 1.5}",
    "scan: {segments: 0}",
    "tables: {orders: {layout: rows}}",
    "tables: {orders: {max_columns: 1501}}",
    "tables: [orders]",
    "spool: 1",
]


GOOD_TABLES = [
    "{}",
    "columns:\nunlisted: exclude\n",
    "columns: {n: {type: integer, required: true}, m: }\ncontract: freeze\n",
    "columns: {n: {type: 'decimal(10, 2)', description: Money.}}",
    "columns: {n: {type: timestamp, from: epoch_ms}}",
    "columns: {n: {type: '${TYPE}'}}\ncontract: '${CONTRACT}'\n",
]
WRONG_TABLES = [
    "[]",
    "into: x",
    "colums: {}",
    "columns: [n]",
    "columns: {n: {tpye: integer}}",
    "columns: {n: {type: number}}",
    "columns: {n: {type: decimal}}",
    "columns: {n: {type: 7}}",
    "columns: {n: {type: timestamp, from: epoch}}",
    "columns: {n: {required: maybe}}",
    "columns: {n: {description: 7}}",
    "contract: strict",
]


def fits_a_table(text: str) -> bool:
    """Whether an editor with the schema would accept the file of a table."""
    value: Any = yaml.safe_load(text)
    return jsonschema.Draft202012Validator(json.loads(table_schema())).is_valid(value)


def valid(text: str) -> bool:
    """Whether an editor with the schema would accept a file."""
    value: Any = yaml.safe_load(text)
    return jsonschema.Draft202012Validator(json.loads(json_schema())).is_valid(value)


@pytest.mark.parametrize("text", ACCEPTED)
def test_the_schema_accepts_what_a_file_may_say(text):
    assert valid(text)


@pytest.mark.parametrize("text", REFUSED)
def test_the_schema_refuses_what_load_refuses(text):
    assert not valid(text)


def test_the_schema_is_itself_valid():
    jsonschema.Draft202012Validator.check_schema(json.loads(json_schema()))
    jsonschema.Draft202012Validator.check_schema(json.loads(table_schema()))


@pytest.mark.parametrize("text", GOOD_TABLES)
def test_the_schema_of_a_table_accepts_what_its_file_may_say(text):
    assert fits_a_table(text)


@pytest.mark.parametrize("text", WRONG_TABLES)
def test_the_schema_of_a_table_refuses_what_load_refuses(text):
    assert not fits_a_table(text)
