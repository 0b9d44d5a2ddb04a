"""Translates ADBC's errors into ours, without Postgres' messages, which may quote values."""

import re
from collections.abc import Callable
from concurrent.futures import Future
from threading import Thread, current_thread, main_thread
from typing import Any, TypeVar

from adbc_driver_manager import Error

from connector.destinations.queries.errors import (
    NO_PARAMETERS,
    SEVERAL,
    UNFIT_VALUE,
    WHERE,
    WRITES,
    excerpt_at,
    failed,
    in_one_line,
    without_values,
)
from connector.errors import (
    Busy,
    ConfigError,
    ConnectorError,
    DestinationRefused,
    DiskFull,
    StateRefused,
    Transient,
    Unreachable,
)


class Conflict(Transient):
    """Postgres gave another transaction precedence; this one was rolled back."""


_AGAIN = "The last commit before it is intact: run the same command again."
_REFUSED_LOGIN = (
    ("pg_hba", "its pg_hba.conf has no entry for this login from this machine"),
    ("password", "the password is wrong or missing"),
    ("database  does not exist", "there is no such database"),
    ("role  does not exist", "there is no such role"),
    ("permission denied", "the role may not connect to this database"),
    ("authentication", "it does not accept this way to log in"),
    ("role ", "the role may not log in"),
    ("database ", "the database does not accept connections"),
)
_NO_SERVICE = ("definition of service", "service file")
_OPTION = re.compile(
    r"invalid (?:integer value .* for connection option|value for parameter) (?P<after>\w+)|"
    r"invalid (?P<between>\w+) (?:value|method|client key|server key)|"
    r"unrecognized configuration parameter (?P<unknown>[\w.]+)|"
    r"could not match \d+ (?P<count>host|port)|"
    r"(?P<peer>requirepeer) specifies|(?P<gss>gssencmode) value"
)
_OPTION_SIGNS = {
    "channel binding required": "channel_binding",
    "could not parse network address": "hostaddr",
    "socket path": "host",
    "requires a value": "options",
}
_QUOTED = re.compile(r'"[^"]*"')
_NO_TLS = ("certificate", "ssl", "root.crt", "tls")
_NOT_NOW = ("starting up", "shutting down", "recovery mode", "too many", "remaining connection")

# Codes for tables of the state that are missing or have another shape.
_OTHER_SHAPE = ("42P01", "42703", "42804", "42846", "42883", "22P02", "3F000")

_PART = re.compile("^PG_DIAG_(MESSAGE_|STATEMENT_)?")
_LONGER = "Query less data at once, or raise statement_timeout for the role."
_PRIVILEGES = "Give the role the privileges that the documentation lists, or use another role."
_SENTENCES: dict[str, tuple[type[ConnectorError], str, str]] = {
    "08": (Unreachable, "The connection to {server} was lost.", _AGAIN),
    "28": (DestinationRefused, "{server} refused the login.", "Check the user and the password."),
    "57P": (Unreachable, "{server} is shutting down or starting.", _AGAIN),
    "57014": (
        Transient,
        "A statement took longer on {server} than its statement_timeout allows.",
        f"{_AGAIN} If it happens again, raise statement_timeout for the role.",
    ),
    "40": (Conflict, "Another transaction on {server} conflicted with this one.", _AGAIN),
    "55P03": (
        Busy,
        "Another session on {server} held a lock for longer than destination.lock_timeout.",
        _AGAIN,
    ),
    "53100": (
        DiskFull,
        "The disk of {server} is full; the last commit before it is intact.",
        "Make room and run the same command again.",
    ),
    "53": (Transient, "{server} has run out of memory or connections.", _AGAIN),
    "25006": (
        Transient,
        "{server} is read-only now.",
        "It may be a standby, or be set to default_transaction_read_only: run again once it "
        "writes, or name the server that does.",
    ),
    "42501": (DestinationRefused, "The role may not do that on {server}.", _PRIVILEGES),
    "54": (
        DestinationRefused,
        "A row, a key or the number of columns is beyond what {server} can hold.",
        "Columns that were dropped count as well; lower `max_columns`, or use `layout: packed`.",
    ),
    "22": (DestinationRefused, "{server} cannot hold a value of the batch.", ""),
    "23": (
        DestinationRefused,
        "A constraint that was added to the table on {server} rejects a row.",
        "Drop the constraint: the source has none.",
    ),
    "2BP01": (
        DestinationRefused,
        "A view or another object on {server} depends on a part of the table that must change.",
        "Drop it, run again, and recreate it.",
    ),
    "0A000": (
        DestinationRefused,
        "{server} cannot change the table as it is.",
        "A view, a rule or a generated column that uses one of its columns is in the way: drop "
        "it, run again, and recreate it.",
    ),
    "42P10": (
        DestinationRefused,
        "The primary key of the table on {server} is missing.",
        "Add it again, or run `connector reset TABLE --drop` and take a new snapshot.",
    ),
}


Result = TypeVar("Result")
Translate = Callable[[str, Error], ConnectorError]


def guarded(server: str, translate: Translate, work: Callable[[], Result]) -> Result:
    """The result of `work`. An error of ADBC's is translated into one of ours, and dropped."""
    try:
        return _beside(work)
    except Error as error:
        problem = translate(server, error)
    # Outside of the handler: the driver's error contains the statement, and perhaps values.
    raise problem


def _beside(work: Callable[[], Result]) -> Result:
    """Runs `work` in another thread: in the main one, ADBC handles SIGINT itself and cancels."""
    if current_thread() is not main_thread():
        return work()
    done: Future[Result] = Future()

    def run() -> None:
        try:
            done.set_result(work())
        except BaseException as error:
            done.set_exception(error)

    thread = Thread(target=run, name="postgres")
    thread.start()
    try:
        thread.join()
    finally:
        # If an interruption ended the first wait, the connection is still in use.
        thread.join()
    return done.result()


