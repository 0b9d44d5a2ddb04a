"""The names that tables have in the destination."""

from collections.abc import Iterable

from connector.config.fields import refuse


def check_distinct(names: Iterable[tuple[str, str]]) -> None:
    """Refuses a name that two tables have; each comes with the name of its source table."""
    sources: dict[str, str] = {}
    for name, table in names:
        other = sources.setdefault(name.casefold(), table)
        if other != table:
            raise refuse(
                f"The tables {other} and {table} would both be written to {name}.",
                "Give one of them another name with `into`.",
            )
