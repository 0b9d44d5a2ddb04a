"""Paths and texts as a person wrote them."""

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


def absolute(name: str, folder: Path) -> Path:
    """The path `name` means when it is written in `folder`."""
    path = at_home(name) if name.startswith("~") and "/" in name else Path(name)
    if not path.is_absolute():
        path = folder / path
    try:
        return path.absolute()
    except OSError as error:
        raise ConfigError(
            f"{path} is relative, and the current folder cannot be used: {error.strerror}.",
            "Write a path that begins with /, or go to another folder.",
        ) from None


def at_home(name: str) -> Path:
    """The path `name` means, which begins with ~. Raises ConfigError where there is no home."""
    # With an empty HOME, Python would take the root of the file system for it.
    with suppress(RuntimeError):
        if os.environ.get("HOME") != "" or not name.startswith("~/"):
            return Path(name).expanduser()
    if not name.startswith("~/"):
        raise ConfigError(
            "There is no home folder for the ~ of this path.", "Write a path that begins with /."
        )
    raise ConfigError(
        f"{name} is in your home folder, and HOME does not say where that is.",
        "Set HOME, or write a path that begins with /.",
    )


def is_a_path(text: str) -> bool:
    """Whether a path can be passed on: as bytes that are UTF-8, and without an end inside."""
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False
