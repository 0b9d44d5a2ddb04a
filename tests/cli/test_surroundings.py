"""Folders, files and homes that cannot be used: one sentence each, and nothing is lost."""

import errno
import os
import shutil
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from connector.cli.runs.leaving import leave_with
from tests.pipeline.replica import ORDERS
from tests.rigs import duckdb_file

from .program import Done, Program, fingerprints
from .test_streams import Left, behind, each_behind

# What its tests share is made once, by one process.
pytestmark = pytest.mark.xdist_group("cli_surroundings")

LONG = "x" * 300
DROPPED = "--bounding-set=-dac_override,-dac_read_search"


def mortal() -> str:
    """What makes a run of root obey permissions as any other user's does."""
    if os.geteuid() != 0:
        return '"$@"'
    tried = subprocess.run(["setpriv", DROPPED, "true"], capture_output=True)
    if tried.returncode:
        pytest.skip(f"root can read and write everything here: {tried.stderr.decode()}")
    return f'setpriv {DROPPED} "$@"'


def assert_refused(left: Done | Left, says: str) -> None:
    """One error with a hint, of the kind that a person mends."""
    code, stderr = left.code, left.stderr
    assert code == 2, stderr
    (error,) = [line for line in stderr.splitlines() if line.startswith("Error: ")]
    assert says in error
    assert len([line for line in stderr.splitlines() if line.startswith("Hint: ")]) == 1
    assert "unexpected" not in stderr


def listen(path: Path) -> None:
    """A socket."""
    with socket.socket(socket.AF_UNIX) as made:
        # The path of a socket may have a hundred characters.
        before = Path.cwd()
        os.chdir(path.parent)
        made.bind(path.name)
        os.chdir(before)


ODD_FILES: dict[str, tuple[str, Callable[[Path], object], str]] = {
    "a loop": ("x", lambda path: path.symlink_to("x"), "Too many levels of symbolic links"),
    "below a loop": ("x/y", lambda path: path.parent.symlink_to("x"), "symbolic links"),
    "too long": (LONG, lambda path: None, "File name too long"),
    "too deep": ("y/" * 3000 + "y", lambda path: None, "File name too long"),
    "below a file": ("x/y", lambda path: path.parent.write_text(""), "Not a directory"),
    "a pipe": ("x", os.mkfifo, "a pipe"),
    "a socket": ("x", listen, "a socket"),
    "a device": ("/dev/null", lambda path: None, "a device"),
    "a folder": ("x", Path.mkdir, "a folder"),
    "in no folder": ("x/y", lambda path: None, "The folder"),
}


@pytest.mark.parametrize(("name", "make", "says"), ODD_FILES.values(), ids=ODD_FILES)
def test_what_can_be_no_duckdb_file_is_refused(
    program: Program, name: str, make: Callable[[Path], object], says: str
) -> None:
    make(program.folder / name)
    before = fingerprints(program.folder)
    done = program("check", ORDERS, "--to", f"duckdb:///{name}")
    # The spool, which lies beside the file, may have no place either.
    assert_refused(done, "")
    assert says in done.stdout
    for command in (["sync", ORDERS], ["status"], ["query", "SELECT 1"]):
        if says == "The folder" and command[0] in ("status", "query"):
            continue
        assert_refused(program(*command, "--to", f"duckdb:///{name}"), says)
    assert fingerprints(program.folder) == before


@pytest.mark.parametrize("name", ["a loop", "too long", "below a file", "a folder", "a socket"])
def test_what_can_be_no_configuration_is_refused(program: Program, name: str) -> None:
    path, make, _ = ODD_FILES[name]
    make(program.folder / path)
    assert_refused(program("status", "-c", path), f"{path} cannot be read")


@pytest.mark.by_turns("name", "more", at_once=2)
@pytest.mark.parametrize("name", ["a loop", "below a loop", "too long", "below a file", "a pipe"])
@pytest.mark.parametrize("more", [[], ["--workers", "2", "--segments", "3"]])
def test_a_spool_that_cannot_be_written_loses_nothing(
    program: Program, name: str, more: list[str]
) -> None:
    path, make, _ = ODD_FILES[name]
    make(program.folder / path)
    spoiled = program.with_(CONNECTOR_SPOOL=path)
    refused = spoiled("sync", ORDERS, *more, *program.to)
    assert_refused(refused, f"The spool {program.folder / path} cannot be")
    assert program("sync", ORDERS, *program.to).code == 0
    with duckdb_file.opened(program.file, read_only=True) as connection:
        assert connection.execute("SELECT count(*) FROM orders").fetchall() == [(40,)]


def test_a_link_to_a_file_that_is_to_come_is_followed(program: Program) -> None:
    (program.folder / "x").symlink_to("made.duckdb")
    assert program("sync", ORDERS, "--to", "duckdb:///x").code == 0
    assert (program.folder / "made.duckdb").is_file()


