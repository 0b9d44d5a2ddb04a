"""Drawn histories with kills and faults always end in equality, in every kind of destination."""

from pathlib import Path

import pytest

from tests.rigs.combinations import amount
from tests.rigs.scripted import ScriptedDynamoDB

from .drawn import play_drawn
from .replica import Followed


@pytest.mark.parametrize("seed", range(amount(16, by_turns=2)))
def test_whatever_happens_the_replica_becomes_equal(virtual: ScriptedDynamoDB, seed: int) -> None:
    play_drawn(Followed(virtual, shards=1 + seed % 3), seed, actions=40)


@pytest.mark.parametrize("seed", range(100, 100 + amount(3, by_turns=1)))
def test_the_same_in_a_duckdb_file(virtual: ScriptedDynamoDB, tmp_path: Path, seed: int) -> None:
    play_drawn(Followed(virtual, folder=tmp_path, shards=2), seed, actions=25)


@pytest.mark.parametrize("seed", range(200, 200 + amount(3, by_turns=1)))
def test_the_same_in_postgres(
    virtual: ScriptedDynamoDB, tmp_path: Path, postgres: object, seed: int
) -> None:
    play_drawn(Followed(virtual, folder=tmp_path, postgres=postgres), seed, actions=25)
