"""Tables of rows as a stream that a database reads."""

from collections.abc import Iterable, Iterator

import pyarrow as pa

from connector.destinations.commits.staging import Layout, without_rest
from connector.destinations.table.drift import Watch


class Feed:
    """Tables of rows on their way into the database, one at a time.

    It stops before the first table that needs a column `_rest` that is not there yet.
    """

    def __init__(
        self,
        tables: Iterable[pa.Table],
        watch: Watch,
        rows_at_once: int | None = None,
    ) -> None:
        self._tables = iter(tables)
        self._watch = watch
        self._rows_at_once = rows_at_once
        self._waiting: pa.Table | None = None
        self._ended = False
        self.needs_rest = False
        self.left_over = False
        """Whether an attribute of a row had no column."""
        self.failure: BaseException | None = None

    @property
    def ended(self) -> bool:
        """Whether every table was read."""
        return self._ended

    def reader(self, layout: Layout) -> pa.RecordBatchReader:
        """The rows up to the end or the stop, staged."""
        nothing = layout.stage(pa.table({}))
        return pa.RecordBatchReader.from_batches(nothing.schema, self._batches(layout))

    def _batches(self, layout: Layout) -> Iterator[pa.RecordBatch]:
        try:
            while (rows := self._next()) is not None:
                if not len(rows):
                    continue
                rows = layout.placed(rows)
                self.left_over = self.left_over or layout.leaves_over(rows)
                if not layout.rest:
                    if layout.overflows(rows):
                        self._waiting, self.needs_rest = rows, True
                        return
                    rows = without_rest(rows)
                self._watch.see(rows)
                yield from layout.stage(rows).to_batches(self._rows_at_once)
        except BaseException as error:
            # The database that reads this would replace our error by one of its own.
            self.failure = error
            raise

    def _next(self) -> pa.Table | None:
        rows, self._waiting = self._waiting, None
        if rows is None:
            rows = next(self._tables, None)
        self._ended = rows is None
        return rows
