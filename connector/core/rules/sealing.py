"""Seals positions that hold the keys of items, if these are to be digests everywhere."""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from connector.core.rules.hash_key import HashKey
from connector.errors import StateRefused

_NONCE = 12
_PREFIX = "sealed:"


class Seal:
    """AES-256-GCM under a key that is derived from the hash key.

    The nonce is derived from the text (as in RFC 8452), so that equal positions have equal seals:
    the names of a spool's files depend on them.
    """

    def __init__(self, key: HashKey, table: str) -> None:
        self._cipher = AESGCM(key.derived(b"connector: positions"))
        self._nonces = key.derived(b"connector: nonces of positions")
        self._about = table.encode()

    def close(self, text: str) -> str:
        """A position as it may be stored."""
        content = text.encode()
        nonce = hmac.digest(self._nonces, self._about + b"\0" + content, "sha256")[:_NONCE]
        sealed = nonce + self._cipher.encrypt(nonce, content, self._about)
        return _PREFIX + urlsafe_b64encode(sealed).decode()

    def open(self, text: str) -> str:
        """The position in a seal. Raises StateRefused if another key or table has sealed it."""
        try:
            sealed = urlsafe_b64decode(text.removeprefix(_PREFIX))
            content = self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], self._about)
            return content.decode()
        except (InvalidTag, ValueError) as error:
            raise StateRefused(
                "A position in the spool was sealed with another key, or is damaged.",
                "Run `connector snapshot TABLE --full-refresh`, which begins with a spool of its "
                "own.",
            ) from error
