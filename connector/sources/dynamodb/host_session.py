"""Errors of a session that a host program opens itself to get credentials before our calls."""

from botocore.exceptions import BotoCoreError, ProfileNotFound

from connector.errors import SourceRefused
from connector.sources.dynamodb.calls import translate
from connector.sources.dynamodb.refused.answers import CREDENTIAL_TRIES


def of_a_session(error: Exception) -> Exception:
    """The error for an exception while obtaining credentials; a refusal by AWS is final.

    Exceptions that botocore did not raise are returned unchanged.
    """
    if isinstance(error, ProfileNotFound):
        return SourceRefused(
            f"There is no profile {error.kwargs.get('profile')} in the AWS configuration files on "
            "this machine.",
            "Correct its name, or add it to ~/.aws/config.",
        )
    problem = translate(error, CREDENTIAL_TRIES)
    if problem is not error:
        return problem
    if isinstance(error, BotoCoreError):
        return SourceRefused(
            f"AWS cannot be called: {type(error).__name__}.",
            "Check the credentials, the role and the Region.",
        )
    return error
