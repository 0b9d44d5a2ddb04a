"""R6: the services that hand out credentials, over real HTTP on loopback.

with Logins() as logins:
    logins.lifetime = 5.0
    logins.refuse("AssumeRole", "AccessDenied", status=403, times=1)
    ... AWS_ENDPOINT_URL_STS=logins.url ...
    logins.asked("AssumeRole")[0].parameters["RoleArn"]
    logins.issued[key].role

It speaks STS, AWS SSO, SSO OIDC, AWS Sign-In, the container's endpoint and instance metadata.
"""

import json
import re
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl, urlsplit
from xml.sax.saxutils import escape

from .scripted.errors import ServiceError

ACCOUNT = "123456789012"
_CREDENTIAL = re.compile(r"Credential=(?P<key>[^/,]*)/[0-9]+/(?P<region>[^/]*)/")
_METADATA = "/latest/meta-data/iam/security-credentials/"


@dataclass(frozen=True)
class Asked:
    """One request: what it asked for, and who signed it for which Region."""

    operation: str
    parameters: Mapping[str, str]
    headers: Mapping[str, str]
    path: str
    key: str
    region: str


@dataclass(frozen=True)
class Issued:
    """Credentials that were handed out."""

    operation: str
    key: str
    role: str
    expires: float


@dataclass(frozen=True)
class Reply:
    """A status and a body; a delay before them."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0


@dataclass
class _Fault:
    reply: Reply
    times: int


class Logins:
    """Every service that gives credentials, steered by the test that started it."""

    def __init__(self, encryption: ssl.SSLContext | None = None) -> None:
        self._scheme = "https" if encryption else "http"
        self.lifetime = 3600.0
        """Seconds that credentials hold which are handed out from now on."""
        self.issued: dict[str, Issued] = {}
        self.container_token = ""
        """What the container's endpoint wants as its Authorization; anything if empty."""
        self.sso_tokens = {"sso-token-0"}
        """The tokens that AWS SSO accepts."""
        self._log: list[Asked] = []
        self._faults: dict[str, _Fault] = {}
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if encryption:
            self._server.socket = encryption.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, name="logins")

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def url(self) -> str:
        """The address of every service."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}"

    @property
    def variables(self) -> dict[str, str]:
        """The variables that lead botocore here."""
        return {
            "AWS_ENDPOINT_URL_STS": self.url,
            "AWS_ENDPOINT_URL_SSO": self.url,
            "AWS_ENDPOINT_URL_SSO_OIDC": self.url,
            "AWS_ENDPOINT_URL_SIGNIN": self.url,
        }

    def asked(self, operation: str) -> list[Asked]:
        """The requests for one operation."""
        with self._lock:
            return [each for each in self._log if each.operation == operation]

    def operations(self) -> list[str]:
        """Every operation, in the order they were asked for."""
        with self._lock:
            return [each.operation for each in self._log]

    def refuse(
        self,
        operation: str,
        code: str,
        message: str = "",
        *,
        status: int = 400,
        times: int = 10**9,
    ) -> None:
        """Answers an operation with an error, in its service's own form."""
        if operation in ("AssumeRole", "AssumeRoleWithWebIdentity", "GetCallerIdentity"):
            body = (
                f"<ErrorResponse><Error><Type>Sender</Type><Code>{code}</Code>"
                f"<Message>{escape(message or code)}</Message></Error></ErrorResponse>"
            )
        else:
            body = json.dumps({"message": message or code, "error": code})
        self.reply(operation, body.encode(), status=status, times=times, code=code)

    def reply(
        self,
        operation: str,
        body: bytes,
        *,
        status: int = 200,
        times: int = 10**9,
        code: str = "",
        delay: float = 0.0,
    ) -> None:
        """Answers an operation with this body."""
        headers = {"x-amzn-ErrorType": code} if code else {}
        with self._lock:
            self._faults[operation] = _Fault(Reply(status, body, headers, delay), times)

    def mend(self) -> None:
        """Answers everything well again."""
        with self._lock:
            self._faults.clear()

    def admits(self, key: str) -> ServiceError | None:
        """Whether a service of AWS would accept this key now; for `ScriptedDynamoDB.admits`."""
        issued = self.issued.get(key)
        if issued is None:
            return ServiceError("UnrecognizedClientException", "The security token is invalid.")
        if issued.expires < time.time():
            return ServiceError("ExpiredTokenException", "The security token is expired")
        return None

    def answer(self, asked: Asked) -> Reply:
        """The answer to one request."""
        with self._lock:
            self._log.append(asked)
            fault = self._faults.get(asked.operation)
            if fault and fault.times > 0:
                fault.times -= 1
                return fault.reply
        return getattr(self, f"_{asked.operation}")(asked)  # type: ignore[no-any-return]

    def _issue(self, asked: Asked, role: str) -> dict[str, str]:
        with self._lock:
            key = f"ASIA{asked.operation}{len(self.issued)}"
            issued = Issued(asked.operation, key, role, time.time() + self.lifetime)
            self.issued[key] = issued
        when = datetime.fromtimestamp(issued.expires, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {
            "AccessKeyId": key,
            "SecretAccessKey": f"secret-of-{key}",
            "SessionToken": f"token-of-{key}",
            "Expiration": when,
        }

    def _AssumeRole(self, asked: Asked) -> Reply:
        role = asked.parameters["RoleArn"]
        made = self._issue(asked, role)
        held = "".join(f"<{name}>{value}</{name}>" for name, value in made.items())
        user = f"<AssumedRoleUser><Arn>{role}/connector</Arn></AssumedRoleUser>"
        return _xml(asked.operation, f"{user}<Credentials>{held}</Credentials>")

    _AssumeRoleWithWebIdentity = _AssumeRole

    def _GetCallerIdentity(self, asked: Asked) -> Reply:
        issued = self.issued.get(asked.key)
        arn = issued.role if issued else f"arn:aws:iam::{ACCOUNT}:user/{asked.key}"
        return _xml(asked.operation, f"<Arn>{arn}</Arn><Account>{ACCOUNT}</Account>")

    def _GetRoleCredentials(self, asked: Asked) -> Reply:
        if asked.headers.get("x-amz-sso_bearer_token") not in self.sso_tokens:
            body = {"message": "Session token not found or invalid"}
            return Reply(
                401, json.dumps(body).encode(), {"x-amzn-ErrorType": "UnauthorizedException"}
            )
        made = self._issue(asked, asked.parameters["role_name"])
        return _json(
            {
                "roleCredentials": {
                    "accessKeyId": made["AccessKeyId"],
                    "secretAccessKey": made["SecretAccessKey"],
                    "sessionToken": made["SessionToken"],
                    "expiration": int(self.issued[made["AccessKeyId"]].expires * 1000),
                }
            }
        )

    def _CreateToken(self, asked: Asked) -> Reply:
        with self._lock:
            token = f"sso-token-{len(self.sso_tokens)}"
            self.sso_tokens.add(token)
        return _json({"accessToken": token, "expiresIn": 28800, "refreshToken": f"after-{token}"})

    def _CreateOAuth2Token(self, asked: Asked) -> Reply:
        made = self._issue(asked, "login")
        return _json(
            {
                "accessToken": {
                    "accessKeyId": made["AccessKeyId"],
                    "secretAccessKey": made["SecretAccessKey"],
                    "sessionToken": made["SessionToken"],
                },
                "tokenType": "urn:aws:params:oauth:token-type:access_token_sigv4",
                "expiresIn": int(self.lifetime),
                "refreshToken": "next",
            }
        )

    def _Container(self, asked: Asked) -> Reply:
        if self.container_token and asked.headers.get("authorization") != self.container_token:
            return Reply(401, b'{"message": "no"}')
        made = self._issue(asked, asked.path)
        return _json({**made, "Token": made["SessionToken"]})

    def _MetadataToken(self, asked: Asked) -> Reply:
        return Reply(200, b"metadata-token")

    def _MetadataRole(self, asked: Asked) -> Reply:
        if asked.headers.get("x-aws-ec2-metadata-token") != "metadata-token":
            return Reply(401, b"")
        return Reply(200, b"instance-role")

    def _Metadata(self, asked: Asked) -> Reply:
        made = self._issue(asked, "instance-role")
        return _json({**made, "Token": made["SessionToken"], "Code": "Success"})


def _xml(operation: str, result: str) -> Reply:
    body = (
        f'<{operation}Response xmlns="https://sts.amazonaws.com/doc/2011-06-15/">'
        f"<{operation}Result>{result}</{operation}Result>"
        f"<ResponseMetadata><RequestId>1</RequestId></ResponseMetadata></{operation}Response>"
    )
    return Reply(200, body.encode(), {"Content-Type": "text/xml"})


def _json(body: Any) -> Reply:
    return Reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})


