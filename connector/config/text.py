"""Paths and text as users write them."""

import os
import select
import stat
from contextlib import suppress
from pathlib import Path

from connector.errors import ConfigError

_WRITER_SECONDS = 10.0
"""How long to wait for somebody to write to a pipe."""


def read_text(path: Path) -> str:
    """The text in a file or a pipe.

    Raises FileNotFoundError, and ConfigError if it cannot be read or is not text.
    """
    try:
        return decoded(_content(path), str(path))
    except FileNotFoundError:
        raise
    except IsADirectoryError:
        raise ConfigError(f"{path} cannot be read: it is a folder.", "Name a file in it.") from None
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {error.strerror}.",
            "Give the user who runs this permission to read it, or name another file.",
        ) from None
    except ValueError:
        raise ConfigError(f"{str(path)!r} cannot be a file name.", "Name another.") from None


def _content(path: Path) -> bytes:
    # Opening a pipe blocks until its other end is opened, which may never happen.
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
    """Decodes UTF-8, with or without a byte order mark; `name` is its origin in errors."""
    # UnicodeDecodeError quotes the content, so it does not become the cause of ours.
    with suppress(UnicodeDecodeError):
        text = content.decode("utf-8-sig")
        # UTF-16 may be valid UTF-8, with a NUL beside each letter.
        if "\0" not in text:
            return text
    raise ConfigError(f"{name} is not UTF-8 text.", "Save it with the encoding UTF-8.")


def absolute(name: str, folder: Path) -> Path:
    """The absolute path of `name`, relative to `folder`."""
    path = at_home(name) if name.startswith("~") and "/" in name else Path(name)
    if not path.is_absolute():
        path = folder / path
    try:
        return path.absolute()
    except OSError as error:
        raise ConfigError(
            f"{path} is relative, and the current folder cannot be used: {error.strerror}.",
            "Write a path that begins with /, or change to another folder.",
        ) from None


def at_home(name: str) -> Path:
    """Expands the ~ that `name` begins with. Raises ConfigError if there is no home folder."""
    # With an empty HOME, Python would expand ~ to the root of the file system.
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
    """Whether a text can be a path: valid as UTF-8, and without a NUL."""
    try:
        return "\0" not in text and bool(text.encode())
    except UnicodeEncodeError:
        return False
