"""What the documentation says is so: commands, flags, codes, errors, examples and links."""

import configparser
import inspect
import json
import re
import shlex
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest
import typer.main
from typer.testing import CliRunner

import connector.errors as errors
from connector.cli.app import app
from connector.cli.runs.leaving import LEAVE_SECONDS
from connector.config.loading import load
from connector.destinations.duckdb.session import errors as duckdb_errors
from connector.destinations.postgres.session import errors as postgres_errors
from connector.sources.dynamodb.client import READ_ONLY

from .rigs.scripted import Key, KeySchema, RunningClock, ScriptedDynamoDB

ROOT = Path(__file__).parent.parent
PAGES = {
    page.relative_to(ROOT).as_posix(): page.read_text(encoding="utf-8")
    for page in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
}
README = PAGES["README.md"]
OPERATIONS = PAGES["docs/operations.md"]
EVERYTHING = "\n".join(PAGES.values())

CLI: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = CLI.commands

# What the examples take from the environment.
ENVIRONMENT = {"WAREHOUSE_PASSWORD": "canary", "STAGE": "test"}


def blocks(page: str, language: str) -> list[str]:
    """The code blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def command_lines() -> list[tuple[str, str]]:
    """Every `connector …` line: in shell blocks, and between backticks."""
    found = []
    for name, page in PAGES.items():
        shell = "\n".join(blocks(page, "sh")).replace("\\\n", "")
        lines = [line for line in shell.splitlines() if line.startswith("connector ")]
        text = re.sub(r"^```.*?^```$", "", page, flags=re.MULTILINE | re.DOTALL)
        lines += [" ".join(line.split()) for line in re.findall(r"`(connector\s[^`]+)`", text)]
        found += [(name, line) for line in lines]
    return found


def verbs(command: Any) -> dict[str, Any]:
    """The commands within a command."""
    return getattr(command, "commands", {})


def flags() -> list[tuple[str, str]]:
    """Every command's flags, each in all of its spellings."""
    inner = [each for command in COMMANDS.values() for each in verbs(command).items()]
    return [
        (name, spelling)
        for name, command in [("", CLI), *COMMANDS.items(), *inner]
        for parameter in command.params
        for spelling in parameter.opts
        if spelling.startswith("-")
    ]


def error_classes() -> list[str]:
    """The names of every error a user can meet."""
    return [
        name
        for module in (errors, duckdb_errors, postgres_errors)
        for name, each in inspect.getmembers(module, inspect.isclass)
        if issubclass(each, errors.ConnectorError) and each.__module__.startswith("connector.")
    ]


def slug(heading: str) -> str:
    """The anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name):
    assert re.search(rf"`connector {name}\b", README)
    for verb in verbs(COMMANDS[name]):
        assert f"`connector {name} {verb}" in README


@pytest.mark.parametrize(("command", "flag"), flags())
def test_every_flag_is_documented(command, flag):
    assert re.search(rf"(?<![\w-]){re.escape(flag)}(?![\w-])", EVERYTHING)


@pytest.mark.parametrize(("page", "line"), command_lines())
def test_a_command_line_can_be_parsed(page, line):
    words = shlex.split(line.replace("[TABLE…]", "TABLE"))[1:]
    if words == ["--version"]:
        return
    assert words[0] in COMMANDS
    command, arguments = COMMANDS[words[0]], words[1:]
    if inner := verbs(command):
        assert arguments[0] in inner
        command, arguments = inner[arguments[0]], arguments[1:]
    if arguments:
        command.make_context(words[0], arguments)


def test_there_are_command_lines_to_parse():
    assert len(command_lines()) > 20


def test_every_exit_code_is_documented():
    codes = {0, 1, *(each.exit_code for each in vars(errors).values() if inspect.isclass(each))}
    table = OPERATIONS.partition("## Exit codes")[2].partition("## ")[0]
    assert {int(code) for code in re.findall(r"^\| (\d+) \|", table, re.MULTILINE)} == codes


@pytest.mark.parametrize("name", error_classes())
def test_every_error_is_documented(name):
    assert f"`{name}`" in OPERATIONS


def test_every_error_has_the_code_that_is_documented():
    for name, code in re.findall(r"^\| `(\w+)` \| (\d+) \|", OPERATIONS, re.MULTILINE):
        kind = getattr(errors, name, None) or getattr(postgres_errors, name)
        assert kind.exit_code == int(code), name


@pytest.mark.parametrize("page", PAGES)
def test_every_link_resolves(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", PAGES[page]):
        if target.startswith("https://"):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.is_file(), target
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
            assert anchor in map(slug, headings), target


def test_every_decision_is_listed():
    decisions = {page.name for page in (ROOT / "docs" / "decisions").glob("*.md")}
    listed = re.findall(r"\]\(([^)]+)\)", PAGES["docs/decisions/README.md"])
    assert sorted(listed) == sorted(decisions - {"README.md"})


@pytest.mark.parametrize("text", [each for page in PAGES.values() for each in blocks(page, "yaml")])
def test_an_example_of_the_configuration_loads(text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "connector.yaml").write_text(text)
    assert load(environment=ENVIRONMENT).tables


@pytest.mark.parametrize("page", ["README.md", "docs/operations.md"])
def test_the_policy_allows_what_the_connector_calls_and_nothing_else(page):
    (policy,) = [json.loads(text) for text in blocks(PAGES[page], "json")]
    allowed = {action for each in policy["Statement"] for action in each["Action"]}
    assert allowed == {f"dynamodb:{name}" for name in READ_ONLY - {"AssumeRole"}}


def test_the_status_columns_are_documented(flow):
    flow("connector sync orders")
    printed = json.loads(flow("connector status --output json"))[0]
    table = OPERATIONS.partition("## Status")[2].partition("\n## ")[0]
    first = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(printed) <= set(re.findall(r"`(\w+)`", first))


def test_every_line_of_a_check_is_documented(flow):
    checks = {each["check"] for each in json.loads(flow("connector check --output json"))}
    table = OPERATIONS.partition("## Before the first run")[2].partition("\n## ")[0]
    first = " ".join(line.split("|")[1] for line in table.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`([\w ]+)`", first)) == checks


ORDERS = [
    {
        "id": {"S": str(number)},
        "status": {"S": status},
        "total": {"N": total},
        "customer": {"M": {"name": {"S": "Example"}}},
    }
    for number, status, total in [(1, "open", "10.50"), (2, "open", "0.07"), (3, "paid", "7")]
]


@pytest.fixture
def flow(tmp_path, monkeypatch):
    """Runs a command line of the README beside the README's connector.yaml."""
    monkeypatch.chdir(tmp_path)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    (tmp_path / "connector.yaml").write_text(blocks(README, "yaml")[0])
    monkeypatch.setattr("connector.cli.runs.leaving._log_to_stderr", lambda level: None)
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        for name in ("ENDPOINT_URL_DYNAMODB", "ENDPOINT_URL_DYNAMODB_STREAMS"):
            monkeypatch.setenv(f"AWS_{name}", rig.url)
        rig.create_table("orders", KeySchema(Key("id"))).put(*ORDERS)
        rig.create_table("cloudacademy-courses", KeySchema(Key("courseid")))
        yield _run
    (tmp_path / "connector.yaml").unlink()


