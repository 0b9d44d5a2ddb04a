"""Text that a person wrote, from a file or a pipe."""

import os
import select
import stat
from contextlib import suppress
from pathlib import Path

from connector.errors import ConfigError

_WRITER_SECONDS = 10.0
"""How long a pipe may have nobody who writes to it."""


def read_text(path: Path) -> str:
    """The text in a file, which may be a pipe as well.

    Raises FileNotFoundError, and ConfigError where it cannot be read or is no text.
    """
    try:
        return decoded(_content(path), str(path))
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise ConfigError(
            f"{path} cannot be read: it is a folder.", "Name the file that is in it."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.",
            "Let the user who runs this read it, or name another file.",
        ) from None
    except ValueError:
        raise ConfigError(f"{str(path)!r} can be the name of no file.", "Name another.") from None


def _content(path: Path) -> bytes:
    # A pipe that nobody opens at its other end would be waited for for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            if not select.select([descriptor], [], [], _WRITER_SECONDS)[0]:
                raise ConfigError(
                    f"{path} is a pipe, and nobody writes to it.", "Name a file, or write to it."
                )
            os.set_blocking(descriptor, True)
        return file.read()


def decoded(content: bytes, name: str) -> str:
    """UTF-8 as text, with or without a byte order mark; `name` says where it is from."""
    # The error says where the text is wrong by quoting it, so it is no cause of ours.
    with suppress(UnicodeDecodeError):
        text = content.decode("utf-8-sig")
        # What is UTF-16 in truth may pass for UTF-8, with a NUL beside each letter.
        if "\0" not in text:
            return text
    raise ConfigError(f"{name} is not UTF-8 text.", "Save it with the encoding UTF-8.")
