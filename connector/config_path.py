"""Which path a person means: from a home, or from the folder where it was written."""

import os
from contextlib import suppress
from pathlib import Path

from connector.errors import ConfigError


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
