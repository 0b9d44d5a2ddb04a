"""The limits of a Postgres server."""

from connector.core.spec import Limits

NAME_BYTES = 63

# An entry of a btree has at most 2,704 bytes; the header of the entry, and of each of two texts
# with the padding before it, need no more than 29 of them.
LIMITS = Limits(nul=False, key_bytes=2675)
