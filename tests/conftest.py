"""Makes the rigs known to every test."""

import atexit
import contextlib
import gc
import importlib
import os
import shutil
import tempfile
from pathlib import Path

import pytest

from tests.rigs import botocore_once, ready

pytest_plugins = [
    "tests.rigs.combinations",
    "tests.rigs.fixtures",
    "tests.rigs.same_folder",
    "tests.rigs.skips",
]
TESTS = Path(__file__).parent
botocore_once.install()
# Until everything is imported and collected there is nothing to be freed.
gc.disable()


def pytest_configure(config: pytest.Config) -> None:
    """What workers share has its place; and a worker ends as soon as it has done its work."""
    if hasattr(config, "workerinput"):
        # To take apart what was imported takes a second. What tests register comes before.
        atexit.register(os._exit, 0)
    else:
        folder = os.environ[ready.FOLDER] = tempfile.mkdtemp(prefix="ready-")
        atexit.register(shutil.rmtree, folder)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Each worker begins with other files: what pytest makes of a file, once, is kept for all."""
    worker = getattr(session.config, "workerinput", None)
    if worker is None or session.config.option.file_or_dir:
        return
    files = sorted(TESTS.rglob("test_*.py"))
    number = int(worker["workerid"].removeprefix("gw"))
    for file in files[number :: worker["workercount"]]:
        # What cannot be imported is told when it is collected.
        with contextlib.suppress(Exception):
            importlib.import_module(".".join(file.relative_to(TESTS.parent).with_suffix("").parts))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process starts each emulator, which takes seconds, and runs whatever needs it."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "dynamodb_local" in names or "[local" in item.name:
            item.add_marker(pytest.mark.xdist_group("dynamodb_local"))
        if "ministack" in names or "[ministack" in item.name:
            item.add_marker(pytest.mark.xdist_group("ministack"))


def pytest_collection_finish() -> None:
    """What was imported and collected stays: it is not looked through for garbage again and again.

    What a test makes is young, and is still found.
    """
    gc.freeze()
    # Else libraries say at the very end that something of them was not taken apart.
    atexit.register(gc.unfreeze)
    gc.set_threshold(20_000, 20, 100)
    gc.enable()
