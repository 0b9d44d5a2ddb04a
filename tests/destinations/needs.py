"""What a destination says of its needs."""

from connector.core.needs import Need, Wanted
from connector.ports import Destination


def checked(destination: Destination, *tables: Wanted) -> str:
    """The details of every need, one below the other. Raises the error of the first unmet one."""
    needs = list(destination.check(tables))
    for need in needs:
        if need.error is not None:
            raise need.error
    return "\n".join(need.detail for need in needs)


def need(destination: Destination, check: str, *tables: Wanted) -> Need:
    """The one need of this name."""
    (found,) = [each for each in destination.check(tables) if each.check == check]
    return found
