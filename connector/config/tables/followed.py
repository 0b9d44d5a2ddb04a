"""How a table is followed, as far as its settings must agree."""

from connector.config.fields import refuse
from connector.core.contracts.contract import Contract, ContractError


def check_stream(said: bool, followed: bool, arn: str | None, on_gap: str) -> None:
    """Refuses what cannot be meant of a Kinesis stream; `said` is whether `follow` is set."""
    if arn is not None and not said:
        raise refuse(
            "kinesis names a stream, but follow does not say that it is read.",
            "Add follow: kinesis, or leave kinesis out.",
        )
    if not followed:
        return
    if arn is None:
        raise refuse(
            "follow is kinesis, but kinesis does not name a stream.",
            "Set kinesis to its ARN, for example "
            "arn:aws:kinesis:us-west-2:123456789012:stream/orders.",
        )
    if on_gap == "repair":
        raise refuse(
            "on_gap is repair, which cannot fill in what a Kinesis stream has lost.",
            "Set it to resync, which reads the whole table again, or to fail.",
        )


def check_kept(ordered: bool, kept: bool) -> None:
    """Refuses a history or a log of a table whose changes are not read from its own stream."""
    if kept and not ordered:
        raise refuse(
            "history and changes need follow: stream, whose records have an order.",
            "Leave them out, or follow the table by its stream.",
        )


def check_columns(contract: Contract, packed: bool, max_columns: int) -> None:
    """Refuses a contract about columns that the table cannot have."""
    try:
        contract.check_layout(packed, max_columns)
    except ContractError as error:
        raise refuse(error.problem, error.hint) from None
