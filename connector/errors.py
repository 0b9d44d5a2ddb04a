"""Every error a user can meet: what happened, what to do about it, and its exit code."""

import errno
import os
import traceback


class ConnectorError(Exception):
    """An error with a hint. `exit_code` is the exit code of the command line."""

    exit_code = 1
    of_every_table = False
    """Whether every other table of the same run would meet it too."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        return type(self), (self.message, self.hint)

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class Transient(ConnectorError):
    """Nothing is wrong with the data or the set-up; the same command may succeed later."""

    exit_code = 4


class Throttled(Transient):
    """The source kept refusing requests until the deadline."""


class Unreachable(Transient):
    """The source or the destination did not answer."""


class BadAnswer(Transient):
    """The source answered 200 with a body that is not the expected JSON."""


class Busy(Transient):
    """Another process holds the destination."""


class FileHeld(Busy):
    """Another process holds the file that all tables are written to."""

    of_every_table = True


class CursorMoved(Transient):
    """Another run committed first; this batch was not written."""


class DiskFull(Transient):
    """The destination's disk is full; what was being written is rolled back."""


class SpoolFull(Transient):
    """The spool has no room for the next file."""


class Fatal(ConnectorError):
    """Someone must act before the same command can succeed."""

    exit_code = 2


class ConfigError(Fatal):
    """The configuration or the command line cannot be used as it is."""


