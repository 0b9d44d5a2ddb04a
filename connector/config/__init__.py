"""A file, the environment and flags as one frozen, checked configuration: `config.load(path)`."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connector.config.loading import load
    from connector.config.model import Config

__all__ = ["Config", "load"]

_PLACES = {"Config": "connector.config.model", "load": "connector.config.loading"}


def __getattr__(name: str) -> Any:
    """Imports the public names on first use, because pydantic is slow to import."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)
