"""The tests notice when a part of the protocol is missing."""

from pathlib import Path

import pytest

from tests.rigs.combinations import turn

from .mutations import MUTATIONS, Mutation, failures, mutate


def test_each_part_of_the_protocol_is_missed_by_a_named_test() -> None:
    """Fold, parent gate, proof of the end, tombstones, compare-and-set: none is for show."""
    assert len(MUTATIONS) == 5
    assert not failures(turn(MUTATIONS, 0, at_once=2))


def test_a_mutation_of_code_that_has_changed_is_an_error(tmp_path: Path) -> None:
    """Else it would take nothing out, and prove nothing."""
    (tmp_path / "connector").mkdir()
    (tmp_path / "connector" / "x.py").write_text("other = 1\n")
    with pytest.raises(AssertionError, match="is not once in"):
        mutate(tmp_path, Mutation("a part", "x.py", "this = 1", "", ""))
