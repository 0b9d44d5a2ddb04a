"""The url of a Postgres database as libpq gets it: encrypted, and with an end to every wait."""

import os
from collections.abc import Mapping, Sequence
from ipaddress import ip_address
from urllib.parse import parse_qs, urlencode, urlsplit

# Half a minute without an answer, or without a sign of life, and the server counts as gone.
_DEFAULTS = {
    "connect_timeout": ("10", "PGCONNECT_TIMEOUT"),
    "application_name": ("connector", "PGAPPNAME"),
    "keepalives_idle": ("15", None),
    "keepalives_interval": ("5", None),
    "keepalives_count": ("3", None),
    "tcp_user_timeout": ("30000", None),
}


def libpq_url(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """The url with what it leaves open: `sslmode=verify-full` off this machine, and time-outs."""
    said = parse_qs(urlsplit(url).query, keep_blank_values=True)
    missing = {
        name: value
        for name, (value, variable) in _DEFAULTS.items()
        if name not in said and not (variable and environment.get(variable))
    }
    if not {"sslmode", "ssl"} & said.keys() and not _stays_here(url, said, environment):
        missing["sslmode"] = "verify-full"
    separator = "&" if urlsplit(url).query else "?"
    return url.rstrip("?") + separator + urlencode(missing) if missing else url


def _stays_here(
    url: str, said: Mapping[str, Sequence[str]], environment: Mapping[str, str]
) -> bool:
    """Whether every host of the url is this machine: nobody can listen in between."""
    hosts = _hosts(url, said)
    if not hosts and ("service" in said or environment.get("PGSERVICE")):
        return False
    hosts = hosts or [environment.get("PGHOST", ""), environment.get("PGHOSTADDR", "")]
    return all(_is_local(host) for each in hosts for host in each.split(","))


def _hosts(url: str, said: Mapping[str, Sequence[str]]) -> list[str]:
    named = [host for name in ("host", "hostaddr") for host in said.get(name, ())]
    hosts = urlsplit(url).netloc.rpartition("@")[2]
    if hosts:
        named += [_without_port(host) for host in hosts.split(",")]
    return named


def _without_port(host: str) -> str:
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@", "%2F", "%2f")) or host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