def _run(line: str) -> str:
    # What follows for ever is followed for a moment here.
    words = shlex.split(line.replace("--follow", "--for 200ms"))
    done = CliRunner().invoke(app, words[1:])
    assert done.exit_code == 0, (line, done.output, done.exception)
    return done.stdout


def test_the_readmes_example_runs_as_it_stands(flow, capsys):
    lines = [
        line
        for text in blocks(README, "sh")
        for line in text.splitlines()
        if line.startswith("connector ")
    ]
    assert [line.split()[1] for line in lines] == [
        "check", "sync", "query", "sync", "tail", "status", "verify", "query",
    ]  # fmt: skip
    printed = [flow(line) for line in lines]
    assert re.search(r"^matching +3 *$", printed[-2], re.MULTILINE)
    assert re.search(r"^open +2 +10\.57 *$", printed[-1], re.MULTILINE)
    for statement in filter(None, map(str.strip, blocks(README, "sql")[0].split(";"))):
        flow(shlex.join(["connector", "query", statement]))
    (python,) = blocks(README, "python")
    made: dict[str, Any] = {}
    exec(compile(python, "README.md", "exec"), made)
    assert "10.57" in capsys.readouterr().out
    assert len(made["rows"]) == 3
    with duckdb.connect("wh.duckdb", read_only=True) as warehouse:
        for row in (*made["rows"], warehouse.execute("from orders").fetchone()):
            (changed,) = [value for value in row if isinstance(value, datetime)]
            assert changed.utcoffset() == timedelta(0)
        assert len(warehouse.execute("from orders").fetchmany(2)) == 2
        assert len(list(iter(warehouse.execute("from orders").fetchone, None))) == 3


def test_the_commands_of_the_operations_page_run_as_they_stand(flow):
    flow("connector sync orders")
    for text in blocks(OPERATIONS, "sh"):
        for line in text.splitlines():
            flow(line)


def test_the_recipes_for_cron_and_systemd_run_the_command():
    page = PAGES["docs/scheduling.md"]
    service, timer = (configparser.ConfigParser(), configparser.ConfigParser())
    for unit, text in zip((service, timer), blocks(page, "ini"), strict=True):
        unit.optionxform = str
        unit.read_string(text)
    cron = blocks(page, "cron")[0].splitlines()[-1].split(maxsplit=6)
    assert cron[:6] == ["*/5", "*", "*", "*", "*", "connector"]
    for line in (cron[6], service["Service"]["ExecStart"]):
        program, *words = shlex.split(line)
        assert Path(program).name == "connector"
        command = COMMANDS[words[0]]
        assert command.make_context(words[0], words[1:], resilient_parsing=True)
    # Those of a person: a service that is started again would only say the same once more.
    needs_person = {errors.Fatal.exit_code, errors.NeedsPerson.exit_code}
    codes = service["Service"]["RestartPreventExitStatus"].split()
    assert set(map(int, codes)) == needs_person
    assert int(service["Service"]["SuccessExitStatus"]) == errors.Interrupted.exit_code
    assert int(service["Service"]["TimeoutStopSec"]) > LEAVE_SECONDS
    assert timer["Timer"]["OnUnitInactiveSec"] == "5min"
