"""Makes text from data safe to print: nothing in it can control a terminal."""

import re

_OBEYED = (
    r"\x00-\x09\x0b-\x1f\x7f-\x9f\xad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f"
    r"\ud800-\udfff\ufeff\ufff9-\ufffb\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e007f"
)
"""Control characters, marks of the writing direction, zero-width characters, and non-characters.

The joiners U+200C and U+200D are left out: Persian, Indic scripts and emoji need them.
"""
_IN_TEXT = re.compile(f"[\n{_OBEYED}]")
_IN_JSON = re.compile(f"[{_OBEYED}]")
_NOT_ASCII = re.compile(r"[^\n -~]")


def visible(text: str, keep: str = "") -> str:
    """The text with every character that controls a terminal escaped, as in \\x1b.

    The characters in `keep` are left as they are.
    """

    def shown(found: re.Match[str]) -> str:
        character = found[0]
        if character in keep:
            return character
        return character.encode("unicode_escape", "surrogatepass").decode()

    return _IN_TEXT.sub(shown, text)


def json_visible(text: str, encoding: str) -> str:
    """A JSON document with these characters, and those that `encoding` lacks, as \\u escapes."""
    is_unicode = encoding.lower().startswith("utf")
    return (_IN_JSON if is_unicode else _NOT_ASCII).sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    units = found[0].encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place : place + 2].hex()}" for place in range(0, len(units), 2))
