"""How far windows were read, as the token of a cursor."""

from datetime import UTC, datetime

import msgspec


class Token(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Everything before `covered` is in the table; if `window` is set, part of that one is, too."""

    covered: datetime
    known: datetime | None = None
    """Up to when the table may know changes already, from elsewhere; None until it is loaded."""
    exact: bool = False
    """Whether the first window must begin at `covered`, and none may begin before."""
    days: int | None = None
    """For how many days the table can be exported, as far as that is known."""
    asked: datetime | None = None
    """The end of the window that is to be started next."""
    arn: str = ""
    """The export that was started for it."""
    tries: int = 0
    """How often such an export has failed."""
    window: str = ""
    """The name of the export that is being read."""
    file: str = ""
    """The data file that is being read, and where in its content."""
    end: int = 0

    def text(self) -> str:
        """The token as a cursor has it."""
        return msgspec.json.encode(self).decode()

    def after(self, end: datetime) -> "Token":
        """The token after a whole window that ends then."""
        return Token(
            covered=max(self.covered, end), known=self.known, exact=self.exact, days=self.days
        )


_token = msgspec.json.Decoder(Token)


def token_of(text: str) -> Token:
    """A token from its text."""
    found = _token.decode(text)
    return msgspec.structs.replace(found, covered=found.covered.astimezone(UTC))
