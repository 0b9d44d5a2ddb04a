"""Rows as they are staged for Postgres, which keeps the short values of a row in one page."""

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from connector.core.rows import ITEM, pack, schema_of
from connector.core.schema import Kind, Type
from connector.destinations.commits.staging import Layout
from connector.destinations.postgres.types import ALWAYS_FIT, staged_value
from connector.destinations.sql import quoted

# A page has 8,160 bytes for a row. Of them the row's header, its map of nulls for 1,600 columns
# and the service columns need less than 300; the rest is left for a user's own columns.
_ROW_BYTES = 7600
# A longer value is moved out of the row, and leaves a pointer that is shorter than this.
_VALUE_BYTES = 24
# A bigint begins at a multiple of eight bytes.
_INTEGER_BYTES = 8 + 7
# Therefore ALWAYS_FIT columns fit whatever their values are: 310 × 24 < 7,600.


@dataclass(frozen=True)
class PostgresLayout(Layout):
    """A layout in which a row that is too wide keeps its later attributes in `_rest`."""

    def overflows(self, rows: pa.Table) -> bool:
        """Whether only `_rest` can hold some part of the rows."""
        return super().overflows(rows) or self._too_wide(rows) is not None

    def stage(self, rows: pa.Table) -> pa.Table:
        """The rows in the table's own types, under their staged names."""
        wide = self._too_wide(rows) if self.rest else None
        if wide is None:
            return super().stage(rows)
        packed = pack(rows.filter(wide), self._late(rows))
        others = rows.filter(pc.invert(wide))
        return pa.concat_tables([super().stage(others), super().stage(packed)])

    def key_of_staged(self, table: str, staged: str) -> str:
        """A condition that a row of the table and a staged row share a key."""
        return " AND ".join(
            f"{table}.{quoted(column.name)} = {staged_value(f'{staged}.{name}', column.type)}"
            for name, column in self.keys_staged
        )

    def _late(self, rows: pa.Table) -> list[str]:
        """The rows' attributes with columns beyond those that always fit."""
        late = set(list(self.columns)[ALWAYS_FIT:])
        return [name for name in schema_of(rows.schema) if name in late]

    def _too_wide(self, rows: pa.Table) -> pa.ChunkedArray | None:
        """Which rows may not fit; None if all of them do, which is nearly always."""
        types = {
            name: type_ for name, type_ in schema_of(rows.schema).items() if name in self.columns
        }
        if len(types) <= ALWAYS_FIT:
            return None
        widths = pa.chunked_array([pa.nulls(len(rows), pa.int32()).fill_null(0)])
        for name in types:
            width = _width(rows.column(ITEM + name), self.columns[name].type)
            widths = pc.add(widths, width.fill_null(0))
        wide = pc.greater(widths, _ROW_BYTES)
        return wide if pc.any(wide).as_py() else None


def _width(values: pa.ChunkedArray, type_: Type) -> pa.ChunkedArray:
    """The most bytes that each value takes inside its row; null for no value."""
    if type_.kind in (Kind.STRING, Kind.BINARY):
        lengths = pc.add(pc.binary_length(values).cast(pa.int32()), 1)
        return pc.min_element_wise(lengths, _VALUE_BYTES, skip_nulls=False)
    bytes_ = {Kind.BOOLEAN: 1, Kind.INTEGER: _INTEGER_BYTES}.get(type_.kind, _VALUE_BYTES)
    return pc.if_else(pc.is_valid(values), bytes_, 0)
