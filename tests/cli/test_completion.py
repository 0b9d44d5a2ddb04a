"""What a shell offers after Tab: the tables of the configuration, at once and without a word."""

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest

from connector.cli.runs.completion import rejoin
from tests.rigs.ready import ready

from .program import MODULE, PATIENCE, REPOSITORY

ARN = "arn:aws:dynamodb:us-west-2:123456789012:table"
TABLES = ["orders", "order-items", "customers", f"{ARN}/remote", f"{ARN}/rest"]
# Nothing of it can be loaded: a completion looks at the names of the tables alone.
CONFIGURATION = "destination: {url: 'postgresql://l:${NOT_SET}@db/x'}\nunknown: 1\ntables:\n"
COMMAND = "import sys; sys.argv[0] = 'connector'; from connector.__main__ import main; main()"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a connector.yaml."""
    lines = "".join(f"  {table}: {{}}\n" for table in TABLES)
    (tmp_path / "connector.yaml").write_text(CONFIGURATION + lines)
    return tmp_path


def variables(folder: Path, **more: str) -> dict[str, str]:
    kept = {"PATH": os.environ["PATH"], "HOME": str(folder), "PYTHONPATH": str(REPOSITORY)}
    return kept | more


def asked(folder: Path, **environment: str) -> str:
    """What the program answers to a shell; an error if it says anything besides."""
    done = ready(MODULE).run(COMMAND, (), folder, variables(folder, **environment))
    assert done.stderr == ""
    return done.stdout.strip()


def bash(folder: Path, *words: str, **more: str) -> list[str]:
    """What bash is offered for the last word. It has taken words apart at : and =."""
    pieces = ["connector", *(piece for word in words for piece in apart(word))]
    return asked(
        folder,
        _CONNECTOR_COMPLETE="complete_bash",
        COMP_WORDS="\n".join(pieces),
        COMP_CWORD=str(len(pieces) - 1),
        **more,
    ).split()


def apart(word: str) -> list[str]:
    """The pieces of a word in bash's COMP_WORDS."""
    return re.findall(r"[:=]+|[^:=]+", word) or [""]


def zsh(folder: Path, *words: str, **more: str) -> list[str]:
    """What zsh is offered: words in quotes, with its own escapes."""
    said = asked(
        folder,
        _CONNECTOR_COMPLETE="complete_zsh",
        _TYPER_COMPLETE_ARGS=" ".join(["connector", *words]),
        **more,
    )
    return [word.strip("\"'(): ") for word in said.replace("\\\\:", ":").split("\n") if '"' in word]


def fish(folder: Path, *words: str, **more: str) -> list[str]:
    """What fish is offered."""
    return asked(
        folder,
        _CONNECTOR_COMPLETE="complete_fish",
        _TYPER_COMPLETE_FISH_ACTION="get-args",
        _TYPER_COMPLETE_ARGS=" ".join(["connector", *words]),
        **more,
    ).split()


SHELLS = pytest.mark.parametrize("shell", [bash, zsh, fish])


@SHELLS
@pytest.mark.parametrize("command", ["sync", "snapshot", "tail", "check", "verify", "reset"])
def test_every_command_that_takes_a_table_is_offered_those_of_the_file(shell, command, folder):
    assert [word.rpartition('(("')[2] for word in shell(folder, command, "order")] == [
        "orders",
        "order-items",
    ]


@SHELLS
def test_a_table_that_is_named_is_not_offered_again(shell, folder):
    offered = " ".join(shell(folder, "sync", "orders", "customers", "o"))
    assert "order-items" in offered
    assert "orders" not in offered


@SHELLS
def test_a_command_for_one_table_is_offered_no_second(shell, folder):
    assert not {"orders", "order-items"} & set(shell(folder, "reset", "orders", "o"))


@SHELLS
@pytest.mark.parametrize("flag", ["--config", "-c"])
@pytest.mark.parametrize("place", ["other.yaml", "~/other.yaml", "$HOME/other.yaml"])
def test_the_file_on_the_line_is_the_one_that_is_read(shell, flag, place, folder):
    (folder / "other.yaml").write_text("tables: {elsewhere: {}}")
    offered = shell(folder, "sync", flag, place, "e")
    assert "elsewhere" in " ".join(offered)
    assert "orders" not in " ".join(shell(folder, "sync", flag, place, "o"))


