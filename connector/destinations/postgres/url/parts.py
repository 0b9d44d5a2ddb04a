"""The parts of a Postgres database's url, read as people write it and written for libpq."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from ipaddress import ip_address
from urllib.parse import quote, unquote

from connector.config.urls import LAST_PORT
from connector.destinations.postgres.url.options import is_known, is_secret, libpq_option
from connector.errors import ConfigError

_SCHEME = re.compile(r"postgres(?:ql)?(?:\+\w+)?:", re.IGNORECASE)
_HOST = re.compile(r"(?:\[(?P<address>[^\[\]]*)\]|(?P<name>[^\s:\[\]]*))(?::(?P<port>.*))?")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_PORT = re.compile("[0-9]{1,5}")

# Characters that may be unescaped, besides letters, digits and _.-~, so that a valid url stays as
# it was written.
_IN_USER = "!$&'()*+,;="
_IN_PASSWORD = _IN_USER + ":"
_IN_OPTION = "!$'()*+,;:/"

_WRITE = "Write postgresql://user:password@host:5432/database"
_ESCAPES = (
    f"{_WRITE}, with %40 for an @ in the user or the password, and %3A, %2F, %3F and %23 for "
    ": / ? and #."
)
_NAME = re.compile(r"[^\s:/?#@\[\]]+")
_BRACKETS = "An IPv6 address is written in brackets: [::1]."


@dataclass(frozen=True, repr=False)
class PostgresUrl:
    """The parts of a url, without escapes. A host is a name, an address or a socket's folder."""

    hosts: tuple[tuple[str, str], ...] = ()
    """Each host with its port; both may be empty."""
    user: str | None = None
    password: str | None = None
    database: str | None = None
    options: tuple[tuple[str, str], ...] = ()

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether a text is meant as such a url, including SQLAlchemy's `postgresql+driver:`."""
        return _SCHEME.match(text.strip()) is not None

    @classmethod
    def parse(cls, text: str) -> "PostgresUrl":
        """Reads a url. Raises a ConfigError that shows nothing of it but the names of options."""
        _, slashes, rest = text.strip().partition("://")
        if not slashes:
            raise _unreadable("its first colon must be followed by two slashes", f"{_WRITE}.")
        if _CONTROL.search(rest):
            raise _unreadable(
                "it contains a line break or another control character",
                "A variable that was read from a file often ends in a line break. If it belongs to "
                "the password, write it as %0A.",
            )
        if rest.count("@") > 1:
            raise _unreadable("it has more than one @", _ESCAPES)
        login, at, place = rest.rpartition("@")
        if any(each in login for each in "/?#") or "#" in place:
            raise _unreadable("a / ? or # is not escaped", _ESCAPES)
        user, colon, password = login.partition(":")
        place, _, query = place.partition("?")
        hosts, _, database = place.partition("/")
        if "/" in database:
            raise _unreadable("a / in the name of the database is not escaped", _ESCAPES)
        return cls(
            tuple(map(_host, hosts.split(","))) if hosts else (),
            _plain(user) if at else None,
            _plain(password) if colon else None,
            _plain(database) if database else None,
        ).with_options(_options(query))

    @classmethod
    def of_parts(
        cls,
        host: str | None,
        port: int | None,
        user: str | None,
        password: str | None,
        database: str | None,
    ) -> "PostgresUrl":
        """The url from the fields of a form. `host` may be a list, or the folder of a socket."""
        if port is not None and not 1 <= port <= LAST_PORT:
            raise ConfigError(f"The port is not a number from 1 to {LAST_PORT}.", "Correct it.")
        number = "" if port is None else str(port)
        options = []
        names = host or ""
        if names.startswith("/"):
            options, names = [("host", names)], ""
        hosts = tuple((_listed(each), number) for each in names.split(",")) if names else ()
        return cls(
            hosts or ((("", number),) if number else ()),
            user or None,
            password or None,
            database or None,
        ).with_options(options)

    def with_options(self, options: Iterable[tuple[str, str]]) -> "PostgresUrl":
        """The url with further options. Raises ConfigError for one that is not known or twice."""
        found = list(self.options)
        taken = self._named() | {name for name, _ in found}
        for name, value in options:
            option = libpq_option(name, value)
            if option is None:
                continue
            if option[0] in taken:
                raise ConfigError(
                    f"The url of a Postgres database has {option[0]} twice.",
                    "Remove one of them.",
                )
            taken.add(option[0])
            found.append(option)
        return replace(self, options=tuple(found))

    def _named(self) -> set[str]:
        parts = {
            "user": self.user,
            "password": self.password,
            "dbname": self.database,
            "host": "".join(host for host, _ in self.hosts),
            "port": "".join(port for _, port in self.hosts),
        }
        return {name for name, value in parts.items() if value}

    @property
    def shown(self) -> str:
        """The url without its password and its options, which may hold secrets."""
        return self._written(":***" if self.password else "")

    @property
    def text(self) -> str:
        """The whole url, as libpq reads it."""
        password = "" if self.password is None else ":" + _escaped(self.password, _IN_PASSWORD)
        options = "&".join(f"{name}={_escaped(value, _IN_OPTION)}" for name, value in self.options)
        return self._written(password) + (f"?{options}" if options else "")

    def _written(self, password: str) -> str:
        login = "" if self.user is None else f"{_escaped(self.user, _IN_USER)}{password}@"
        hosts = ",".join(_host_text(host, port) for host, port in self.hosts)
        database = "" if self.database is None else "/" + _escaped(self.database, _IN_PASSWORD)
        return f"postgresql://{login}{hosts}{database}"

    def named_hosts(self) -> list[str]:
        """Every host in the url itself and in the options `host` and `hostaddr`."""
        said: Mapping[str, str] = dict(self.options)
        lists = [host for host, _ in self.hosts] if any(host for host, _ in self.hosts) else []
        lists += [said[name] for name in ("host", "hostaddr") if name in said]
        # libpq also splits at an escaped comma.
        return [host for each in lists for host in each.split(",")]


