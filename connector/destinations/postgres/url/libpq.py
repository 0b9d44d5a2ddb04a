"""The url of a Postgres database as libpq gets it: encrypted, and with an end to every wait."""

import os
from collections.abc import Mapping
from ipaddress import ip_address

from connector.destinations.postgres.url.parts import PostgresUrl

# Half a minute without an answer, or without a sign of life, and the server counts as gone.
_DEFAULTS = {
    "connect_timeout": ("10", "PGCONNECT_TIMEOUT"),
    "application_name": ("connector", "PGAPPNAME"),
    "keepalives_idle": ("15", None),
    "keepalives_interval": ("5", None),
    "keepalives_count": ("3", None),
    "tcp_user_timeout": ("30000", None),
    # Without it, PGCLIENTENCODING and the settings of a role would decide how texts arrive.
    "client_encoding": ("UTF8", None),
}


def libpq_url(url: str, environment: Mapping[str, str] = os.environ) -> str:
    """The url, completed with time-outs and, off this machine, `sslmode=verify-full`."""
    parsed = PostgresUrl.parse(url)
    said = dict(parsed.options)
    missing = {
        name: value
        for name, (value, variable) in _DEFAULTS.items()
        if name not in said and not (variable and environment.get(variable))
    }
    text = parsed.text
    if "sslmode" not in said and not _stays_here(parsed, environment):
        missing["sslmode"] = "verify-full"
    separator = "&" if parsed.options else "?"
    return text + separator + "&".join(f"{name}={value}" for name, value in missing.items())


def _stays_here(url: PostgresUrl, environment: Mapping[str, str]) -> bool:
    """Whether every host of the url is this machine: nobody can listen in between."""
    said = dict(url.options)
    hosts = url.named_hosts()
    if not hosts and ("service" in said or environment.get("PGSERVICE")):
        return False
    # An address in the environment is used even if the url names a host.
    left_open = ([] if hosts else ["PGHOST"]) + ([] if "hostaddr" in said else ["PGHOSTADDR"])
    hosts += [host for name in left_open for host in environment.get(name, "").split(",")]
    return all(_is_local(host) for host in hosts)


def _is_local(host: str) -> bool:
    if not host or host.startswith(("/", "@")) or host.lower() == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
