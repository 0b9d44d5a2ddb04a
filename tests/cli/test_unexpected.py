"""Unexpected is a word for bugs: no command says it of what the tests get wrong on purpose."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs.scripted import ScriptedDynamoDB
from tests.test_config import WRONG, WRONG_VARIABLES

from .mistakes import MISTAKES, Mistake
from .program import Program

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_unexpected")

COMMANDS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "sync": lambda table: ("sync", table),
    "sync of two": lambda table: ("sync", ORDERS, "others"),
    "sync as JSON": lambda table: ("sync", table, "-o", "json"),
    "snapshot": lambda table: ("snapshot", table),
    "full refresh": lambda table: ("snapshot", table, "--full-refresh", "--yes"),
    "tail": lambda table: ("tail", table, "--for", "100ms"),
    "status": lambda table: ("status",),
    "check": lambda table: ("check", table),
    "verify": lambda table: ("verify", table),
    "query": lambda table: ("query", "SELECT * FROM _connector.tables"),
    "reset": lambda table: ("reset", table, "--yes"),
}


def table_of(mistake: Mistake) -> str:
    """The table that the mistake is about."""
    return mistake.arguments[1] if len(mistake.arguments) > 1 else ORDERS


def assert_foreseen(program: Program, *arguments: str) -> None:
    """The command ends in a way that the documentation lists, and says what is wrong."""
    done = program(*arguments)
    said = done.stdout + done.stderr
    assert done.code in (0, 2, 3, 4), (arguments, said)
    assert "unexpected" not in said.lower(), (arguments, said)
    assert "Traceback" not in said, (arguments, said)
    if done.code:
        assert "Error: " in done.stderr, (arguments, said)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES)
def test_no_command_is_surprised_by_a_mistake(
    begun: Program,
    rig: ScriptedDynamoDB,
    mistake: Mistake,
    command: Callable[[str], tuple[str, ...]],
) -> None:
    program = begun.with_(**mistake.variables)
    with mistake.prepare(program, rig):
        assert_foreseen(program, *command(table_of(mistake)), *program.to)


@pytest.mark.parametrize("command", ["sync", "check", "query"])
def test_no_command_is_surprised_by_a_wrong_file_or_variable(
    program: Program, command: str
) -> None:
    file = program.folder / "connector.yaml"
    for text, _ in WRONG:
        file.write_text(text, encoding="utf-8")
        assert_foreseen(program, *COMMANDS[command](ORDERS), *program.to)
    file.unlink()
    for variable, value, _ in WRONG_VARIABLES:
        assert_foreseen(program.with_(**{variable: value}), *COMMANDS[command](ORDERS), *program.to)


def test_a_file_for_postgres_is_no_surprise_without_a_server(program: Program) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/none", "postgresql:///none?host=/nowhere"):
        for command in COMMANDS.values():
            assert_foreseen(program, *command(ORDERS), "--to", url)


def test_there_is_a_state_to_be_wrong_about(begun: Program, tmp_path: Path) -> None:
    done = begun("status", "-o", "json", *begun.to)
    assert '"loading"' in done.stdout
