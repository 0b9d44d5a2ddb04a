"""A table without a server, whose exports go to a folder."""

import pytest

from tests.rigs.scripted import Key, KeySchema, ScriptedDynamoDB, Table

SCHEMA = KeySchema(Key("id"))


@pytest.fixture
def table() -> Table:
    """An empty table; no server runs."""
    return ScriptedDynamoDB().create_table("orders", SCHEMA)
