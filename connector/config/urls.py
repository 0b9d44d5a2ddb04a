"""Checks the endpoints of AWS and the location of the spool."""

import re
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from connector.config.aws_names import is_usual_region
from connector.config.text import absolute, is_a_path
from connector.errors import ConfigError

LAST_PORT = 65_535

_ENDPOINT = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[0-9A-Fa-f:.]+\]|[\w.-]+)(?::(?P<port>[0-9]{1,5}))?/?",
    re.ASCII,
)
AWS_HOSTS = (
    ".amazonaws.com",
    ".amazonaws.com.cn",
    ".amazonaws.eu",
    ".api.aws",
    ".c2s.ic.gov",
    ".sc2s.sgov.gov",
)
"""How the names of AWS's own hosts end."""

_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_S3 = re.compile(r"s3://[a-z0-9][a-z0-9.-]+[a-z0-9](?:/[^?#@]*)?")


def spool_location(text: str, folder: Path) -> str:
    """The absolute path of a folder, or an s3:// URL unchanged."""
    if not is_a_path(text):
        raise ConfigError("The spool must be a folder or an s3:// URL.")
    if "://" not in text:
        return str(absolute(text, folder))
    if not text.startswith("s3://"):
        raise ConfigError("The spool must be a folder or an s3:// URL.")
    if not _S3.fullmatch(text):
        raise ConfigError(
            "The spool's URL must be s3://bucket/prefix.",
            "Credentials and options come from the environment, not from the URL.",
        )
    return text


def check_exports(url: str) -> None:
    """Refuses what is no url of a folder with exports."""
    parts = _split(url)
    if parts.scheme == "s3" and parts.netloc and "@" not in parts.netloc:
        return
    if parts.scheme == "file" and parts.netloc in ("", "localhost") and parts.path.startswith("/"):
        return
    hint = "Write s3://bucket/prefix, or file:///folder for one of this machine."
    if is_a_path(url) and not parts.scheme:
        hint = f"Write s3://bucket/prefix, or {absolute(url, Path()).as_uri()} for that folder."
    # It may have a password in it.
    raise ConfigError("This is no url of a place where exports can be.", hint)


def _split(url: str) -> SplitResult:
    try:
        return urlsplit(url)
    except ValueError:
        return SplitResult("?", "", "", "", "")


def check_endpoint(url: str, *, allow_http: bool) -> None:
    """Refuses an endpoint that is not a URL, or that would send data unencrypted."""
    parts = _ENDPOINT.fullmatch(url)
    if not parts or not _is_host(parts["host"]) or not _is_port(parts["port"]):
        raise ConfigError(
            "An endpoint must be a URL with a scheme, a host, an optional port, and nothing else.",
            "For example https://dynamodb.us-west-2.amazonaws.com or http://localhost:8000.",
        )
    if parts["scheme"] == "http" and not allow_http and not _is_loopback(parts["host"]):
        raise ConfigError(
            "Anyone on the network can read plain http, so it is allowed only for endpoints on "
            "this machine.",
            "Use https, or set source.allow_http to true.",
        )


def region_of(url: str) -> str | None:
    """The Region that an endpoint of AWS is in; None for any other, which may serve several."""
    host = (_split(url).hostname or "").lower()
    if not host.endswith(AWS_HOSTS):
        return None
    return next(filter(is_usual_region, host.split(".")), None)


def _is_host(host: str) -> bool:
    """Whether a host is an IP address or a valid host name."""
    if not host.startswith("["):
        return all(map(_LABEL.fullmatch, host.removesuffix(".").split(".")))
    try:
        return bool(ip_address(host.strip("[]")))
    except ValueError:
        return False


def choices_of(region: str | None, regions: tuple[str, ...]) -> tuple[str, ...]:
    """Every Region that a table may be read in, first choice first."""
    return tuple(dict.fromkeys((region, *regions) if region else regions))


def check_one_region(url: str, choices: Sequence[str]) -> None:
    """Raises ConfigError for an endpoint of one Region where several may be read."""
    own = region_of(url)
    others = [each for each in choices if each != own]
    if own and others and len(choices) > 1:
        raise ConfigError(
            f"This is an endpoint of {own}, through which {others[0]} cannot be read.",
            "Leave it out, and each Region has its own; or list one Region only.",
        )


def _is_port(port: str | None) -> bool:
    return port is None or 1 <= int(port) <= LAST_PORT


def _is_loopback(host: str) -> bool:
    name = host.strip("[]").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False


def check_start(start: bool, url: str | None, tables: Sequence[str] = ()) -> None:
    """Raises ConfigError if exports may be started, and nothing says in which bucket.

    Also if incremental exports of `tables` are to be read, and nothing says where they are.
    """
    if tables and url is None:
        raise ConfigError(
            f"tables.{tables[0]} needs incremental exports, and nothing says where they are.",
            "Set exports.url to the folder that holds AWSDynamoDB/, or leave out `follow: exports` "
            "or `on_gap: repair`, which needs them.",
        )
    if start and not (url or "").startswith("s3://"):
        raise ConfigError(
            "exports.start is true, and exports.url names no bucket to export to.",
            "Set exports.url to s3://bucket/prefix, or exports.start to false.",
        )
