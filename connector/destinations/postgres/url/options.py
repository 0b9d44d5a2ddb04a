"""The options that the url of a Postgres database may have, those of libpq, and their values."""

import re

from connector.config.layers import suggest
from connector.errors import ConfigError

# `replication` is left out: it means another protocol.
OPTIONS = frozenset(
    (
        "application_name",
        "channel_binding",
        "client_encoding",
        "connect_timeout",
        "dbname",
        "fallback_application_name",
        "gssdelegation",
        "gssencmode",
        "gsslib",
        "host",
        "hostaddr",
        "keepalives",
        "keepalives_count",
        "keepalives_idle",
        "keepalives_interval",
        "krbsrvname",
        "load_balance_hosts",
        "max_protocol_version",
        "min_protocol_version",
        "oauth_client_id",
        "oauth_client_secret",
        "oauth_issuer",
        "oauth_scope",
        "options",
        "passfile",
        "password",
        "port",
        "require_auth",
        "requirepeer",
        "scram_client_key",
        "scram_server_key",
        "service",
        "ssl_max_protocol_version",
        "ssl_min_protocol_version",
        "sslcert",
        "sslcertmode",
        "sslcompression",
        "sslcrl",
        "sslcrldir",
        "sslkey",
        "sslkeylogfile",
        "sslmode",
        "sslnegotiation",
        "sslpassword",
        "sslrootcert",
        "sslsni",
        "target_session_attrs",
        "tcp_user_timeout",
        "user",
    )
)
"""Every option that libpq knows and a url may have."""

_SSL_MODES = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
_NUMBERS = (
    "connect_timeout",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "tcp_user_timeout",
)
_NUMBER = re.compile("-?[0-9]{1,9}")
_SECRETS = ("password", "sslpassword", "oauth_client_secret")
_SCHEMAS = ("schema", "schemas", "currentschema", "current_schema", "search_path", "searchpath")
_LONGEST_SHOWN = 40


def is_known(name: str) -> bool:
    """Whether an option exists; `ssl` is other drivers' name for `sslmode`."""
    return name in OPTIONS or name == "ssl"


def is_secret(name: str) -> bool:
    """Whether the value of an option is a secret."""
    return name in _SECRETS


def libpq_option(name: str, value: str) -> tuple[str, str] | None:
    """An option as libpq accepts it; None for one that we set anyway. Raises ConfigError."""
    if name == "ssl" and value.lower() == "true":
        return "sslmode", "require"
    if name not in OPTIONS:
        raise ConfigError(
            f"The url of a Postgres database has an unknown option, {_shown(name)}.",
            _hint_for(name),
        )
    if not value:
        raise ConfigError(
            f"The option {name} in the url of a Postgres database has no value.",
            f"Write {name}=VALUE, or leave it out.",
        )
    if name == "sslmode" and value not in _SSL_MODES:
        raise _wrong(name, f"one of {', '.join(_SSL_MODES)}")
    if name in _NUMBERS and not _NUMBER.fullmatch(value):
        raise _wrong(name, "a whole number")
    if name != "client_encoding":
        return name, value
    if re.sub("[^a-z0-9]", "", value.lower()) not in ("utf8", "unicode", "auto"):
        raise _wrong(name, "UTF8, which the connector sets by itself")
    return None


def _wrong(name: str, allowed: str) -> ConfigError:
    return ConfigError(
        f"The option {name} in the url of a Postgres database has a value that is not allowed.",
        f"It must be {allowed}; or leave it out.",
    )


def _shown(name: str) -> str:
    return name if name.isprintable() and len(name) <= _LONGEST_SHOWN else "whose name is too long"


def _hint_for(name: str) -> str:
    if name == "ssl":
        return "Write sslmode=require, or sslmode=verify-full to verify the certificate as well."
    if name.lower() in _SCHEMAS:
        return "Name the schema of the tables with `destination.schema`."
    return f"{suggest(name, sorted(OPTIONS))} Its options are those of libpq."
