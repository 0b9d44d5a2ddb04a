"""Translates whatever botocore raises while it looks for credentials."""

import re

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from connector.errors import BadAnswer, ConfigError, ConnectorError, SourceRefused
from connector.sources.dynamodb.login.answers import of_answer
from connector.sources.dynamodb.login.failures import OF_METHOD
from connector.sources.dynamodb.login.surroundings import LOGIN_SERVICES, check_endpoints
from connector.sources.dynamodb.login.ways import Way
from connector.sources.dynamodb.refused.refusals import NETWORK, PREFIX, causes, of_botocore

_NO_URL = ("Invalid endpoint", "Invalid IPv6 URL")
"""How the messages of botocore and Python's URL parser about an invalid endpoint begin."""


def refusal(way: Way, error: Exception) -> ConnectorError:
    """Our error for an exception of botocore, or of the files and programs that it uses."""
    if isinstance(error, ConnectorError):
        return error
    if isinstance(error, ClientError):
        return of_answer(error, way.exchange)
    if isinstance(error, NETWORK):
        return _of_header(way, error) or of_botocore(error, way.service)
    if isinstance(error, ResponseParserError) or (
        isinstance(error, KeyError) and _lacks(way, error)
    ):
        return BadAnswer(
            f"{way.service} answered without credentials.",
            "Run again; if it happens again, look for a proxy in between.",
        )
    problem = _of_setting(way, error)
    if problem is None and way.method in OF_METHOD:
        problem = OF_METHOD[way.method](way, error)
    return problem or _of_kind(way, error)


def _of_header(way: Way, error: aws.BotoCoreError) -> ConnectorError | None:
    """The error for the one header that botocore reads from a file."""
    encoding = next((each for each in causes(error) if isinstance(each, UnicodeEncodeError)), None)
    if encoding is None or way.method not in OF_METHOD:
        return None
    return OF_METHOD[way.method](way, encoding)


def _lacks(way: Way, error: KeyError) -> bool:
    """Whether an answer, rather than a file, has an unexpected shape."""
    return way.service == "STS"


def _of_setting(way: Way, error: Exception) -> ConnectorError | None:
    if isinstance(error, aws.ConfigParseError):
        return way.files.garbled(error)
    if isinstance(error, aws.ProfileNotFound):
        return way.files.no_profile(way.session.available_profiles)
    if isinstance(error, ValueError) and str(error).startswith(_NO_URL):
        try:
            check_endpoints(way.session, LOGIN_SERVICES, allow_http=True)
        except ConfigError as problem:
            return problem
    if isinstance(error, aws.InvalidIMDSEndpointError | aws.InvalidIMDSEndpointModeError):
        return SourceRefused(
            "AWS_EC2_METADATA_SERVICE_ENDPOINT, its mode, or the profile's settings for them "
            "cannot be used.",
            "The endpoint must be a URL, and the mode IPv4 or IPv6.",
        )
    if isinstance(error, aws.InvalidRegionError):
        return SourceRefused(
            f"{way.subject}: it does not name a valid Region.", "A Region looks like us-west-2."
        )
    return None


def _of_kind(way: Way, error: Exception) -> ConnectorError:
    if isinstance(error, aws.PartialCredentialsError):
        return SourceRefused(
            f"{way.subject}: {error.kwargs['cred_var']} is missing.",
            "Set it as well: one is useless without the other.",
        )
    if isinstance(error, aws.RefreshWithMFAUnsupportedError):
        return SourceRefused(
            f"{way.subject}: its session has ended, and a new one needs an MFA code.",
            "Run the same command again in a terminal; it resumes where it stopped.",
        )
    if isinstance(error, aws.ParamValidationError):
        names = sorted(set(re.findall(r"parameter (\w+)", str(error))))
        return SourceRefused(
            f"{way.subject}: {', '.join(names) or 'a parameter'} has a form that AWS does not "
            "accept.",
            "Correct it where it is set.",
        )
    if isinstance(error, RuntimeError) and "still expired" in str(error):
        return SourceRefused(
            f"{way.subject}: these credentials have already expired.",
            "Renew them; if they are new, set this machine's clock.",
        )
    if isinstance(error, OSError):
        place = f"{error.filename}: " if isinstance(error.filename, str) else ""
        return SourceRefused(
            f"{way.subject}: {place}{error.strerror or type(error).__name__}.",
            "Check that the file exists, and that this user may use it.",
        )
    if isinstance(error, BotoCoreError):
        problem = of_botocore(error)
        return SourceRefused(f"{way.subject}: {problem.message.removeprefix(PREFIX)}", problem.hint)
    return SourceRefused(
        f"{way.subject}: its settings or its answer cannot be read ({type(error).__name__}).",
        "Check them; docs/operations.md describes every way of logging in.",
    )