def _operation(method: str, path: str, parameters: Mapping[str, str]) -> str:
    if path == "/federation/credentials":
        return "GetRoleCredentials"
    if path == "/token":
        return "CreateToken"
    if path == "/v1/token":
        return "CreateOAuth2Token"
    if path == "/latest/api/token":
        return "MetadataToken"
    if path == _METADATA:
        return "MetadataRole"
    if path.startswith(_METADATA):
        return "Metadata"
    return parameters.get("Action", "Container")


def _handler(logins: Logins) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _handle(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            url = urlsplit(self.path)
            parameters = dict(parse_qsl(url.query))
            if "json" not in self.headers.get("Content-Type", ""):
                parameters |= dict(parse_qsl(body.decode("latin-1")))
            signed = _CREDENTIAL.search(self.headers.get("Authorization", ""))
            asked = Asked(
                _operation(self.command, url.path, parameters),
                parameters,
                {name.lower(): value for name, value in self.headers.items()},
                url.path,
                signed["key"] if signed else "",
                signed["region"] if signed else "",
            )
            reply = logins.answer(asked)
            time.sleep(reply.delay)
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(reply.body)))
            self.end_headers()
            self.wfile.write(reply.body)

        do_GET = do_POST = do_PUT = _handle

        def log_message(self, *_: object) -> None:
            """Says nothing: the test asks for what was asked."""

    return Handler
