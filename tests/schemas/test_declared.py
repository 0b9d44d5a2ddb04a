"""Declarations that cannot be meant: one sentence each, with the file, the table and the key."""

from pathlib import Path

import pytest

from connector.config.loading import load
from connector.core.contracts.contract import Declared, Format, Policy
from connector.core.schema import INTEGER, TIMESTAMP, fixed_type
from connector.core.spec import TableSpec, spec_of
from connector.errors import ConfigError

WRONG = {
    "n: {type: text}": "columns.n.type: This is not a type: it must be string, integer, decimal",
    "n: {type: Integer}": "columns.n.type: This is not a type",
    "n: {type: number}": "columns.n.type: This is not a type",
    "n: {type: 'decimal(39,2)'}": "columns.n.type: A decimal has 1 to 38 digits",
    "n: {type: 'decimal(2,5)'}": "columns.n.type: A decimal has 1 to 38 digits",
    "n: {type: 'decimal(0,0)'}": "columns.n.type: A decimal has 1 to 38 digits",
    "n: {type: 'decimal(a,b)'}": "columns.n.type: This is not a type",
    "n: {type: 'decimal(-1,0)'}": "columns.n.type: This is not a type",
    "n: {type: 'decimal(10)'}": "columns.n.type: This is not a type",
    "n: {type: decimal}": "columns.n.type: This is not a type",
    "n: {type: decimal(10,2)}": "columns.n: type ends at a comma",
    "n: {type: ''}": "columns.n.type must not be empty",
    "n: {type: 7}": "columns.n.type must be text",
    "n: {type: [integer]}": "columns.n.type must be text",
    "n: {type: }": "columns.n: type has no value",
    "n: {tpye: integer}": "columns.n.tpye is not a known key",
    "n: {from: epoch_ms}": "columns.n: from says how timestamps are written",
    "n: {type: integer, from: epoch_ms}": "columns.n: from says how timestamps are written",
    "n: {type: date, from: epoch_ms}": "columns.n: from says how timestamps are written",
    "n: {type: timestamp, from: epoch}": "columns.n.from must be 'iso8601', 'epoch_s'",
    "n: {type: timestamp, from: }": "columns.n: from has no value",
    "n: {type: integer, hash: true}": "columns.n: hash makes a text of the value",
    "n: {type: json, mask: x}": "columns.n: mask makes a text of the value",
    "n: {type: string, exclude: true}": "columns.n: exclude and type contradict",
    "n: {required: true, exclude: true}": "columns.n: exclude and required contradict",
    "n: {required: 7}": "columns.n.required must be true or false",
    "n: {required: maybe}": "columns.n.required must be true or false",
    "m.x: {type: integer}": "columns.m.x: type is about a column, and this value has none",
    "'l[]': {required: true}": "columns.l[]: required is about a column",
    "n: {description: 7}": "columns.n.description must be text",
    "n: {description: [a]}": "columns.n.description must be text",
    "n: {description: ''}": "columns.n.description: It must not be empty",
    "n: {description: ' '}": "columns.n.description: It must not be empty",
    'n: {description: "a\\0b"}': "columns.n.description: It holds control characters",
    'n: {description: "a\\x1bb"}': "columns.n.description: It holds control characters",
    'n: {description: "a\\uD800b"}': "columns.n.description: It holds control characters",
    "n: {description: " + "x" * 4001 + "}": "columns.n.description: It is longer than 4,000",
    "a: {rename: n}, n: {type: integer}": "columns: the columns of a and n would both be called n",
    "a: {rename: n}, n: {path: m.x, type: integer}": "columns: the columns of a and n would both",
    "n: {type: integer}, \\n: {type: string}": "columns: two entries are about n",
}
GOOD = [
    "n: {type: integer}",
    "n: {type: 'decimal(10, 2)', required: true}",
    "n: {type: 'decimal(38,38)'}",
    "n: {type: timestamp}",
    "n: {type: timestamp, from: epoch_us, rename: at, description: When.}",
    "n: {type: string, hash: true}",
    "n: {type: string, mask: '-', required: true}",
    "n: {required: true}",
    "n: {required: false, exclude: true}",
    "x: {path: m.x, type: uuid, required: true}",
    "a\\.b: {type: json}",
    "m.x: {exclude: true, description: Nobody may see it.}",
    "n: {description: 'ü, \U0001f980'}",
    'n: {description: "two\\nlines\\tand a tab"}',
]