def test_a_current_folder_that_is_gone_is_needed_for_relative_paths_only(program: Program) -> None:
    gone = 'mkdir gone; cd gone; rmdir ../gone; "$@"'
    config = program.folder / "here.yaml"
    config.write_text(f"destination: {{url: 'duckdb:///{program.file}'}}\nspool: s\n")
    lines = {
        ("sync", ORDERS, *program.to): "",
        ("query", "FROM orders", *program.to): "",
        ("sync", ORDERS, "--to", "duckdb:///x"): "x is relative",
        ("demo", "--file", "x"): "x is relative",
        ("status", "-c", str(config)): "",
        ("status", "-c", "here.yaml"): "no file here.yaml",
    }
    for left, says in zip(each_behind(gone, program, *lines), lines.values(), strict=True):
        if says:
            assert_refused(left, says)
        else:
            assert left.code == 0, left.stderr
    workers = ["--full-refresh", "--workers", "2", "--segments", "3"]
    assert behind(gone, program, "snapshot", ORDERS, *workers, *program.to).code == 0


def test_a_current_folder_that_cannot_be_read_is_refused_unless_a_file_is_named(
    synced: Program,
) -> None:
    shell = mortal()
    locked = synced.folder / "locked"
    locked.mkdir(mode=0o000)
    config = synced.folder / "here.yaml"
    config.write_text(f"destination: {{url: 'duckdb:///{synced.file}'}}\n")
    there = f"cd locked; {shell}"
    if os.geteuid() != 0:
        pytest.skip("only root can go to a folder that it cannot read")
    refused, shown = each_behind(
        there, synced, ("status", *synced.to), ("status", "-c", str(config))
    )
    assert_refused(refused, "current folder")
    assert shown.code == 0
    locked.chmod(0o700)


def test_a_folder_that_cannot_be_written_is_named_and_can_be_read(synced: Program) -> None:
    shell = mortal()
    folder = synced.folder / "fixed"
    folder.mkdir()
    shutil.copy(synced.file, folder / "old.duckdb")
    folder.chmod(0o500)
    before = fingerprints(folder)
    new, old = ("--to", "duckdb:///fixed/new.duckdb"), ("--to", "duckdb:///fixed/old.duckdb")
    query = ("query", "SELECT count(*) AS n FROM orders", *old)
    to_new, to_old, asked = each_behind(
        shell, synced, ("sync", ORDERS, *new), ("sync", ORDERS, *old), query
    )
    assert_refused(to_new, "new.duckdb cannot be opened")
    assert_refused(to_old, "old.duckdb cannot be opened")
    assert (asked.code, asked.stdout.split()) == (0, [b"n", b"40"])
    (folder / "old.duckdb").chmod(0o000)
    left = behind(shell, synced, "status", *old)
    assert_refused(left, "old.duckdb cannot be opened")
    (folder / "old.duckdb").chmod(0o600)
    folder.chmod(0o700)
    assert fingerprints(folder) == before


@pytest.mark.by_turns("mode")
@pytest.mark.parametrize("mode", [0o500, 0o000])
def test_a_spool_that_may_not_be_written_loses_nothing(program: Program, mode: int) -> None:
    shell = mortal()
    spool = program.folder / "spool"
    spool.mkdir(mode=mode)
    spooling = program.with_(CONNECTOR_SPOOL="spool")
    assert_refused(behind(shell, spooling, "sync", ORDERS, *program.to), "spool")
    spool.chmod(0o700)
    assert spooling("sync", ORDERS, *program.to).code == 0


@pytest.mark.by_turns("home")
@pytest.mark.parametrize("home", ["unset HOME", "export HOME=", "export HOME=/nowhere"])
def test_no_home_is_needed(synced: Program, home: str) -> None:
    tail, at_home = ("tail", ORDERS, *synced.to), ("sync", ORDERS, "--to", "duckdb:///~/x.duckdb")
    tailed, left = each_behind(f'{home}; "$@"', synced, tail, at_home)
    assert tailed.code == 0, tailed.stderr
    if home == "export HOME=":
        assert_refused(left, "HOME")
    elif home != "unset HOME":
        assert_refused(left, "The folder /nowhere does not exist")


def test_a_home_in_which_nothing_can_be_installed_is_named(program: Program) -> None:
    home = program.folder / "home"
    home.write_text("")
    # A shell that waits is the one that completion is for.
    shell = '"$@"; exit $?'
    left = behind(shell, program.with_(HOME=str(home)), "--install-completion")
    assert (left.code, "Traceback" in left.stderr) == (2, False)
    assert str(home) in left.stderr


REFUSALS = {
    OSError(errno.EMFILE, "Too many open files"): (4, "Too many open files"),
    OSError(errno.ENOSPC, "No space left on device", "/x"): (4, "/x: No space left"),
    OSError(errno.EIO, "Input/output error"): (4, "Input/output error"),
    PermissionError(errno.EACCES, "Permission denied", "/x"): (2, "/x cannot be used"),
    MemoryError(): (4, "not enough memory"),
    ValueError("4711"): (1, "unexpected ValueError"),
    OSError("4711"): (1, "unexpected OSError"),
    OSError(errno.EINVAL, "Invalid argument"): (1, "unexpected OSError"),
}


@pytest.mark.parametrize(("error", "wanted"), REFUSALS.items(), ids=str)
def test_what_the_system_refuses_is_no_bug(
    error: Exception, wanted: tuple[int, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as left, leave_with():
        raise error
    said = capsys.readouterr().err
    assert (left.value.exit_code, "4711" in said) == (wanted[0], False)
    assert wanted[1] in said
    assert said.count("Hint: ") == 1
    assert "nothing of the current batch" not in said
