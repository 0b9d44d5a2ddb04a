"""A table's spec as plain values, for a worker that has no access to the destination."""

import json

import pytest

from connector.core.spec import Deletes, TableSpec, spec_of

SPECS = [
    TableSpec(),
    TableSpec(layout="packed", max_columns=3),
    TableSpec(deletes=Deletes.IGNORE_TTL),
    TableSpec(snapshot="export", follow="none"),
]


@pytest.mark.parametrize("spec", SPECS)
def test_a_spec_survives_json(spec: TableSpec) -> None:
    assert spec_of(json.loads(json.dumps(spec.plain()))) == spec


def test_a_usual_spec_takes_no_room() -> None:
    assert TableSpec().plain() == {}
    assert TableSpec(max_columns=3).plain() == {"max_columns": 3}


def test_all_fields_may_be_there() -> None:
    whole = {"layout": "columns", "max_columns": 500, "deletes": "apply", "follow": "stream"}
    assert spec_of(whole) == TableSpec()