class QueryFailed(ConfigError):
    """The statement of `connector query` failed; `excerpt` is the lines that show where."""

    def __init__(self, message: str, hint: str = "", excerpt: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.excerpt = excerpt

    def __reduce__(self) -> tuple[type, tuple[str, str, tuple[str, ...]]]:  # type: ignore[override]
        return type(self), (self.message, self.hint, self.excerpt)


class NotListed(ConfigError):
    """The file lists tables, but not this one."""


class SourceRefused(Fatal):
    """The source cannot be replicated as it is set up, or the credentials may not read it."""


class DestinationRefused(Fatal):
    """The destination cannot be used as it is."""


class StateRefused(Fatal):
    """The stored state is newer than this program, or cannot be read."""


class NeedsPerson(Fatal):
    """The data needs someone's decision."""

    exit_code = 3


class TableUnavailable(NeedsPerson):
    """The source table is archived, being deleted, or encrypted with a key that cannot be used."""


class HistoryLost(NeedsPerson):
    """Changes between two points of the stream can no longer be read."""


class ShardGone(HistoryLost):
    """A shard no longer exists; whether data is lost depends on how far it was read."""


class WindowsMissing(HistoryLost):
    """A time that no incremental export covers, although there are later ones."""


class StreamDisabled(NeedsPerson):
    """The stream was switched off; everything in it was read, and nothing new will come."""


class TooManyDeletes(NeedsPerson):
    """A full refresh would delete more rows than is allowed without confirmation."""


class SchemaDiffers(NeedsPerson):
    """The columns of a table are not what is declared of them."""


class ExportRefused(NeedsPerson):
    """An export that is damaged, incomplete, of another table, or older than the stream."""


class ForeignRecord(NeedsPerson):
    """A record in the stream that is not a change of the table."""


class QuarantineLimit(NeedsPerson):
    """More records than allowed could not be stored."""


class ContractBroken(NeedsPerson):
    """An item does not fit its table's contract, which says that the table is to stop then."""


class Mismatch(NeedsPerson):
    """The table and its source differ."""


def enable_command(table: str, region: str = "") -> str:
    """The AWS command that enables the stream of a table; only the table's owner runs it."""
    where = f" --region {region}" if region else ""
    return (
        f"aws dynamodb update-table --table-name {table}{where} "
        "--stream-specification StreamEnabled=true,StreamViewType=NEW_AND_OLD_IMAGES"
    )


def no_stream(table: str, region: str = "") -> SourceRefused:
    """The error for a table without a stream; with a Region, that of its replica there."""
    where = f" in {region}" if region else ""
    otherwise = "Or set the table's `follow` to kinesis, exports or none, which need no stream."
    return SourceRefused(
        f"The stream of {table}{where} is not switched on, so changes to it cannot be followed.",
        f"Enable it: `{enable_command(table, region)}`." + ("" if region else f" {otherwise}"),
    )


def elsewhere(table: str, region: str, here: str) -> ConfigError:
    """The error for a table that is read in a Region that is not configured."""
    return ConfigError(
        f"{table} is replicated from its table in {region}, but the source is configured for "
        f"{here}.",
        f"Add {region} to source.regions, beside {here}. To go on in the replica of another Region "
        f"listed there: `connector failover {table} --region REGION`.",
    )


_SWITCHED_OFF = "was switched off; everything in it was read"


def switched_off(table: str) -> StreamDisabled:
    """The error for a stream that was read to its end, and gets no more changes."""
    return StreamDisabled(
        f"The stream of {table} {_SWITCHED_OFF}, and later changes are in no stream.",
        f"Enable it again first. {WAYS_OUT}",
    )


def was_switched_off(problem: str | None) -> bool:
    """Whether the problem that a run has noted was that error."""
    return problem is not None and _SWITCHED_OFF in problem


def reset_meanwhile(table: str, doing: str) -> Transient:
    """The error for a table whose state is gone."""
    return Transient(f"{table} was reset while it was {doing}.", "Start the command again.")


def unfollowed(table: str) -> ConfigError:
    """The error for changes that nobody follows."""
    return ConfigError(
        f"The changes of {table} are not followed: tables.{table}.follow is none.",
        f"Run `connector sync {table}`, which reads the whole table again, or set it to stream.",
    )


def unfollowed_for_long(table: str) -> ConfigError:
    """The error for a run that would read a whole table without end."""
    return ConfigError(
        f"{table} cannot be kept up to date by one run: tables.{table}.follow is none, so each "
        "sync reads the whole table again.",
        f"Run `connector sync {table}` as often as you need it, without --follow and --for.",
    )


def extra_missing(who: str, extra: str, package: str) -> ConfigError:
    """The error for an optional package that is not installed; `extra` would install it."""
    return ConfigError(
        f"{who} needs the extra `{extra}`, which is not installed.",
        f"Install it: `pip install '.[{extra}]'` in the clone of the repository, or anywhere "
        f"`pip install '{package}'`, into the environment of this command.",
    )


WAYS_OUT = (
    "Either run `connector repair TABLE`, which says what exports it needs, or `connector snapshot "
    "TABLE --full-refresh` once (in Airflow, its snapshot with `full_refresh`), or set `on_gap: "
    "resync` for the table; its rows stay readable until the new ones replace them."
)

"""What to do about lost changes, as far as a source knows it."""


def ways_out(table: str, fillable: bool) -> str:
    """The same for one table, and whether something else may still have what was lost."""
    if fillable:
        return WAYS_OUT.replace("TABLE", table)
    return (
        f"Run `connector snapshot {table} --full-refresh` once (in Airflow, its snapshot with "
        "`full_refresh`), or set `on_gap: resync` for the table; its rows stay readable until the "
        "new ones replace them."
    )


class Interrupted(ConnectorError):
    """The user or the scheduler asked the run to end; the last batch is committed."""

    exit_code = 130


_LATER = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EAGAIN, errno.EIO)
)
"""Errors of the system that may go away by themselves."""
_INTACT = "Everything committed so far is intact: run the same command again"


def uncaught(error: Exception) -> ConnectorError:
    """The error for an exception that nothing caught: the system's refusal, or else a bug."""
    if known := _of_the_system(error):
        return known
    # The message of an unknown error may quote an item, so only its type and place are shown.
    place = traceback.extract_tb(error.__traceback__)[-1]
    return ConnectorError(
        f"unexpected {type(error).__name__} in {place.name} ({place.filename}:{place.lineno}).",
        f"{_INTACT}; if it happens again, please report this line.",
    )


def _of_the_system(error: Exception) -> ConnectorError | None:
    """The error for a refusal by the operating system; None if the program is to blame."""
    if isinstance(error, MemoryError):
        return Transient("There is not enough memory.", f"{_INTACT} once there is more.")
    if not isinstance(error, OSError) or error.errno is None:
        return None
    # Only a file name is text; anything else in an OSError may come from data.
    named = isinstance(error.filename, str | os.PathLike)
    what = f"{os.fspath(error.filename)}: " if named else ""
    if error.errno in _LATER:
        return Transient(f"The system refused: {what}{error.strerror}.", f"{_INTACT} later.")
    if named:
        return ConfigError(
            f"{os.fspath(error.filename)} cannot be used: {error.strerror}.",
            "Check its path and its permissions.",
        )
    return None
