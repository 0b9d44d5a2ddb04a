"""The errors that are specific to one way of logging in.

No message here contains the output of a process, the content of a file, or a part of a credential.
"""

import re
from collections.abc import Callable

from botocore import exceptions as aws

from connector.errors import BadAnswer, ConnectorError, SourceRefused, Unreachable
from connector.sources.dynamodb.login.answers import passing
from connector.sources.dynamodb.login.ways import Way
from connector.sources.dynamodb.refused.refusals import sentence

_SOURCES = "Environment, EcsContainer or Ec2InstanceMetadata"
_UNREADABLE = (KeyError, ValueError, TypeError, AttributeError)


def _of_variables(way: Way, error: Exception) -> ConnectorError | None:
    if isinstance(error, aws.PartialCredentialsError):
        return SourceRefused(
            f"AWS_ACCESS_KEY_ID is set, but {error.kwargs['cred_var']} is not.",
            "Set both, or neither.",
        )
    if isinstance(error, _UNREADABLE):
        return SourceRefused(
            "AWS_CREDENTIAL_EXPIRATION is not a time with a time zone.",
            "Write it like 2030-01-31T12:00:00Z, or unset it.",
        )
    return None


def _of_role(way: Way, error: Exception) -> ConnectorError | None:
    if isinstance(error, aws.InfiniteLoopConfigError):
        visited = " -> ".join([*error.kwargs["visited_profiles"], error.kwargs["source_profile"]])
        return SourceRefused(
            f"The source_profile settings form a circle: {visited}.",
            f"Give the last profile credentials of its own, in {way.files.config}.",
        )
    if isinstance(error, aws.CredentialRetrievalError):
        return SourceRefused(
            f"credential_source = {error.kwargs['provider']} of the profile {way.profile} gives no "
            "credentials.",
            "Set the variables that it needs, or name another source.",
        )
    if isinstance(error, aws.PartialCredentialsError):
        return SourceRefused(
            f"The profile {way.profile} in {way.files.of_profile(way.profile)} has a role_arn, but "
            "names no credentials to assume it with.",
            f"Add source_profile, or credential_source: {_SOURCES}.",
        )
    if isinstance(error, aws.InvalidConfigError):
        return SourceRefused(
            f"{way.files.of_profile(way.profile)}: {sentence(error)}", _role_hint(str(error))
        )
    return None


def _role_hint(text: str) -> str:
    if "credential source" in text:
        return f"It must be {_SOURCES}, with exactly this capitalization."
    if "does not exist" in text:
        return "Correct its name, or add the profile; a role may also name a credential_source."
    if "both" in text:
        return "Remove one of the two."
    return "Give it credentials: keys, a credential_process, an sso_session or a role of its own."


def _of_process(way: Way, error: Exception) -> ConnectorError | None:
    hint = "Run the command by hand; it must print the JSON that AWS's documentation describes."
    if isinstance(error, aws.CredentialRetrievalError):
        problem = _of_printed(_message(error))
    elif isinstance(error, OSError):
        program = f" {error.filename}" if isinstance(error.filename, str) else ""
        problem = f"the program{program} cannot be run: {error.strerror}"
        hint = "Write its full path, make it executable, and begin a script with #!."
    elif isinstance(error, IndexError) or "No closing quotation" in str(error):
        problem = "this is not a command"
        hint = "Check its quotes and backslashes."
    elif isinstance(error, _UNREADABLE):
        problem = "it does not print credentials as JSON"
    else:
        return None
    return SourceRefused(f"{way.subject}: {problem}.", hint)


def _of_printed(text: str) -> str:
    missing = re.fullmatch(r"Missing required key in response: '(\w+)'", text)
    if missing:
        return f"it does not print {missing[1]}"
    if text.startswith("Unsupported version '"):
        return "the Version that it prints is not 1"
    return "it ended with an error"


def _of_sso(way: Way, error: Exception) -> ConnectorError | None:
    settings = way.session.full_config.get("profiles", {}).get(way.profile, {})
    name = settings.get("sso_session") or settings.get("sso_start_url")
    token = f"the AWS SSO session {name}, which the profile {way.profile} uses"
    again = _again("aws sso login", way.profile)
    if isinstance(error, aws.TokenRetrievalError | aws.UnauthorizedSSOTokenError):
        if passing(way.exchange.token_status):
            return Unreachable(
                f"AWS SSO answered CreateToken with {way.exchange.token_status}.",
                "Run the same command again.",
            )
        return SourceRefused(f"The token of {token}, has expired.", again)
    if isinstance(error, aws.SSOTokenLoadError):
        return SourceRefused(f"There is no token for {token}.", again)
    if isinstance(error, aws.InvalidConfigError):
        return SourceRefused(
            f"{way.files.config}: {sentence(error)}",
            f"Correct it, or run `aws configure sso --profile {way.profile}`.",
        )
    if isinstance(error, OSError):
        return SourceRefused(
            f"The token of {token}, was renewed, but cannot be stored: "
            f"{error.filename or '~/.aws/sso/cache'}: {error.strerror}.",
            "Make ~/.aws/sso/cache writable.",
        )
    if isinstance(error, _UNREADABLE):
        if way.exchange.token_was_read:
            return BadAnswer(
                "AWS SSO answered GetRoleCredentials without credentials.",
                "Run again; if it happens again, look for a proxy in between.",
            )
        return SourceRefused(f"The token of {token}, cannot be read.", again)
    return None


