"""Changes for the quarantine, without what a table's rules hide."""

from connector.core.changes.change import Change, Misplaced
from connector.core.cursors import Quarantined
from connector.core.keys import KeySchema, key_text
from connector.items.keys import key_text_in
from connector.items.ruled.ruling import Ruling


def misplaced(
    ruling: Ruling | None, keys: KeySchema, partition: str, bad: Misplaced
) -> Quarantined:
    """A change without a position, for the quarantine."""
    if ruling is None:
        return Quarantined(partition, bad.reason, bad.raw, key_text_in(keys, bad.key))
    reason, raw = ruling.quarantined(bad.reason, ruling.shown_record(bad.raw))
    return Quarantined(partition, reason, raw, ruling.key_text_in(bad.key))


def quarantined(
    ruling: Ruling | None,
    partition: str,
    change: Change,
    key: tuple[str, ...] | None,
    reason: str,
    item: bytes | None = None,
) -> Quarantined:
    """A change for the quarantine; `item` is the one that was found if it has none itself."""
    reason = change.flaw or reason
    if ruling is not None:
        shown = ruling.shown_record(change.raw) if item is None else ruling.shown(item)
        reason, raw = ruling.quarantined(reason, shown)
        key = ruling.key(key) if key else None
    else:
        raw = change.raw if item is None else item.decode(errors="backslashreplace")
    return Quarantined(
        partition=partition,
        reason=reason,
        raw=raw,
        key=key_text(key) if key else None,
        sequence=change.token or None,
    )
