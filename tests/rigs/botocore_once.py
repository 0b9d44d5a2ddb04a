"""Has botocore find out once in a process what it finds out for every session and client.

For each of its 150 handlers it asks which arguments the function takes, and for each event whether
the event's service has another name: always the same, and half of what a client costs. With each
call it spells what it says of itself, character by character.
"""

import functools
from types import CodeType, FunctionType, MethodType
from typing import Any

import botocore.session
from botocore import hooks, useragent

_asked = hooks.accepts_kwargs
_takes_any: dict[CodeType, Any] = {}
_names: dict[str, str] = {}


def _accepts_kwargs(handler: Any) -> Any:
    function = handler.__func__ if isinstance(handler, MethodType) else handler
    if not isinstance(function, FunctionType) or hasattr(function, "__wrapped__"):
        return _asked(handler)
    code = function.__code__
    if code not in _takes_any:
        _takes_any[code] = _asked(handler)
    return _takes_any[code]


class _Aliaser(hooks.EventAliaser):
    def __init__(self, emitter: Any, aliases: Any = None) -> None:
        super().__init__(emitter, aliases)
        if aliases is None or aliases == hooks.EVENT_ALIASES:
            self._alias_name_cache = _names


def install() -> None:
    """Makes it so."""
    setattr(hooks, "accepts_kwargs", _accepts_kwargs)  # noqa: B010
    setattr(botocore.session, "EventAliaser", _Aliaser)  # noqa: B010
    spelled = functools.cache(useragent.UserAgentComponent.to_string)
    setattr(useragent.UserAgentComponent, "to_string", spelled)  # noqa: B010