def test_bash_takes_a_flag_with_an_equals_sign_apart(folder):
    (folder / "other.yaml").write_text("tables: {elsewhere: {}}")
    assert bash(folder, "sync", "--config=other.yaml", "e") == ["elsewhere"]
    assert bash(folder, "tail", "--to", "duckdb:///x.duckdb", "cu") == ["customers"]


def test_bash_completes_after_a_command_within_a_command(folder):
    assert bash(folder, "schema", "in") == ["infer"]
    assert bash(folder, "schema", "infer", "cu") == ["customers"]
    assert bash(folder, "schema", "diff", "--output", "json", "order-") == ["order-items"]


def test_bash_replaces_only_what_follows_the_last_colon_of_an_arn(folder):
    assert bash(folder, "tail", "arn") == [f"{ARN}/remote", f"{ARN}/rest"]
    after = ARN.partition("arn:")[2]
    assert bash(folder, "tail", "arn:") == [f"{after}/remote", f"{after}/rest"]
    assert bash(folder, "tail", f"{ARN}/rem") == ["123456789012:table/remote".partition(":")[2]]
    assert bash(folder, "sync", f"{ARN}/rest", f"{ARN}/r") == ["table/remote"]


@SHELLS
def test_tables_of_the_environment_are_offered_too(shell, tmp_path):
    tables = '{"orders": {}, "users": {}}'
    assert "users" in " ".join(shell(tmp_path, "sync", "u", CONNECTOR_TABLES=tables))


