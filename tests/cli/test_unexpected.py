"""Unexpected is a word for bugs: no command says it of what the tests get wrong on purpose."""

import json
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs.combinations import turn
from tests.rigs.ready import Done
from tests.rigs.scripted import ScriptedDynamoDB
from tests.test_config import WRONG, WRONG_VARIABLES

from .mistakes import MISTAKES, SOON, Mistake
from .program import Program
from .test_aws_errors import ANSWERS, Answer
from .test_surroundings import ODD_FILES

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_unexpected")

COMMANDS: dict[str, Callable[[str], tuple[str, ...]]] = {
    "sync": lambda table: ("sync", table),
    "sync of two": lambda table: ("sync", ORDERS, "others"),
    "sync as JSON": lambda table: ("sync", table, "-o", "json"),
    "sync of two as JSON": lambda table: ("sync", table, "others", "-o", "json"),
    "snapshot": lambda table: ("snapshot", table),
    "full refresh": lambda table: ("snapshot", table, "--full-refresh", "--yes"),
    "tail": lambda table: ("tail", table, "--for", "100ms"),
    "status": lambda table: ("status",),
    "check": lambda table: ("check", table),
    "check as JSON": lambda table: ("check", table, "-o", "json"),
    "verify": lambda table: ("verify", table),
    "query": lambda table: ("query", "SELECT * FROM _connector.tables"),
    "schema infer": lambda table: ("schema", "infer", table, "--stdout"),
    "schema diff": lambda table: ("schema", "diff", table),
    "reset": lambda table: ("reset", table, "--yes"),
}
SYNCS = [name for name in COMMANDS if name.startswith("sync")]
CHECKS = [name for name in COMMANDS if name.startswith("check")]


def one_of_each(number: int) -> Sequence[str]:
    """Every command once; the ways to say `sync` and `check` take turns from case to case."""
    others = [name for name in COMMANDS if name not in (*SYNCS, *CHECKS)]
    each = [SYNCS[number % len(SYNCS)], *others[:3], CHECKS[number % len(CHECKS)], *others[3:]]
    return turn(each, number, at_once=3)


def table_of(mistake: Mistake) -> str:
    """The table that the mistake is about."""
    return mistake.arguments[1] if len(mistake.arguments) > 1 else ORDERS


def assert_foreseen(program: Program, *arguments: str) -> None:
    """The command ends in a way that the documentation lists, and says what is wrong."""
    assert_well_ended(program(*arguments), arguments)


def assert_every_command_foresees(
    program: Program, *to: str, commands: Iterable[str] = COMMANDS
) -> str:
    """Every command ends so; all that they said."""
    return assert_all_foreseen(
        program, *((*COMMANDS[name](ORDERS), *(to or program.to)) for name in commands)
    )


def assert_all_foreseen(program: Program, *lines: tuple[str, ...]) -> str:
    """Every command line ends so; all that they said."""
    ended = program.each(*lines)
    for done, line in zip(ended, lines, strict=True):
        assert_well_ended(done, line)
    return "".join(done.stdout + done.stderr for done in ended)


def assert_well_ended(done: Done, arguments: tuple[str, ...]) -> None:
    """The code is one of those that are documented, and what is printed says what is wrong."""
    said = done.stdout + done.stderr
    assert done.code in (0, 2, 3, 4), (arguments, said)
    assert "unexpected" not in said.lower(), (arguments, said)
    assert "Traceback" not in said, (arguments, said)
    if done.code:
        assert "Error: " in done.stderr, (arguments, said)
    if "json" in arguments and done.stdout:
        json.loads(done.stdout)


# Each of them is met by the command that it is about in `test_errors.py`.
@pytest.mark.by_turns("number", "mistake", at_once=6)
@pytest.mark.parametrize(("number", "mistake"), [*enumerate(MISTAKES.values())], ids=list(MISTAKES))
def test_no_command_is_surprised_by_a_mistake(
    begun: Program, rig: ScriptedDynamoDB, number: int, mistake: Mistake
) -> None:
    program = begun.with_(**mistake.variables)
    table = table_of(mistake)
    lines = turn([*COMMANDS.values()], number, at_once=3)
    with mistake.prepare(program, rig):
        assert_all_foreseen(program, *((*line(table), *program.to) for line in lines))


@pytest.mark.by_turns("command")
@pytest.mark.parametrize("command", ["sync", "check", "query"])
def test_no_command_is_surprised_by_a_wrong_file_or_variable(
    program: Program, command: str
) -> None:
    lines = []
    for number, (text, _) in enumerate(WRONG):
        (program.folder / f"{number}.yaml").write_text(text, encoding="utf-8")
        lines.append((*COMMANDS[command](ORDERS), *program.to, "--config", f"{number}.yaml"))
    assert_all_foreseen(program, *lines)
    for variable, value, _ in WRONG_VARIABLES:
        assert_foreseen(program.with_(**{variable: value}), *COMMANDS[command](ORDERS), *program.to)


# Each of them is met by one command in `test_aws_errors.py`.
@pytest.mark.by_turns("number", "answer", at_once=3)
@pytest.mark.parametrize(("number", "answer"), [*enumerate(ANSWERS.values())], ids=list(ANSWERS))
def test_no_command_is_surprised_by_what_aws_answers(
    synced: Program, rig: ScriptedDynamoDB, number: int, answer: Answer
) -> None:
    rig.faults.add(answer.effect, on=answer.on, times=10_000)
    assert_every_command_foresees(synced.with_(**SOON), commands=one_of_each(number))


@pytest.mark.parametrize("number", range(len(ODD_FILES)), ids=list(ODD_FILES))
def test_no_command_is_surprised_by_a_path(program: Program, number: int) -> None:
    name, make, says = [*ODD_FILES.values()][number]
    make(program.folder / name)
    commands = turn([*COMMANDS], number, at_once=3)
    assert says in assert_every_command_foresees(
        program, "--to", f"duckdb:///{name}", commands=commands
    )


# A pipe has a test of its own, since each command gives whoever writes to it ten seconds.
NO_FILES = sorted(ODD_FILES.keys() - {"a pipe"})


@pytest.mark.parametrize("number", range(len(NO_FILES)), ids=NO_FILES)
def test_no_command_is_surprised_by_a_configuration_that_is_no_file(
    program: Program, number: int
) -> None:
    path, make, _ = ODD_FILES[NO_FILES[number]]
    make(program.folder / path)
    commands = turn([*COMMANDS], number, at_once=3)
    assert_every_command_foresees(program, *program.to, "--config", path, commands=commands)


def test_a_file_for_postgres_is_no_surprise_without_a_server(program: Program) -> None:
    for url in ("postgresql://nobody@127.0.0.1:1/none", "postgresql:///none?host=/nowhere"):
        assert_every_command_foresees(program, "--to", url)


def test_there_is_a_state_to_be_wrong_about(begun: Program, tmp_path: Path) -> None:
    done = begun("status", "-o", "json", *begun.to)
    assert '"loading"' in done.stdout
