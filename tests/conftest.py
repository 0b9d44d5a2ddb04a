"""Makes the rigs known to every test."""

import pytest

pytest_plugins = ["tests.rigs.fixtures", "tests.rigs.skips"]


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """One process starts DynamoDB Local, which takes seconds, and runs whatever needs it."""
    for item in items:
        names = getattr(item, "fixturenames", ())
        if "dynamodb_local" in names or "[local" in item.name:
            item.add_marker(pytest.mark.xdist_group("dynamodb_local"))