def written(folder: Path, columns: str, more: str = "", own: bool = False) -> Path:
    """A configuration with these columns; in the `own` file of the table, if so wanted."""
    file = folder / "connector.yaml"
    text = f"columns: {{{columns}}}\n{more}"
    head = "destination: {url: 'duckdb:///w.duckdb'}\ntables:\n  orders:\n"
    if own:
        (folder / "schemas").mkdir()
        (folder / "schemas" / "orders.yaml").write_text(text)
        text = ""
    file.write_text(head + "".join(f"    {line}\n" for line in text.splitlines()))
    return file


@pytest.mark.parametrize("own", [False, True], ids=["connector.yaml", "schemas/orders.yaml"])
@pytest.mark.parametrize("columns", WRONG)
def test_one_sentence_says_what_is_wrong_and_where(columns: str, own: bool, tmp_path: Path) -> None:
    file = written(tmp_path, columns, own=own)
    with pytest.raises(ConfigError) as caught:
        load(file, environment={})
    place = f"{tmp_path}/schemas/orders.yaml: " if own else f"{file}: tables.orders."
    assert caught.value.message.startswith(place + WRONG[columns])
    assert "\n" not in caught.value.message
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("own", [False, True], ids=["connector.yaml", "schemas/orders.yaml"])
@pytest.mark.parametrize("columns", GOOD)
def test_what_can_be_meant_is_accepted(columns: str, own: bool, tmp_path: Path) -> None:
    load(written(tmp_path, columns, own=own), environment={})


@pytest.mark.parametrize("own", [False, True], ids=["connector.yaml", "schemas/orders.yaml"])
def test_the_contract_is_one_of_four(own: bool, tmp_path: Path) -> None:
    file = written(tmp_path, "", "contract: strict\n", own)
    with pytest.raises(ConfigError, match="contract must be 'evolve', 'freeze', 'quarantine' or"):
        load(file, environment={})


@pytest.mark.parametrize("own", [False, True], ids=["connector.yaml", "schemas/orders.yaml"])
def test_entries_are_the_contract_of_the_spec(own: bool, tmp_path: Path) -> None:
    columns = "n: {type: integer, required: true}, t: {type: timestamp, from: epoch_s}, "
    columns += "d: {type: 'decimal(9,2)', description: ' Money. '}, a\\.b: {description: B.}, e: "
    file = written(tmp_path, columns, "contract: quarantine\n", own)
    spec = load(file, environment={}).tables["orders"].spec()
    assert spec.contract.policy is Policy.QUARANTINE
    assert spec.contract.named == {
        "n": Declared(INTEGER, required=True),
        "t": Declared(TIMESTAMP, Format.EPOCH_S),
        "d": Declared(fixed_type(7, 2)),
    }
    assert spec.descriptions == (("a.b", "B."), ("d", "Money."))


def test_a_worker_does_not_carry_descriptions(tmp_path: Path) -> None:
    file = written(tmp_path, "n: {type: integer, description: A number.}")
    spec = load(file, environment={}).tables["orders"].spec()
    assert "descriptions" not in spec.plain()
    assert spec_of(spec.plain()).contract == spec.contract
    described = written(tmp_path, "n: {description: A number.}")
    assert load(described, environment={}).tables["orders"].spec().plain() == TableSpec().plain()


@pytest.mark.parametrize(
    ("word", "meant"),
    {
        "text": "string",
        "VARCHAR(20)": "string",
        "Integer": "integer",
        "bigint": "integer",
        "bool": "boolean",
        "bytea": "binary",
        "JSONB": "json",
        "timestamptz": "timestamp",
        "numeric": "decimal(10,2)",
        "DECIMAL(10,2)": "decimal(10,2)",
    }.items(),
)
def test_a_word_of_another_program_gets_the_one_that_is_meant(
    word: str, meant: str, tmp_path: Path
) -> None:
    file = written(tmp_path, f"n: {{type: '{word}'}}")
    with pytest.raises(ConfigError, match="This is not a type") as caught:
        load(file, environment={})
    assert meant in caught.value.hint
