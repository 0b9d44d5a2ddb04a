"""A session of `aws login`: used while it holds, renewed by AWS Sign-In, refused in our words."""

import base64
import hashlib
import json
from typing import Self

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, utils

from connector.errors import ConnectorError

from .account import OUTER_ROLE, SECRET, STATIC, TOKEN, Account, later

NAME = "arn:aws:iam::123456789012:user/me"


class EllipticCurve:
    """The part of awscrt that signs: botocore needs no more of that package, which is large."""

    def __init__(self, key: ec.EllipticCurvePrivateKey) -> None:
        self._key = key

    @classmethod
    def new_key_from_der_data(cls, data: bytes) -> Self:
        key = serialization.load_der_private_key(data, None)
        assert isinstance(key, ec.EllipticCurvePrivateKey)
        return cls(key)

    def get_public_coords(self) -> tuple[bytes, bytes]:
        point = self._key.public_key().public_numbers()
        return point.x.to_bytes(32, "big"), point.y.to_bytes(32, "big")

    def sign(self, digest: bytes) -> bytes:
        return self._key.sign(digest, ec.ECDSA(utils.Prehashed(hashes.SHA256())))

    @staticmethod
    def decode_der_signature_to_padded_pair(signature: bytes, pad_to: int) -> bytes:
        r, s = utils.decode_dss_signature(signature)
        return r.to_bytes(pad_to, "big") + s.to_bytes(pad_to, "big")


@pytest.fixture(autouse=True)
def curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("botocore.credentials.EC", EllipticCurve)


def logged_in(account: Account, seconds: float, **changed: object) -> None:
    """What `aws login` leaves behind, with credentials for so many seconds more."""
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    held = {
        "accessToken": {
            "accessKeyId": STATIC,
            "secretAccessKey": SECRET,
            "sessionToken": TOKEN,
            "accountId": "123456789012",
            "expiresAt": later(seconds),
        },
        "refreshToken": "canary",
        "dpopKey": f"-----BEGIN EC PRIVATE KEY-----\n{base64.b64encode(key).decode()}\n",
        "clientId": "arn:aws:signin:::devtools/same-device",
        **changed,
    }
    account.config(f"[profile reader]\nlogin_session = {NAME}\n")
    name = hashlib.sha256(NAME.encode()).hexdigest()
    account.file(f"cache/{name}.json", json.dumps(held))
    account.variables = {
        "AWS_PROFILE": "reader",
        "AWS_LOGIN_CACHE_DIRECTORY": str(account.home / "cache"),
    }


def test_a_session_that_holds_is_used(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    logged_in(account, 7200)
    account.source(monkeypatch).describe()
    assert account.ways() == {STATIC}


def test_a_session_that_ends_is_renewed_and_kept(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, -60)
    account.source(monkeypatch).describe()
    account.source(monkeypatch).describe()
    assert account.ways() == {"CreateOAuth2Token"}
    assert len(account.logins.asked("CreateOAuth2Token")) == 1


def test_a_role_is_assumed_over_a_session(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, 60)
    account.source(monkeypatch, CONNECTOR_SOURCE__ROLE_ARN=OUTER_ROLE).describe()
    assert account.ways() == {"AssumeRole"}


def failing(account: Account, monkeypatch: pytest.MonkeyPatch) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        account.source(monkeypatch, CONNECTOR_SOURCE__RETRY_SECONDS="0.2").describe()
    assert "canary" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "changed",
    [{"dpopKey": "x"}, {"dpopKey": 5}, {"accessToken": {}}, {"accessToken": None}, {"clientId": 1}],
)
def test_a_session_that_is_garbled_wants_a_new_one(
    account: Account, changed: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, 60, **changed)
    problem = failing(account, monkeypatch)
    assert problem.exit_code == 2
    assert "`aws login" in problem.hint or "Correct" in problem.hint


def test_a_session_that_is_not_there_wants_a_new_one(
    account: Account, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged_in(account, 60)
    account.variables["AWS_LOGIN_CACHE_DIRECTORY"] = str(account.home / "elsewhere")
    problem = failing(account, monkeypatch)
    assert problem.exit_code == 2
    assert "aws login --profile reader" in problem.hint


@pytest.mark.parametrize(
    ("code", "status", "reason", "exit_code", "says"),
    [
        ("AccessDeniedException", 400, "TOKEN_EXPIRED", 2, "aws login --profile reader"),
        ("AccessDeniedException", 400, "USER_CREDENTIALS_CHANGED", 2, "aws login"),
        ("AccessDeniedException", 400, "INSUFFICIENT_PERMISSIONS", 2, "policy"),
        ("ValidationException", 400, "", 2, "CreateOAuth2Token"),
        ("TooManyRequestsError", 429, "", 4, "CreateOAuth2Token"),
        ("InternalServerException", 500, "", 4, "CreateOAuth2Token"),
    ],
)
def test_what_sign_in_refuses_is_refused_and_what_passes_is_for_later(
    account: Account,
    code: str,
    status: int,
    reason: str,
    exit_code: int,
    says: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    logged_in(account, 60)
    body = json.dumps({"error": reason, "message": "canary"}).encode()
    account.logins.reply("CreateOAuth2Token", body, status=status, code=code)
    problem = failing(account, monkeypatch)
    assert problem.exit_code == exit_code
    assert says in str(problem)
