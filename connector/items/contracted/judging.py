"""Judges the values of declared columns: what fits is cast, what does not is set apart."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from connector.core.contracts.contract import Contract, Declared, Policy, word_of
from connector.core.keys import KeySchema, key_text, stored_part
from connector.core.rows import ITEM, MISFITS, convert, schema_of
from connector.core.schema import JSON, Type
from connector.core.texts import json_text
from connector.errors import ContractBroken
from connector.items import columns, values
from connector.items.contracted import casts
from connector.items.shapes import ABSENT, CONTENTS, Shape, column_of

_CASTS: dict[str, Callable[[Declared, Sequence[Any]], tuple[pa.Array, pa.Array]]] = {
    "S": lambda entry, found: _each(entry, pa.array(found, pa.string()), casts.of_texts),
    "N": lambda entry, found: _numbers(entry, columns.canonical_numbers(found)),
    "BOOL": lambda entry, found: _each(entry, pa.array(found, pa.bool_()), casts.of_booleans),
    "B": lambda entry, found: _each(entry, columns.of_one_tag("B", found)[1], casts.of_binaries),
}
"""What values of one type at the source are in a declared one, after these themselves."""


def _each(
    entry: Declared, found: pa.Array, cast: Callable[[Declared, pa.Array], pa.Array]
) -> tuple[pa.Array, pa.Array]:
    return found, cast(entry, found)


def _numbers(entry: Declared, found: pa.Array) -> tuple[pa.Array, pa.Array]:
    whole = pa.types.is_int64(found.type)
    return _each(entry, found, casts.of_integers if whole else casts.of_numbers)


@dataclass(frozen=True)
class Judged:
    """Rows that the contract accepts, and the reason for each of the others, by its place."""

    rows: pa.Table
    refused: Mapping[int, str] = field(default_factory=dict)
    misfits: Mapping[str, int] = field(default_factory=dict)
    """How many values did not fit, by attribute."""


class Judge:
    """Holds the rows of one table against its contract, a page at a time."""

    def __init__(self, contract: Contract, table: str, row_keys: KeySchema) -> None:
        keys = {key.name for key in row_keys}
        self._entries = {n: each for n, each in contract.judged.items() if n not in keys}
        self._policy = contract.policy
        self._table = table
        self._row_keys = row_keys
        self._misfits: dict[str, dict[int, str]] = {}

    @property
    def names(self) -> list[str]:
        """The attributes that are judged, which have a column in every table of rows."""
        return list(self._entries)

    def casts(self, name: str) -> bool:
        """Whether an attribute has a declared type."""
        entry = self._entries.get(name)
        return entry is not None and entry.type is not None

    def begin(self) -> None:
        """Begins a page."""
        self._misfits = {}

    def of_shape(self, name: str, found: Sequence[Any], shape: Shape) -> tuple[Type, pa.Array]:
        """The column of an attribute's decoded values. Raises Malformed."""
        entry = self._entries[name]
        if entry.type == JSON:
            made = column_of(found, shape)
            return _as_json(made) if made else (JSON, pa.nulls(len(found), JSON.arrow))
        parts = {tag: CONTENTS[tag](found) for tag in shape.tags if tag in _CASTS}
        others: dict[int, str] = {}
        if parts.keys() != shape.tags or len(parts) > 1:
            present = [value is not ABSENT for value in found]
            # This also makes sure that each value has exactly one type.
            texts = shape.texts(list(compress(found, present))).to_pylist()
            for index, text in zip(compress(range(len(found)), present), texts, strict=True):
                if text != "null" and all(part[index] is None for part in parts.values()):
                    others[index] = text
        return self._cast(name, entry, parts, others, len(found))

    def of_cells(self, name: str, cells: Sequence[columns.Cell | None]) -> tuple[Type, pa.Array]:
        """The column of an attribute's values that are given with their tags. Raises Malformed."""
        entry = self._entries[name]
        if entry.type == JSON:
            return _as_json(columns.of_cells(cells))
        tags = {cell[0] for cell in cells if cell is not None}
        parts = {
            tag: [cell[1] if cell is not None and cell[0] == tag else None for cell in cells]
            for tag in tags & _CASTS.keys()
        }
        others = {
            index: json_text(values.plain_content(*cell))
            for index, cell in enumerate(cells)
            if cell is not None and cell[0] not in parts and cell[0] != "NULL"
        }
        return self._cast(name, entry, parts, others, len(cells))

    def _cast(
        self,
        name: str,
        entry: Declared,
        parts: Mapping[str, Sequence[Any]],
        others: Mapping[int, str],
        count: int,
    ) -> tuple[Type, pa.Array]:
        assert entry.type is not None
        misfits = dict(others)
        made: list[pa.Array] = []
        for tag, contents in parts.items():
            found, cast = _CASTS[tag](entry, contents)
            made.append(cast)
            if cast.null_count > found.null_count:
                wrong = pc.and_(pc.is_valid(found), pc.is_null(cast))
                for index in pc.indices_nonzero(wrong).to_pylist():
                    misfits[index] = json_text(values.plain_content(tag, contents[index]))
        if misfits:
            self._misfits[name] = misfits
        if not made:
            return entry.type, pa.nulls(count, entry.type.arrow)
        return entry.type, made[0] if len(made) == 1 else pc.coalesce(*made)

    def done(self, rows: pa.Table, whole: Sequence[bool] | None = None) -> Judged:
        """The page's rows as the contract leaves them.

        A row of which only the key is known is not `whole`, and lacks nothing. Raises
        ContractBroken for a row that does not fit, if the table is to stop then.
        """
        misfits, self._misfits = self._misfits, {}
        absent = self._absent(rows, misfits, whole)
        if not misfits and not absent:
            return Judged(rows)
        if self._policy is Policy.FAIL:
            raise self._broken(rows, misfits, absent)
        counts = {
            name: len(misfits.get(name, ())) + len(absent.get(name, ())) for name in self.names
        }
        counts = {name: count for name, count in counts.items() if count}
        if self._policy is not Policy.QUARANTINE:
            return Judged(_apart(rows, misfits), misfits=counts)
        refused = self._reasons(misfits, absent)
        stays = pa.array([index not in refused for index in range(len(rows))], pa.bool_())
        return Judged(rows.filter(stays), refused, counts)

    def _absent(
        self,
        rows: pa.Table,
        misfits: Mapping[str, Mapping[int, str]],
        whole: Sequence[bool] | None,
    ) -> dict[str, list[int]]:
        """The places of rows that lack a required attribute."""
        found: dict[str, list[int]] = {}
        for name, entry in self._entries.items():
            if not entry.required:
                continue
            there = ITEM + name in rows.column_names
            nulls = pc.is_null(rows.column(ITEM + name)) if there else None
            if nulls is not None and not pc.any(nulls).as_py():
                continue
            places = range(len(rows)) if nulls is None else pc.indices_nonzero(nulls).to_pylist()
            elsewhere = misfits.get(name, {})
            lacking = [i for i in places if i not in elsewhere and (whole is None or whole[i])]
            if lacking:
                found[name] = lacking
        return found

    def _reasons(
        self, misfits: Mapping[str, Mapping[int, str]], absent: Mapping[str, Sequence[int]]
    ) -> dict[int, str]:
        reasons: dict[int, str] = {}
        for name, entry in self._entries.items():
            for index in misfits.get(name, ()):
                reasons.setdefault(index, f"{name} {_unfit(entry)}")
            for index in absent.get(name, ()):
                reasons.setdefault(index, f"{name} is required, and absent or null")
        return dict(sorted(reasons.items()))

    def _broken(
        self,
        rows: pa.Table,
        misfits: Mapping[str, Mapping[int, str]],
        absent: Mapping[str, Sequence[int]],
    ) -> ContractBroken:
        index, reason = next(iter(self._reasons(misfits, absent).items()))
        types = schema_of(rows.schema)
        parts = [
            stored_part(types[key.name], rows.column(ITEM + key.name)[index].as_py())
            for key in self._row_keys
        ]
        return ContractBroken(
            f"{self._table}: {reason}, in the item with the key {key_text(parts)}.",
            "Nothing of this batch was written. Correct the item at the source or the entry in "
            f"tables.{self._table}.columns, or set tables.{self._table}.contract to evolve or "
            "quarantine.",
        )


def _unfit(entry: Declared) -> str:
    assert entry.type is not None
    return f"does not fit its declared type {word_of(entry.type)}" + (
        f" from {entry.format}" if entry.format else ""
    )


def _as_json(made: tuple[Type, pa.Array]) -> tuple[Type, pa.Array]:
    return JSON, convert(pa.chunked_array([made[1]]), made[0], JSON).combine_chunks()


def _apart(rows: pa.Table, misfits: Mapping[str, Mapping[int, str]]) -> pa.Table:
    """The rows with the values that do not fit, by attribute."""
    members: dict[int, dict[str, Raw]] = {}
    for name, each in misfits.items():
        for index, text in each.items():
            members.setdefault(index, {})[name] = Raw(text.encode())
    if not members:
        return rows
    texts = [json_text(members[i]) if i in members else None for i in range(len(rows))]
    return rows.append_column(MISFITS, pa.array(texts, pa.string()).cast(MISFITS.type))
