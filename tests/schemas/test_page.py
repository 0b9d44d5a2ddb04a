"""What docs/tables.md says of the file of a table is so."""

import re
from pathlib import Path

import pytest

from connector.config.loading import load
from connector.core.contracts.contract import Policy
from tests.cli.program import Program
from tests.rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB
from tests.test_config_docs import fits_a_table

PAGE = (Path(__file__).parents[2] / "docs" / "tables.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## The file of a table\n")[2].partition("\n## ")[0]
WHOLE, INFERRED = re.findall(r"^```text\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


def test_the_example_is_a_file_of_a_table(tmp_path: Path) -> None:
    (tmp_path / "schemas").mkdir()
    (tmp_path / "schemas" / "customers.yaml").write_text(WHOLE)
    file = tmp_path / "connector.yaml"
    file.write_text("destination: {url: 'duckdb:///w.duckdb'}\ntables: {customers: }\n")
    spec = load(file, environment={}).tables["customers"].spec()
    assert spec.contract.policy is Policy.QUARANTINE
    assert spec.contract.types.keys() == {"total", "createdAt"}
    assert dict(spec.descriptions)["total"] == "What was paid so far,\nin euros."
    assert fits_a_table(WHOLE)


def test_what_is_inferred_looks_like_the_example(tmp_path: Path) -> None:
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        items = (
            {"id": {"S": str(n)}, "createdAt": {"N": str(1_700_000_000_000 + n)}}
            for n in range(1204)
        )
        rig.create_table("customers", KeySchema(Key("id"))).load(items)
        program = Program(tmp_path, rig.url)
        assert program("sync", "customers", *program.to).code == 0
        done = program("schema", "infer", "customers", "--stdout", *program.to)
    assert done.code == 0, done.stderr
    assert done.stdout.partition("\n")[2] == INFERRED


@pytest.mark.parametrize("text", [WHOLE, INFERRED])
def test_a_file_may_be_indented_in_the_configuration(text: str, tmp_path: Path) -> None:
    """The keys are the same in both places."""
    file = tmp_path / "connector.yaml"
    lines = "".join(f"    {line}\n" for line in text.splitlines())
    head = "destination: {url: 'duckdb:///w.duckdb'}\ntables:\n  customers:\n"
    file.write_text(head + lines)
    assert load(file, environment={}).tables["customers"].columns
