"""The names that tables have in the destination."""

from collections.abc import Iterable

from connector.config.fields import refuse


def check_distinct(names: Iterable[tuple[str, str]]) -> None:
    """Refuses a name that two tables have; each comes with the name of its source table.

    One that routes lead to may have the name of what is kept beside another one.
    """
    sources: dict[str, str] = {}
    for name, table in names:
        other = sources.get(name.casefold())
        sources[name.casefold()] = table
        if other == table:
            raise refuse(
                f"{table}: one of its targets is called {name}, and so is what is kept beside "
                "another one.",
                "Give it another name in `routes`.",
            )
        if other is not None:
            raise refuse(
                f"The tables {other} and {table} would both be written to {name}.",
                "Give one of them another name with `into`.",
            )
