"""Translates botocore's own errors: temporary ones become Unreachable, the rest SourceRefused.

No message here quotes a text that may hold a secret; only messages of errors known to hold none.
"""

import ssl
from collections.abc import Iterator

from botocore import exceptions as aws
from urllib3.exceptions import HTTPError, LocationValueError, ProxySchemeUnknown

from connector.errors import ConnectorError, SourceRefused, Unreachable

NETWORK = (
    aws.HTTPClientError,
    aws.ConnectionError,
    aws.ResponseStreamingError,
    aws.IncompleteReadError,
)
_SAFE_TO_QUOTE = (
    aws.BaseEndpointResolverError,
    aws.EndpointProviderError,
    aws.InvalidChecksumConfigError,
    aws.InvalidConfigError,
    aws.InvalidDefaultsMode,
    aws.InvalidIMDSEndpointError,
    aws.InvalidIMDSEndpointModeError,
    aws.InvalidRetryConfigurationError,
    aws.InvalidSTSRegionalEndpointsConfigError,
    aws.MetadataRetrievalError,
    aws.MissingDependencyException,
    aws.UnknownServiceError,
)
"""Errors with messages that name a setting and, at most, a value of it that is not a secret."""

PREFIX = "AWS cannot be called: "
_VARIABLES = {
    aws.InvalidDefaultsMode: "AWS_DEFAULTS_MODE",
    aws.InvalidSTSRegionalEndpointsConfigError: "AWS_STS_REGIONAL_ENDPOINTS",
}
_PROXIES = "HTTPS_PROXY, HTTP_PROXY and NO_PROXY"


def of_botocore(error: aws.BotoCoreError, service: str = "DynamoDB") -> ConnectorError:
    """The error for a failure before or during a call to `service`."""
    if isinstance(error, NETWORK):
        return _of_network(error, service)
    if isinstance(error, aws.NoRegionError):
        return no_region()
    if isinstance(error, _SAFE_TO_QUOTE):
        return SourceRefused(
            f"{PREFIX}{sentence(error)}",
            f"Correct {_variable(error)} in the environment, or its "
            "counterpart in AWS's configuration files.",
        )
    return SourceRefused(
        f"{PREFIX}botocore raised {type(error).__name__}.",
        "Check the AWS_ variables and AWS's configuration files; docs/operations.md lists the "
        "ways of logging in.",
    )


def _variable(error: aws.BotoCoreError) -> str:
    """The environment variable of the setting that an error is about."""
    if isinstance(error, aws.InvalidChecksumConfigError):
        return f"AWS_{error.kwargs['config_key'].upper()}"
    return _VARIABLES.get(type(error), "that setting")


def no_region() -> SourceRefused:
    """The error for a Region that is set nowhere."""
    return SourceRefused(f"{PREFIX}no region is set.", "Set AWS_REGION or `source.region`.")


def sentence(error: Exception) -> str:
    """The message of an error as one line that ends in a full stop."""
    text = " ".join(str(error).split())
    return text if text.endswith(".") else f"{text}."


def _of_network(error: aws.BotoCoreError, service: str) -> ConnectorError:
    reasons = list(causes(error))
    if any("407 " in str(reason) for reason in reasons if isinstance(reason, OSError)):
        return SourceRefused(
            f"{service} cannot be reached: the proxy on the way requires a login.",
            "Add it to HTTPS_PROXY: http://user:password@host:port.",
        )
    if _cannot_be_sent(error, reasons):
        return SourceRefused(
            f"{service} cannot be called: the address of a proxy, or of its endpoint, or a header "
            "is malformed.",
            f"Check {_PROXIES}, and the endpoint; a proxy is written as http://host:port.",
        )
    return Unreachable(
        f"{service} did not answer: {sentence(error)}", _network_hint(reasons, service)
    )


def _network_hint(reasons: list[BaseException], service: str) -> str:
    where = "source.endpoint_url" if service == "DynamoDB" else _PROXIES
    if any(isinstance(reason, ssl.SSLCertVerificationError) for reason in reasons):
        return (
            f"Check {where}; if a proxy intercepts the connections, set AWS_CA_BUNDLE to the file "
            "with its certificate."
        )
    return f"Check the network and {where}, then run the same command again."


def _cannot_be_sent(error: aws.BotoCoreError, reasons: list[BaseException]) -> bool:
    """Whether retrying cannot help, because the request failed before a byte was sent."""
    if any(isinstance(reason, LocationValueError | ProxySchemeUnknown) for reason in reasons):
        return True
    if isinstance(error, aws.ProxyConnectionError):
        # botocore puts http:// in front of any other scheme.
        return str({**error.kwargs}.get("proxy_url")).count("://") > 1
    if type(error) is not aws.HTTPClientError:
        return False
    return any(
        isinstance(reason, ValueError | TypeError) and not isinstance(reason, HTTPError | OSError)
        for reason in reasons
    )


def causes(error: BaseException) -> Iterator[BaseException]:
    """The causes of an error, from botocore down to the socket."""
    seen: set[int] = set()
    waiting: list[object] = [error]
    while waiting:
        cause = waiting.pop()
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        if isinstance(cause, aws.BotoCoreError):
            waiting.append(cause.kwargs.get("error"))
        waiting += [*cause.args, getattr(cause, "reason", None), cause.__cause__]
