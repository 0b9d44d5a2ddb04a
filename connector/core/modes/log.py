"""The log of a table: a row for each change that its source reported."""

import pyarrow as pa

from connector.core.names import CHANGED_AT

LOG = pa.schema(
    [
        pa.field("_op", pa.string()),
        pa.field("_expired", pa.bool_()),
        pa.field(CHANGED_AT, pa.timestamp("us", "UTC")),
        pa.field("_sequence", pa.string()),
        pa.field("_partition", pa.string()),
        pa.field("_before", pa.json_()),
        pa.field("_after", pa.json_()),
    ]
)
"""The columns of the log after those of the key, and before `_commit`."""
