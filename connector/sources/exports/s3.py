"""The log-in to a bucket: that of the table's source, in credentials that pyarrow understands."""

import re
import threading
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import get_environ_proxies
from pyarrow import fs

from connector.config.model import SourceConfig
from connector.config.urls import check_endpoint
from connector.errors import ConfigError, ConnectorError, SourceRefused, Unreachable
from connector.sources.dynamodb.login.session import Login, log_in
from connector.sources.dynamodb.login.surroundings import check_endpoints, endpoint
from connector.sources.dynamodb.refused.answers import CREDENTIAL_TRIES, of_answer
from connector.sources.dynamodb.refused.refusals import of_botocore

SERVICE = "s3"
TRIES = 6
"""How often a request is sent to S3; pyarrow waits between them, each time twice as long."""
_ELSEWHERE = re.compile(r"HTTP status (?:301|400)")
_MISSING = frozenset(("NoSuchBucket", "NoSuchKey", "404"))
_DENIED = frozenset(("AccessDenied", "AllAccessDisabled", "403", "InvalidObjectState"))
_BUSY = frozenset(("SlowDown", "RequestTimeout", "Throttling", "OperationAborted"))
_VARIANTS = ("use_fips_endpoint", "use_dualstack_endpoint")


class S3Bucket:
    """A bucket as the source's credentials read it; they are renewed while it is read."""

    def __init__(self, name: str, source: SourceConfig, credentials: Any = None) -> None:
        self._name = name
        self._source = source
        self._login = log_in(source, credentials)
        self._region = self._login.region
        self._lock = threading.Lock()
        self._made: fs.FileSystem | None = None
        self._made_with: object = None
        try:
            self._options = _options(self._login, source)
        except Exception as error:
            raise self._login.refusal(error) from None

    def filesystem(self) -> fs.FileSystem:
        """To read with now.

        Raises SourceRefused where there are no credentials, and what is transient where a later try
        may help.
        """
        frozen = self._login.session.get_credentials().get_frozen_credentials()
        with self._lock:
            wanted = (frozen, self._region)
            if self._made is None or self._made_with != wanted:
                self._made = fs.S3FileSystem(
                    access_key=frozen.access_key,
                    secret_key=frozen.secret_key,
                    session_token=frozen.token,
                    region=self._region,
                    retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=TRIES),
                    **self._options,
                )
                self._made_with = wanted
            return self._made

    def moved(self, error: OSError) -> bool:
        """Whether an error comes from a Region where the bucket is not; it is read in its own then.

        The bucket of an export may be in any.
        """
        if not _ELSEWHERE.search(str(error)):
            return False
        region = self._asked("head_bucket").get("x-amz-bucket-region")
        if not region or region == self._region:
            return False
        self._region = region
        return True

    def problem(self, error: OSError, path: str, url: str) -> ConnectorError:
        """Our error for one of S3. pyarrow hides much of why, so botocore asks once more."""
        try:
            key, client = path.partition("/")[2], self._client()
            client.list_objects_v2(Bucket=self._name, Prefix=f"{key}/", MaxKeys=1)
            client.get_object(Bucket=self._name, Key=key, Range="bytes=0-0")
        except ClientError as answer:
            return told(answer, url)
        except BotoCoreError as problem:
            return of_botocore(problem, "S3")
        return _passing(url, "no answer")

    def _asked(self, operation: str) -> Mapping[str, str]:
        """The headers of an answer, whatever it is."""
        try:
            answer = getattr(self._client(), operation)(Bucket=self._name)
        except ClientError as error:
            answer = error.response
        except BotoCoreError:
            return {}
        headers: Mapping[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
        return headers

    def _client(self) -> Any:
        try:
            return self._login.session.create_client(SERVICE, region_name=self._region)
        except Exception as error:
            raise self._login.refusal(error) from None


def told(answer: ClientError, url: str) -> ConnectorError:
    """Our error for what S3 answers when an url is asked for."""
    code = str(answer.response.get("Error", {}).get("Code", ""))
    status = int(answer.response["ResponseMetadata"].get("HTTPStatusCode", 0))
    if code in _MISSING:
        return ConfigError(
            f"There is no {url} ({code}).", "Check the bucket, the prefix, and that all is copied."
        )
    if status >= 500 or code in _BUSY or not code:
        return _passing(url, code or str(status))
    if code in _DENIED or code.startswith("KMS"):
        return SourceRefused(
            f"S3 refused to let {url} be read ({code}).",
            "The credentials need s3:GetObject and s3:ListBucket there, and kms:Decrypt on the key "
            "of an export that is encrypted with one.",
        )
    return of_answer(answer, CREDENTIAL_TRIES)


def _passing(url: str, why: str) -> ConnectorError:
    return Unreachable(
        f"S3 did not let {url} be read for now ({why}).",
        "Check the network, and run the same command again later: it goes on where it stopped.",
    )


def _options(login: Login, source: SourceConfig) -> dict[str, Any]:
    """Where S3 is, and how it is reached, as botocore's own settings say it."""
    session = login.session
    check_endpoints(session, [SERVICE], source.allow_http)
    url = endpoint(session, SERVICE)
    if url is None and any(session.get_config_variable(each) for each in _VARIANTS):
        url = session.create_client(SERVICE).meta.endpoint_url
    options: dict[str, Any] = {
        "connect_timeout": source.connect_timeout,
        "request_timeout": source.read_timeout,
    }
    if url is not None:
        check_endpoint(url, allow_http=source.allow_http)
        parts = urlsplit(url)
        options |= {"endpoint_override": parts.netloc, "scheme": parts.scheme}
    proxies = get_environ_proxies(url or f"https://s3.{login.region}.amazonaws.com")
    proxy = proxies.get("http" if url and url.startswith("http:") else "https")
    if proxy:
        options["proxy_options"] = proxy if "://" in proxy else f"http://{proxy}"
    bundle = session.get_config_variable("ca_bundle")
    if bundle:
        options["tls_ca_file_path"] = bundle
    return options
