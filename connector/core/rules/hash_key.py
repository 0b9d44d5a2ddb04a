"""The key of all digests. It is in the environment alone: no file, log or error ever holds it."""

import hmac
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256

from connector.errors import ConfigError

VARIABLE = "CONNECTOR_HASH_KEY"
SHORT = 16
"""With fewer characters than this, a key can be found by trying."""

_BLOCK = 64
_CHECK = b"\0connector: the check value of a hash key"
_CHECK_DIGITS = 32


class HashKey:
    """The key of HMAC-SHA-256. Its text is shown by nothing that is derived from this."""

    def __init__(self, key: bytes) -> None:
        padded = (sha256(key).digest() if len(key) > _BLOCK else key).ljust(_BLOCK, b"\0")
        # Copies of hashes that have read the padded key are twice as fast as the module hmac.
        self._inner = sha256(bytes(each ^ 0x36 for each in padded))
        self._outer = sha256(bytes(each ^ 0x5C for each in padded))
        self._key = key
        self.short = len(key) < SHORT

    def digest(self, content: bytes) -> str:
        """The digest of some bytes, as hex."""
        inner = self._inner.copy()
        inner.update(content)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()

    def digests(self, texts: Sequence[str | None]) -> list[str | None]:
        """The digests of many texts, faster than one by one."""
        inner_of, outer_of = self._inner.copy, self._outer.copy
        digests: list[str | None] = []
        for text in texts:
            if text is None:
                digests.append(None)
                continue
            inner = inner_of()
            inner.update(text.encode())
            outer = outer_of()
            outer.update(inner.digest())
            digests.append(outer.hexdigest())
        return digests

    @property
    def check(self) -> str:
        """Tells one key from another, and nothing about either."""
        return self.digest(_CHECK)[:_CHECK_DIGITS]

    def derived(self, purpose: bytes) -> bytes:
        """A key of 32 bytes for another purpose: HKDF-SHA-256 (RFC 5869) without a salt."""
        extracted = hmac.digest(bytes(sha256().digest_size), self._key, "sha256")
        return hmac.digest(extracted, purpose + b"\x01", "sha256")

    def __repr__(self) -> str:
        return "HashKey(…)"

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("a hash key is never serialized: each process reads its own environment")


def hash_key(environment: Mapping[str, str] = os.environ) -> HashKey | None:
    """The key in the environment; None if there is none, or if it is empty."""
    value = environment.get(VARIABLE)
    return HashKey(os.fsencode(value)) if value else None


def no_key(table: str) -> ConfigError:
    """The error for a table with digests, but without their key."""
    return ConfigError(
        f"tables.{table}.columns has a hash, and {VARIABLE}, its key, is not set.",
        f"Set {VARIABLE} in the environment, always to the same secret text; "
        "`openssl rand -hex 32` makes one.",
    )


def another_key(table: str, of_keys: bool) -> ConfigError:
    """The error for digests that were made with another key.

    If some are of the table's own key, no row keeps its key.
    """
    confirmed = " --yes" if of_keys else ""
    return ConfigError(
        f"{table}: {VARIABLE} is not the key that the digests of this table were made with.",
        "Nothing was changed. Set it to that key again, or run "
        f"`connector snapshot {table} --full-refresh{confirmed}` to read the table again with the "
        "new key.",
    )
