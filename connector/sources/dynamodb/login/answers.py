"""Interprets the answers of STS, AWS SSO and `aws login` that contain no credentials."""

import re
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import ClientError

from connector.errors import ConnectorError, SourceRefused, Throttled, Unreachable
from connector.sources.dynamodb.refused.answers import THROTTLES

_PASSING = THROTTLES | {"TooManyRequestsException", "IDPCommunicationError"}
_BAD_KEYS = frozenset(
    (
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "IncompleteSignature",
        "MissingAuthenticationToken",
    )
)
_CLOCK = re.compile(r"signature expired|not yet current|request has expired", re.IGNORECASE)


@dataclass
class Exchange:
    """The latest requests and answers while logging in, which botocore's errors do not contain."""

    role: str = ""
    token_status: int = 0
    """The HTTP status of SSO's answer to the renewal of a token."""
    token_was_read: bool = False
    """Whether SSO was asked for credentials with the token that was found."""
    metadata_status: int = 0
    """The HTTP status of the instance metadata service; 0 if it did not answer at all."""

    def listen(self, session: Any) -> None:
        """Listens to the clients that a botocore session creates to log in."""
        session.register("provide-client-params.sts", self._role)
        # A new client is created for each renewal, before the token is read.
        session.register("creating-client-class.sso", self._begun)
        session.register("after-call.sso-oidc.CreateToken", self._renewed)
        session.register("before-call.sso.GetRoleCredentials", self._presented)

    def _role(self, params: dict[str, Any], **_: Any) -> None:
        self.role = str(params.get("RoleArn", ""))

    def _begun(self, **_: Any) -> None:
        self.token_status, self.token_was_read = 0, False

    def _renewed(self, http_response: Any, **_: Any) -> None:
        self.token_status = http_response.status_code

    def _presented(self, **_: Any) -> None:
        self.token_was_read = True


def passing(status: int) -> bool:
    """Whether an HTTP status means that a later try may succeed."""
    return status >= 500 or status in (408, 429)


def of_answer(error: ClientError, exchange: Exchange) -> ConnectorError:
    """Our error for an error answer while logging in."""
    operation = error.operation_name
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in _PASSING:
        return Throttled(
            f"AWS kept throttling {operation} ({code}).", "Run the same command later."
        )
    # An error without a code of AWS's own comes from a proxy, or was damaged on its way.
    if passing(status) or not code or code.isdecimal():
        return Unreachable(
            f"AWS answered {operation} with {status}{'' if code == str(status) else f' {code}'}.",
            "Run the same command again.",
        )
    message = " ".join(str(error.response["Error"].get("Message", "")).split())
    if operation in ("AssumeRole", "AssumeRoleWithWebIdentity"):
        return _of_sts(operation, code, message, exchange.role)
    if operation == "GetRoleCredentials":
        return SourceRefused(
            f"AWS SSO returned no credentials: it refused GetRoleCredentials with {code}.",
            "Check sso_account_id and sso_role_name of the profile: this user must be assigned to "
            "both.",
        )
    return SourceRefused(
        f"AWS refused {operation}: {code}.", "Check the credentials and log in again."
    )


def _of_sts(operation: str, code: str, message: str, role: str) -> SourceRefused:
    what = f"{operation} of {role}" if role else operation
    by_web = operation == "AssumeRoleWithWebIdentity"
    if _CLOCK.search(message):
        return SourceRefused(
            f"AWS refused {what}: this machine's clock is wrong.",
            "Set the clock, preferably with NTP.",
        )
    if code == "AccessDenied":
        return SourceRefused(
            f"AWS refused {what}: {message or code}".rstrip(".") + ".", _trust(by_web)
        )
    if code in ("ExpiredToken", "ExpiredTokenException"):
        held = "web identity token has" if by_web else "credentials have"
        return SourceRefused(f"AWS refused {what}: the {held} expired.", _renew(by_web))
    if code == "InvalidIdentityToken":
        return SourceRefused(
            f"AWS refused {what}: it does not accept the web identity token.",
            "The role's account needs an OIDC provider of the cluster that issued the token, with "
            "the audience sts.amazonaws.com.",
        )
    if code in _BAD_KEYS:
        return SourceRefused(
            f"AWS refused {what}: it does not know the credentials for it ({code}).",
            "Check the access key and its secret; a key that begins with ASIA also needs its "
            "session token.",
        )
    if code == "RegionDisabledException":
        return SourceRefused(
            f"AWS refused {what}: STS is not active in this Region for the account.",
            "Activate it in the account settings of IAM.",
        )
    if code == "ValidationError":
        return SourceRefused(f"AWS refused {what}: {_invalid(message)}.", _CORRECT_ROLE)
    return SourceRefused(f"AWS refused {what}: {code}.", _trust(by_web))


_CORRECT_ROLE = (
    "Correct it where the role is set: source.role_arn and source.external_id, the profile, or "
    "AWS_ROLE_ARN and AWS_ROLE_SESSION_NAME."
)


def _trust(by_web: bool) -> str:
    if by_web:
        return (
            "The role's trust policy must allow sts:AssumeRoleWithWebIdentity to the cluster's "
            "OIDC provider, for this namespace and service account."
        )
    return (
        "The role's trust policy must name these credentials, with the external id that it "
        "requires (source.external_id), and they need sts:AssumeRole on the role."
    )


def _renew(by_web: bool) -> str:
    if by_web:
        return "The cluster must renew the file that AWS_WEB_IDENTITY_TOKEN_FILE names."
    return "Renew the credentials that assume the role, then run the same command again."


def _invalid(message: str) -> str:
    # The message quotes the value, which may be a secret.
    name = re.search(r"at '(\w+)' failed", message)
    return f"{name[1]} has a form that STS does not accept" if name else "ValidationError"