def _of_login(way: Way, error: Exception) -> ConnectorError | None:
    session = f"The session of `aws login` of the profile {way.profile}"
    again = _again("aws login", way.profile)
    if isinstance(error, aws.MissingDependencyException):
        return SourceRefused(
            f"The profile {way.profile} has a login_session, which needs the package awscrt.",
            "Install it: pip install 'botocore[crt]'.",
        )
    if isinstance(error, aws.LoginInsufficientPermissions):
        return SourceRefused(
            f"{session} may not be renewed.",
            "Its user needs the policy SignInLocalDevelopmentAccess.",
        )
    if isinstance(error, aws.LoginError):
        return SourceRefused(f"{session} has expired, or does not exist.", again)
    if isinstance(error, OSError):
        return SourceRefused(
            f"{session} was renewed, but cannot be stored: "
            f"{error.filename or '~/.aws/login/cache'}: {error.strerror}.",
            "Make ~/.aws/login/cache writable.",
        )
    if isinstance(error, _UNREADABLE):
        return SourceRefused(f"{session} cannot be read.", again)
    return None


_URI = "AWS_CONTAINER_CREDENTIALS_FULL_URI or AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"
_TOKEN = "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN"


def _of_container(way: Way, error: Exception) -> ConnectorError | None:
    subject = way.subject
    if isinstance(error, aws.CredentialRetrievalError):
        return _of_container_answer(subject, _message(error))
    if isinstance(error, OSError) and isinstance(error.filename, str):
        return SourceRefused(
            f"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: {error.filename}: {error.strerror}.",
            "Check that the token is mounted there.",
        )
    if isinstance(error, KeyError):
        return SourceRefused(f"{subject} answered without {error.args[0]}.", f"Check {_URI}.")
    if "legal header value" in str(error) or isinstance(error, UnicodeEncodeError):
        return SourceRefused(
            "The container's authorization token contains something that an HTTP header cannot.",
            f"Check {_TOKEN} for a line break.",
        )
    if "Unsupported host" in str(error):
        return SourceRefused(
            "AWS_CONTAINER_CREDENTIALS_FULL_URI: its host is neither this machine nor one of "
            "AWS's, and it is not https.",
            "Write a full URL, such as http://169.254.170.23/v1/credentials.",
        )
    if isinstance(error, _UNREADABLE):
        return SourceRefused(
            f"{subject} answered without credentials, or its token is not text.",
            f"Check {_URI}, and {_TOKEN}.",
        )
    return None


def _of_container_answer(subject: str, text: str) -> ConnectorError:
    # The text after the status is the answer itself, which is not repeated.
    status = re.search(r"Received non 200 response (\d+) from", text)
    if status and not passing(int(status[1])):
        return SourceRefused(
            f"{subject} answered with {status[1]}.",
            f"Check the role of the task or the pod, and {_TOKEN}.",
        )
    if "Unable to parse JSON" in text:
        return SourceRefused(f"{subject} answered without credentials.", f"Check {_URI}.")
    said = f"answered with {status[1]}" if status else "did not answer"
    return Unreachable(f"{subject} {said}.", f"Check {_URI}, then run the same command again.")


def _of_metadata(way: Way, error: Exception) -> ConnectorError | None:
    if isinstance(error, aws.CredentialRetrievalError):
        status = way.exchange.metadata_status
        if status == 0 or passing(status):
            return Unreachable(
                f"{way.subject} gave no new credentials.", "Run the same command again."
            )
        return SourceRefused(
            f"{way.subject} no longer has credentials.", "Check the role of the instance."
        )
    if isinstance(error, _UNREADABLE):
        return SourceRefused(
            f"{way.subject} answered without credentials.", "Check the role of the instance."
        )
    return None


def _of_web_identity(way: Way, error: Exception) -> ConnectorError | None:
    hint = (
        "Check AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or web_identity_token_file and "
        "role_arn of the profile."
    )
    if isinstance(error, aws.ParamValidationError):
        what = "token is empty" if "WebIdentityToken" in str(error) else "role is not an ARN"
        return SourceRefused(f"{way.subject}: the {what}.", hint)
    if isinstance(error, OSError) and isinstance(error.filename, str):
        return SourceRefused(
            f"{way.subject}: the token cannot be read: {error.filename}: {error.strerror}.", hint
        )
    if isinstance(error, UnicodeError):
        return SourceRefused(f"{way.subject}: the token is not text.", hint)
    if isinstance(error, aws.InvalidConfigError):
        return SourceRefused(f"{way.subject}: there is a token, but no role.", hint)
    return None


OF_METHOD: dict[str, Callable[[Way, Exception], ConnectorError | None]] = {
    "env": _of_variables,
    "assume-role": _of_role,
    "custom-process": _of_process,
    "sso": _of_sso,
    "login": _of_login,
    "container-role": _of_container,
    "iam-role": _of_metadata,
    "assume-role-with-web-identity": _of_web_identity,
}
"""By botocore's name of the way; a function returns None if an error is not specific to it."""


def _again(command: str, profile: str) -> str:
    named = "" if profile == "default" else f" --profile {profile}"
    return f"Run `{command}{named}`, then the same command again."


def _message(error: aws.CredentialRetrievalError) -> str:
    arguments: dict[str, object] = {**error.kwargs}
    return str(arguments.get("error_msg"))
