"""The formats of AWS names: a Region, the ARN of a role, and an external id."""

import re

from connector.errors import ConfigError

_REGION = re.compile(r"[a-z]{2,6}(-[a-z]+)+-[0-9]{1,2}")
_ZONE = re.compile(rf"(?P<region>{_REGION.pattern})(-[a-z]{{3,4}}-[0-9]{{1,2}})?[a-z]")
_ZONE_ID = re.compile(r"[a-z]{3,5}[0-9]{1,2}(-[a-z]{3}[0-9])?-az[0-9]{1,2}")
# What the host name of an endpoint may hold: emulators take Regions such as `local`.
_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")

_ROLE = re.compile(r"arn:aws[a-z-]*:iam::[0-9]{12}:role/[\w+=,.@/-]+", re.ASCII)
_ROLE_SESSION = re.compile(
    r"arn:(?P<partition>aws[a-z-]*):sts::(?P<account>[0-9]{12}):assumed-role/(?P<role>[\w+=,.@-]+)"
    r"/[\w+=,.@-]+",
    re.ASCII,
)
_KINESIS = re.compile(
    rf"arn:aws[a-z-]*:kinesis:{_LABEL.pattern}:[0-9]{{12}}:stream/[a-zA-Z0-9_.-]{{1,128}}", re.ASCII
)
_EXTERNAL_ID = re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII)


def check_region(text: str) -> str:
    """Returns a valid Region name. Raises ConfigError for text that no endpoint can contain."""
    zone = _ZONE.fullmatch(text)
    if zone:
        raise ConfigError(
            f"{text} is an availability zone, not a Region.", f"Write {zone['region']}."
        )
    if _ZONE_ID.fullmatch(text):
        raise ConfigError(
            f"{text} is the id of an availability zone, not a Region.",
            "Write the Region's name, for example us-west-2.",
        )
    if not _LABEL.fullmatch(text):
        raise ConfigError("This is not the name of a Region.", _meant(text))
    return text


def is_usual_region(text: str) -> bool:
    """Whether the name has the form of an AWS Region."""
    return bool(_REGION.fullmatch(text))


def _meant(text: str) -> str:
    name = re.sub(r"[\s_–—-]+", "-", text.strip(" \t\r\n\"'").lower())
    zone = _ZONE.fullmatch(name)
    name = zone["region"] if zone else name
    # Anything else may be a secret in the wrong variable.
    if not _REGION.fullmatch(name):
        return "A Region looks like us-west-2."
    return f"Write {name}, without spaces, quotes, underscores or capitals."


def check_role(text: str) -> str:
    """Returns the valid ARN of a role. Raises ConfigError for any other text."""
    if _ROLE.fullmatch(text):
        return text
    session = _ROLE_SESSION.fullmatch(text)
    if session:
        raise ConfigError(
            "This is the ARN of a role session, not of the role.",
            f"Write arn:{session['partition']}:iam::{session['account']}:role/{session['role']}, "
            "with the role's path if it has one.",
        )
    raise ConfigError(
        "This is not the ARN of a role.",
        "Copy it from IAM: it looks like arn:aws:iam::123456789012:role/reader.",
    )


def check_kinesis_arn(text: str) -> str:
    """Returns the valid ARN of a Kinesis data stream. Raises ConfigError for any other text."""
    if not _KINESIS.fullmatch(text):
        raise ConfigError(
            "This is not the ARN of a Kinesis data stream.",
            "It looks like arn:aws:kinesis:us-west-2:123456789012:stream/orders.",
        )
    return text


def check_external_id(text: str) -> str:
    """Returns an external id that STS accepts. Raises ConfigError for any other text."""
    if not _EXTERNAL_ID.fullmatch(text):
        raise ConfigError(
            "This is not an external id.",
            "It has 2 to 1224 characters: letters, digits and _ + = , . @ : / -, without spaces.",
        )
    return text
