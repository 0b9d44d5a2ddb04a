"""A mistake in the section of one table leaves the others in place."""

from pathlib import Path

import pytest

from connector.config.loading import load_each
from connector.errors import ConfigError

HEAD = "destination: {url: 'duckdb:///warehouse.duckdb'}\n"

# The sections of tables, those that are left out, and what is said of the first one.
MISTAKES = [
    ("orders: {layuot: packed}, users: {}", {"orders"}, "tables.orders.layuot is not a known key"),
    ("orders: sales, users: {}", {"orders"}, "tables.orders must be a section"),
    ("orders: {}, users: {into: '${NOT_SET}'}", {"users"}, "NOT_SET, which is not set"),
    ("orders: {max_columns: 0}, users: {on_gap: x}, c.d: {}", {"orders", "users"}, "at least 1"),
    ("orders: {}, users: {into: Orders}", {"users"}, "would both be written to"),
    ("'a b': {}, users: {}", {"a b"}, "is not the name of a DynamoDB table"),
    ("orders: {max_columns: x}", {"orders"}, "must be a whole number"),
]


def written(folder: Path, text: str) -> Path:
    """A connector.yaml."""
    file = folder / "connector.yaml"
    file.write_text(text)
    return file


@pytest.mark.parametrize(("tables", "left_out", "said"), MISTAKES)
def test_only_the_tables_that_are_wrong_are_left_out(tmp_path, tables, left_out, said):
    file = written(tmp_path, f"{HEAD}tables: {{{tables}}}\n")
    config, wrong = load_each(file, environment={})
    assert set(wrong) == left_out
    assert said in str(next(iter(wrong.values())))
    assert not left_out & set(config.tables)
    for error in wrong.values():
        assert "connector.yaml" in str(error) or "both be written" in str(error)


def test_a_file_without_mistakes_is_as_it_is(tmp_path):
    file = written(tmp_path, f"{HEAD}tables: {{orders: {{into: '${{NAME}}'}}, users: }}\n")
    config, wrong = load_each(file, environment={"NAME": "sales"})
    assert (list(config.tables), wrong) == (["orders", "users"], {})
    assert config.target("orders") == "sales"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}tables: {{orders: {{layuot: x}}}}\ntail: {{reeders: 1}}\n", "tail.reeders"),
        (f"{HEAD}tables: [orders]\n", "tables must be a section"),
        (f"{HEAD}tables: {{orders: , orders: }}\n", "has the key orders twice"),
        ("tables: {orders: {layuot: x}}\n", "There is no destination"),
    ],
)
def test_a_mistake_outside_of_the_tables_is_everybodys(tmp_path, text, said):
    with pytest.raises(ConfigError, match=said):
        load_each(written(tmp_path, text), environment={})
