"""Where a run may be killed, and what calls may meet."""

from typing import Any

FAILPOINTS = (
    "plan.before_commit",
    "plan.after_commit",
    "scan.after_page",
    "spool.before_rename",
    "spool.after_rename",
    "load.before_drop",
    "tail.after_read",
    "tail.after_fold",
    "witness.planned",
    "witness.committed",
    "witness.loaded",
)
FAULTS: tuple[tuple[str, str, tuple[Any, ...]], ...] = (
    ("throttle", "Scan", ()),
    ("html", "Scan", ()),
    ("cut_body", "Scan", ()),
    ("empty_page", "Scan", ()),
    ("wrong_checksum", "Scan", ()),
    ("without", "Scan", ("Items",)),
    ("limit_exceeded", "GetRecords", ()),
    ("throttle", "GetRecords", ("ThrottlingException",)),
    ("internal_server_error", "GetRecords", ()),
    ("expired_iterator", "GetRecords", ()),
    ("trimmed", "GetRecords", ()),
    ("wrong_body", "GetRecords", ()),
    ("html", "GetRecords", ()),
    ("cut_body", "GetRecords", ()),
    ("without", "GetRecords", ("Records",)),
    ("without", "GetRecords", ("NextShardIterator",)),
    ("cut_connection", "GetRecords", ()),
    ("throttle", "GetShardIterator", ("ThrottlingException",)),
    ("wrong_body", "GetShardIterator", ()),
    ("internal_server_error", "DescribeStream", ()),
    ("html", "DescribeStream", ()),
    ("limit_exceeded", "DescribeStream", ()),
    ("unavailable", "DescribeTable", ()),
)