def translated(server: str, error: Error) -> ConnectorError:
    """Our error for a statement."""
    state = error.sqlstate
    if not state and "permission denied" in str(error).lower():
        # Errors of ADBC's own statement for a temporary table have no code.
        state = "42501"
    if not state:
        return Unreachable(f"The connection to {server} was lost.", _AGAIN)
    for length in (5, 3, 2):
        if state[:length] in _SENTENCES:
            kind, message, hint = _SENTENCES[state[:length]]
            return kind(f"{message.format(server=server)} (SQLSTATE {state})", hint)
    return DestinationRefused(
        f"{server} refused a statement. (SQLSTATE {state})",
        "The table may have been changed by somebody else.",
    )


def of_the_state(server: str, error: Error) -> ConnectorError:
    """Our error for a statement on the state's own tables, which may be damaged."""
    if error.sqlstate not in _OTHER_SHAPE:
        return translated(server, error)
    return StateRefused(
        "The schema _connector holds no readable state: its tables have another shape. "
        f"(SQLSTATE {error.sqlstate})",
        "Restore it from a backup, or drop the schema and take new snapshots.",
    )


def of_the_query(server: str, error: Error, sql: str, running: bool) -> ConnectorError:
    """Our error for a user's own query; while `running`, its message may contain values."""
    state = error.sqlstate or ""
    said = {name: text for name, text in said_by(error).items() if text}
    if state == "08P01":
        return ConfigError(*NO_PARAMETERS)
    if not state or state.startswith(("08", "57P")):
        return translated(server, error)
    if state == "25006":
        return ConfigError(*WRITES)
    if state == "42601" and not said.keys() & {"POSITION"} and "multiple commands" in str(error):
        return ConfigError(*SEVERAL)
    if running:
        said = {name: without_values(text, sql) for name, text in said.items()}
    # Errors in the text of a query are found before any row is read.
    detail = f" {said['DETAIL']}" if "DETAIL" in said and (not running or state == "42501") else ""
    sentence = f"{said.get('PRIMARY', 'it failed')}{detail} (SQLSTATE {state})"
    if state == "57014":
        return Transient(f"The query was ended: {in_one_line(sentence)}", _LONGER)
    if state.startswith(("40", "53", "55P03")):
        kind = type(translated(server, error))
        return kind(f"The query failed: {in_one_line(sentence)}", "Run it again later.")
    position = said.get("POSITION", "") if not running else ""
    excerpt = excerpt_at(sql, int(position) - 1) if position.isdigit() else ()
    return failed(sentence, in_one_line(said.get("HINT", "")) or _hint_of(state, excerpt), excerpt)


def _hint_of(state: str, excerpt: tuple[str, ...]) -> str:
    if state in ("42P01", "42703", "3F000"):
        return 'List the columns: `connector query "select * from information_schema.columns"`.'
    if state.startswith("22"):
        return UNFIT_VALUE
    if excerpt:
        return WHERE
    return "A query can only read, and only what the role may read."


def said_by(error: Error) -> dict[str, str]:
    """The parts of the server's message: PRIMARY, DETAIL, HINT, POSITION, CONSTRAINT_NAME…"""
    details: Any = error.details
    parts = ((name.decode(), text.decode(errors="replace")) for name, text in details or ())
    return {_PART.sub("", name): text for name, text in parts}


def of_the_connection(server: str, error: Error) -> ConnectorError:
    """Our error for a connection that fails: libpq gives no SQLSTATE then, only a text."""
    if option := _wrong_option(str(error).lower()):
        return DestinationRefused(
            f"The option {option} is not allowed for {server}, or not with this value.",
            "It is set in the url, in a PG variable (such as PGCONNECT_TIMEOUT for "
            "connect_timeout, PGOPTIONS or PGTZ) or in the service file.",
        )
    # A quoted part is the name of a host or a role, which may look like a reason.
    text = _QUOTED.sub("", str(error)).lower()
    if any(sign in text for sign in _NOT_NOW):
        return Unreachable(f"{server} does not accept connections now.", "Try again later.")
    if any(sign in text for sign in _NO_SERVICE):
        return DestinationRefused(
            f"The service definition for {server} is missing or cannot be read.",
            "Check the option `service` of the url, PGSERVICE, and the file that PGSERVICEFILE "
            "names (~/.pg_service.conf).",
        )
    if "pg_hba" not in text and any(sign in text for sign in _NO_TLS):
        return DestinationRefused(
            f"There is no verified, encrypted connection to {server}.",
            "Add sslrootcert=/path/to/ca.pem to the url for a server with a certificate of its "
            "own, or another sslmode if the network is trusted.",
        )
    for sign, reason in _REFUSED_LOGIN:
        if sign in text:
            return DestinationRefused(
                f"{server} refused the login: {reason}.",
                "Check the user, the database and the password: in PGPASSWORD, in the file that "
                "PGPASSFILE names, or in the url as ${NAME}, with each % written as %25.",
            )
    return Unreachable(
        f"{server} cannot be reached.", "Check the host and the port, or try again later."
    )


def _wrong_option(text: str) -> str:
    """The option that libpq or the server does not accept; empty for another reason."""
    reason = text.rpartition(" failed: ")[2]
    found = _OPTION.search(reason.replace('"', ""))
    if found:
        return str(next(filter(None, found.groups())))
    reason = _QUOTED.sub("", reason)
    return next((name for sign, name in _OPTION_SIGNS.items() if sign in reason), "")
