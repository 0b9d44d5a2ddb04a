"""Counts values that do not fit the declared type of their column, as rows are written."""

from collections import Counter

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
from msgspec import Raw

from connector.core.contracts.contract import NO_CONTRACT, Contract
from connector.core.rows import DELETED, ITEM, MARKED, MISFITS


class MisfitCount:
    """How many values of each column did not fit, or were required and absent."""

    def __init__(self, contract: Contract = NO_CONTRACT) -> None:
        self._required = [name for name, entry in contract.columns if entry.required]
        self._judges = bool(contract.judged)
        self.found: Counter[str] = Counter()

    def see(self, rows: pa.Table) -> None:
        """Counts in rows in the format of `core.rows`."""
        if not self._judges or not len(rows):
            return
        elsewhere: Counter[str] = Counter()
        if MISFITS.name in rows.column_names:
            for text in rows.column(MISFITS.name).cast(pa.string()).drop_null().to_pylist():
                elsewhere.update(msgspec.json.decode(text, type=dict[str, Raw]).keys())
        whole = rows
        for flag in (DELETED.name, MARKED.name) if self._required else ():
            if flag in whole.column_names:
                whole = whole.filter(pc.invert(whole.column(flag)))
        for name in self._required:
            there = ITEM + name in whole.column_names
            nulls = whole.column(ITEM + name).null_count if there else len(whole)
            self.found[name] += max(0, nulls - elsewhere[name])
        self.found.update(elsewhere)
        self.found = +self.found
