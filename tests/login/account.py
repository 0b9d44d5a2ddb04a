"""An account of AWS on loopback: its table, the services that log in, and a home folder."""

import hashlib
import json
import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from botocore.credentials import SSOProvider
from botocore.tokens import SSOTokenProvider

from connector import job
from connector.config import loading as configuration
from connector.ports import Lookup
from tests.cli.program import Program
from tests.pipeline.replica import ORDERS
from tests.rigs.logins import Logins
from tests.rigs.ready import Done, Run
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.errors import ServiceError

STATIC = "AKIASTATIC"
SECRET = "canary-secret-key"
TOKEN = "canary-session-token"
OUTER_ROLE = "arn:aws:iam::210987654321:role/outer"
ANONYMOUS = {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
INNER_ROLE = "arn:aws:iam::123456789012:role/inner"


@dataclass
class Account:
    """What a test of a way of logging in needs."""

    program: Program
    rig: ScriptedDynamoDB
    logins: Logins
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def home(self) -> Path:
        """The home folder of the program."""
        return self.program.folder

    def admits(self, key: str) -> ServiceError | None:
        """What the table says of a key: the static one always holds."""
        return None if key == STATIC else self.logins.admits(key)

    def file(self, name: str, text: str) -> Path:
        """A file in the home folder."""
        path = self.home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def config(self, text: str) -> None:
        """Writes ~/.aws/config."""
        self.file(".aws/config", text)

    def process(self, name: str, **answer: Any) -> str:
        """A program that prints credentials; its path."""
        printed = {
            "Version": 1,
            "AccessKeyId": STATIC,
            "SecretAccessKey": SECRET,
            "SessionToken": TOKEN,
            **answer,
        }
        return self.script(name, f"import sys; sys.stdout.write({json.dumps(printed)!r})")

    def script(self, name: str, code: str) -> str:
        """A program in Python; its path."""
        path = self.file(name, f"#!{sys.executable}\n{code}\n")
        path.chmod(0o755)
        return str(path)

    def sso_token(self, name: str, token: str, seconds: float, **more: str) -> Path:
        """A token as `aws sso login` keeps it, for so many seconds more."""
        path = f".aws/sso/cache/{hashlib.sha1(name.encode()).hexdigest()}.json"
        return self.file(
            path, json.dumps({"accessToken": token, "expiresAt": later(seconds), **more})
        )

    def environment(self, **variables: str) -> dict[str, str]:
        """The whole environment of a run."""
        return self._program(variables).variables()

    def run(self, *arguments: str, **variables: str) -> Done:
        """A run of the program, without the static credentials of other tests."""
        program = self._program(variables)
        return program(*arguments, *program.to)

    def start(self, *arguments: str, **variables: str) -> Run:
        """A run of the program that goes on."""
        program = self._program(variables)
        return program.start(*arguments, *program.to)

    def _program(self, variables: Mapping[str, str]) -> Program:
        return self.program.with_(
            **{**ANONYMOUS, **self.logins.variables, **self.variables, **variables}
        )

    def sync(self, **variables: str) -> Done:
        """A sync of the orders."""
        return self.run("sync", ORDERS, **variables)

    def source(
        self,
        patch: pytest.MonkeyPatch,
        *,
        to: Path | None = None,
        keep: str = "",
        **variables: str,
    ) -> Lookup:
        """The source of the orders, in this process, as the program would open it.

        It stands in the home folder or in `to`; of this environment it keeps one variable.
        """
        environment = self.environment(**variables)
        for name in os.environ.keys() - environment.keys() - {keep}:
            patch.delenv(name)
        for name, value in environment.items():
            patch.setenv(name, value)
        patch.chdir(to or self.home)
        # Botocore looks for it once, when it is imported.
        cache = str(self.home / ".aws/sso/cache")
        patch.setattr(SSOProvider, "_SSO_TOKEN_CACHE_DIR", cache)
        patch.setattr(SSOTokenProvider, "_SSO_TOKEN_CACHE_DIR", cache)
        config = configuration.load(to=self.program.to[1], tables=[ORDERS])
        return job.open_way(config, ORDERS).lookup

    def keys_used(self) -> set[str]:
        """The access keys that reached the table."""
        return {call.key for call in self.rig.calls}

    def ways(self) -> set[str]:
        """The operations that handed out the keys which reached the table."""
        return {
            self.logins.issued[key].operation if key in self.logins.issued else key
            for key in self.keys_used()
        }


def later(seconds: float) -> str:
    """A time from now, as AWS writes it."""
    return datetime.fromtimestamp(time.time() + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