@SHELLS
def test_the_file_that_the_environment_names_is_read(shell, folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    named = {"CONNECTOR_CONFIG": str(folder / "connector.yaml")}
    assert "customers" in " ".join(shell(elsewhere, "sync", "cus", **named))
    (elsewhere / "other.yaml").write_text("tables: {elsewhere: {}}")
    assert "customers" not in " ".join(shell(elsewhere, "sync", "-c", "other.yaml", "c", **named))
    assert "customers" not in " ".join(shell(elsewhere, "sync", "c", CONNECTOR_CONFIG="/no/file"))


@SHELLS
def test_the_other_spelling_of_the_files_name_is_read_too(shell, folder):
    (folder / "connector.yaml").rename(folder / "connector.yml")
    assert "customers" in " ".join(shell(folder, "sync", "cus"))


@pytest.mark.by_turns("shell")
@SHELLS
@pytest.mark.parametrize(
    "content",
    [
        None,
        b"",
        b"tables: {",
        b"tables: [orders]",
        b"tables: orders",
        b"- orders",
        b"\xff\xfe\x00",
        b"tables: {orders: {}, orders: {}}",
        b"tables: {1: {}}",
        b"folder",
    ],
)
def test_a_file_that_is_broken_or_absent_is_passed_over_in_silence(shell, content, tmp_path):
    file = tmp_path / "connector.yaml"
    if content == b"folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    assert "orders" not in " ".join(shell(tmp_path, "sync", "o"))
    assert "orders" not in " ".join(shell(tmp_path, "sync", "-c", "~nobody/x.yaml", "o"))


def test_a_wrong_variable_is_passed_over_in_silence(folder):
    assert bash(folder, "sync", "o", CONNECTOR_TABLES="{") == []
    assert bash(folder, "sync", "orders", CONNECTOR_ZZZ="1") == ["orders"]


def test_patterns_are_no_names(tmp_path):
    (tmp_path / "connector.yaml").write_text("tables: {'prod-*': {}, prod-orders: {}}")
    assert bash(tmp_path, "sync", "prod") == ["prod-orders"]


def test_nothing_heavy_is_imported_for_a_completion(folder):
    # typer itself needs pydantic; the models of the configuration are not made.
    heavy = (
        "boto3",
        "botocore",
        "duckdb",
        "pyarrow",
        "sqlalchemy",
        "msgspec",
        "connector.config.model",
    )
    code = (
        "import os, sys\n"
        "leave = os._exit\n"
        "def left(code):\n"
        f"    print(sorted(set({heavy}) & set(sys.modules)), flush=True)\n"
        "    leave(code)\n"
        "os._exit = left\n" + COMMAND
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=variables(
            folder,
            _CONNECTOR_COMPLETE="complete_bash",
            COMP_WORDS="connector\nsync\norders",
            COMP_CWORD="2",
        ),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
    )
    assert done.stdout.splitlines() == ["orders", "[]"], done.stderr


@pytest.mark.parametrize(
    ("words", "at", "rejoined", "before"),
    [
        (["connector", "sync", "a", ":", "b"], 4, ["connector", "sync", "b"], "a:"),
        (["connector", "sync", "a", ":"], 3, ["connector", "sync", ""], "a:"),
        (["connector", "a", ":", "b", ""], 4, ["connector", "a:b", ""], ""),
        (["connector", "a", ":", "b"], 4, ["connector", "a:b", ""], ""),
        (["connector", "-c", "=", "b"], 3, ["connector", "-c=b"], ""),
        (["connector", "u", ":", "//x", "y", "z"], 4, ["connector", "u://x", "y"], ""),
    ],
)
def test_words_that_bash_took_apart_are_put_together(words, at, rejoined, before):
    environment = {
        "_CONNECTOR_COMPLETE": "complete_bash",
        "COMP_WORDS": "\n".join(words),
        "COMP_CWORD": str(at),
    }
    rejoin(environment)
    assert environment["COMP_WORDS"].split("\n") == rejoined
    assert environment["_CONNECTOR_COMPLETE_BEFORE"] == before


def test_a_run_that_is_no_completion_is_left_alone():
    environment = {"COMP_WORDS": "a\n:", "COMP_CWORD": "1"}
    rejoin(environment)
    assert environment == {"COMP_WORDS": "a\n:", "COMP_CWORD": "1"}


class Terminal:
    """A shell with a terminal of its own."""

    def __init__(self, command: list[str], folder: Path) -> None:
        self.ours, theirs = pty.openpty()
        # Wide enough that no line is broken.
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, 500, 0, 0))
        programs = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self.process = subprocess.Popen(
            command,
            cwd=folder,
            env=variables(folder, PATH=programs, TERM="dumb", PS1="$ "),
            preexec_fn=lambda: os.login_tty(theirs),
        )
        os.close(theirs)
        self.written = b""

    def type(self, text: str, wanted: str) -> None:
        """Types, and waits until the shell has written something after that."""
        os.write(self.ours, text.encode())
        before = len(self.written)
        deadline = time.monotonic() + PATIENCE
        while wanted.encode() not in self.written[before:]:
            assert time.monotonic() < deadline, self.written
            self.written += os.read(self.ours, 65_536)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.ours)


PREPARE = {
    "bash": ("bash --norc --noprofile -i", ""),
    "zsh": ("zsh -f -i", "unsetopt zle_bracketed_paste; autoload -Uz compinit; compinit -u -D; "),
    "fish": ("fish --no-config --interactive", ""),
}


# Every machine has a bash; CI has all of them.
INSTALLED = list(PREPARE) if os.environ.get("CI") else [*filter(shutil.which, PREPARE)]


@pytest.mark.by_turns("shell")
@pytest.mark.parametrize("shell", INSTALLED)
def test_a_real_shell_completes(shell, folder):
    command, before = PREPARE[shell]
    load = {"fish": "connector --show-completion | source"}
    shown = load.get(shell, 'eval "$(connector --show-completion)"')
    terminal = Terminal(command.split(), folder)
    try:
        terminal.type(f'{before}{shown}; echo re""ady\n', "ready\r\n")
        terminal.type("connector tail cus\t", "customers ")
        terminal.type("\x15connector sync --to duckdb:///x.duckdb order-\t", "order-items ")
        if shell == "bash":
            terminal.type(f"\x15connector tail {ARN}/rem\t", f"connector tail {ARN}/remote ")
    finally:
        terminal.close()
