"""The identity that AWS sees."""

from dataclasses import dataclass
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from connector.config.model import SourceConfig
from connector.errors import BadAnswer
from connector.sources.dynamodb.login.answers import Exchange, of_answer
from connector.sources.dynamodb.login.session import log_in
from connector.sources.dynamodb.refused.refusals import of_botocore


@dataclass(frozen=True)
class CallerIdentity:
    """The account and the ARN that the credentials belong to, and the Region of the request."""

    account: str
    arn: str
    region: str


def caller(source: SourceConfig, credentials: Any = None) -> CallerIdentity:
    """Asks STS in the source's Region; this needs no permission.

    `credentials` are as in `log_in`. Raises what `log_in` raises, and SourceRefused, Unreachable or
    BadAnswer for what STS answers.
    """
    login = log_in(source, credentials)
    config = Config(
        connect_timeout=source.connect_timeout,
        read_timeout=source.read_timeout,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    try:
        answer = login.session.create_client("sts", config=config).get_caller_identity()
    except ClientError as error:
        raise of_answer(error, Exchange()) from error
    except BotoCoreError as error:
        raise of_botocore(error, "STS") from error
    except (ResponseParserError, KeyError):
        answer = {}
    except ValueError as error:
        # The endpoint of STS is not a URL.
        raise login.refusal(error) from None
    if not answer.get("Account") or not answer.get("Arn"):
        raise BadAnswer(
            "STS answered GetCallerIdentity without Account or Arn.",
            "Run again; if it happens again, look for a proxy in between.",
        )
    return CallerIdentity(answer["Account"], answer["Arn"], login.region)