def _unreadable(problem: str, hint: str) -> ConfigError:
    return ConfigError(f"The url of a Postgres database cannot be read: {problem}.", hint)


def _plain(text: str) -> str:
    # A % that begins no escape stands for itself, as it does for SQLAlchemy.
    plain = unquote(text, errors="surrogateescape")
    if "\0" in plain:
        raise _unreadable("it contains %00, which Postgres cannot store", "Remove it.")
    return plain


def _escaped(text: str, safe: str) -> str:
    return quote(text, safe=safe, errors="surrogateescape")


def _host(text: str) -> tuple[str, str]:
    found = _HOST.fullmatch(text)
    if not found:
        raise _unreadable("its host is neither a name nor an address", f"{_ESCAPES} {_BRACKETS}")
    port = found["port"] or ""
    if port and not (_PORT.fullmatch(port) and 1 <= int(port) <= LAST_PORT):
        # It may be a password before a forgotten @, so it is not shown.
        raise _unreadable(
            f"the text after its host's colon is not a port from 1 to {LAST_PORT}",
            f"{_ESCAPES} {_BRACKETS}",
        )
    if found["address"] is None:
        return _plain(found["name"]), port
    return _address(_plain(found["address"])), port


def _address(text: str) -> str:
    if not _is_address(text):
        raise _unreadable("the text in brackets is not an IPv6 address", _BRACKETS)
    return text


def _is_address(text: str) -> bool:
    try:
        return ":" in text and bool(ip_address(text))
    except ValueError:
        return False


def _listed(text: str) -> str:
    name = text.strip().removeprefix("[").removesuffix("]")
    if not _NAME.fullmatch(name) and not _is_address(name):
        raise ConfigError(
            "The host is neither a name nor an address.",
            "It is a name such as db.example.com, without a scheme, a user or a port.",
        )
    return name


def _host_text(host: str, port: str) -> str:
    is_address = ":" in host and not host.startswith(("/", "@"))
    name = f"[{_escaped(host, ':')}]" if is_address else _escaped(host, "")
    return f"{name}:{port}" if port else name


def _options(query: str) -> Sequence[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for part in filter(None, query.split("&")):
        name, equals, value = part.partition("=")
        name = _plain(name)
        if not is_known(name) and any(is_secret(before) for before, _ in found):
            # It may be the rest of a secret, so it is not shown.
            raise _unreadable(
                "its password is followed by an unknown option",
                "Write %26 for an & in a password.",
            )
        if not equals:
            value = ""
        found.append((name, _plain(value)))
    return found
