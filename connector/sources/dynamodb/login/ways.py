"""The ways of logging in that botocore supports, with the names that users know."""

from dataclasses import dataclass
from typing import Any

from connector.sources.dynamodb.login.answers import Exchange
from connector.sources.dynamodb.login.files import AwsFiles

ROLE = "source.role_arn"
HOST = "host"
SETTINGS = "settings"

_SUBJECTS = {
    "env": "AWS_ACCESS_KEY_ID",
    "shared-credentials-file": "The profile {profile} in {file}",
    "config-file": "The profile {profile} in {file}",
    "custom-process": "credential_process of the profile {profile} in {file}",
    "assume-role": "The role of the profile {profile} in {file}",
    "assume-role-with-web-identity": "Web identity",
    "sso": "AWS SSO, for the profile {profile} in {file}",
    "login": "`aws login`, for the profile {profile} in {file}",
    "container-role": "The container's credentials endpoint",
    "iam-role": "The instance metadata service",
    "ec2-credentials-file": "The file that AWS_CREDENTIAL_FILE names",
    "boto-config": "The file that BOTO_CONFIG names",
    ROLE: ROLE,
    SETTINGS: "AWS cannot be called",
    HOST: "The credentials of the connection",
}
_SERVICES = {
    "assume-role": "STS",
    "assume-role-with-web-identity": "STS",
    ROLE: "STS",
    HOST: "STS",
    "sso": "AWS SSO",
    "login": "AWS Sign-In",
}
_PARTS = {
    "env": ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"),
    "shared-credentials-file": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    "config-file": ("aws_access_key_id", "aws_secret_access_key", "aws_session_token"),
    "custom-process": ("AccessKeyId", "SecretAccessKey", "SessionToken"),
    "container-role": ("AccessKeyId", "SecretAccessKey", "Token"),
    "iam-role": ("AccessKeyId", "SecretAccessKey", "Token"),
}
_USUAL_PARTS = ("access key id", "secret access key", "session token")


@dataclass(frozen=True)
class Way:
    """One way of logging in, for one profile."""

    method: str
    """botocore's name for the way."""
    profile: str
    files: AwsFiles
    exchange: Exchange
    session: Any

    @property
    def subject(self) -> str:
        """What errors call the way."""
        return _SUBJECTS.get(self.method, self.method).format(
            profile=self.profile, file=self.files.of_profile(self.profile)
        )

    def part(self, index: int) -> str:
        """The name of the access key id (0), the secret key (1) or the token (2)."""
        return _PARTS.get(self.method, _USUAL_PARTS)[index]

    @property
    def service(self) -> str:
        """The service that it asks for credentials."""
        return _SERVICES.get(self.method, self.subject)
