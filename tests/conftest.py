"""Makes the rigs known to every test."""

import gc

import pytest

from tests.rigs import botocore_once

pytest_plugins = [
    "tests.rigs.combinations",
    "tests.rigs.fixtures",
    "tests.rigs.same_folder",
    "tests.rigs.skips",
]
botocore_once.install()
# Until everything is imported and collected there is nothing to be freed.
gc.disable()


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
    gc.set_threshold(20_000, 20, 100)
    gc.enable()
