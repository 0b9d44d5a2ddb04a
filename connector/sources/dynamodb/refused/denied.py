"""Explains denied actions: who may not do what, by which kind of policy, and who can change it."""

import re
from dataclasses import dataclass

from connector.errors import ConnectorError, SourceRefused, TableUnavailable

DENIED = frozenset(
    (
        "AccessDeniedException",
        "AccessDenied",
        "UnauthorizedOperation",
        "NotAuthorized",
        "KMSAccessDeniedException",
    )
)

# Only ARNs and actions are ever repeated.
_ARN = r"arn:aws[a-z-]*:[a-z0-9-]*:[a-z0-9-]*:[0-9]*:[\w+=,.@:/*-]+"
_WHO = re.compile(rf"User: (?P<principal>{_ARN})")
_WHAT = re.compile(r"not authorized to perform: (?P<action>[a-z0-9-]+:[A-Za-z]+)")
_ON = re.compile(rf"on resource: (?P<resource>{_ARN})")
_KIND = re.compile(
    r"(?P<how>because no|with an explicit deny in an?) "
    r"(?P<kind>(?:[A-Za-z-]+ ){0,3}(?:policy|policies|boundary))\b",
    re.IGNORECASE,
)

_POLICY = "docs/operations.md has the policy."
_HINTS: dict[str, str] = {
    "identity-based policy": f"Grant the action to this user or role; {_POLICY}",
    "resource-based policy": (
        "Whoever owns the table must allow the action in the table's resource-based policy or, for "
        "its stream, in the stream's own policy."
    ),
    "service control policy": (
        "Only an administrator of the AWS organization can allow it; such a policy often allows "
        "only some Regions."
    ),
    "resource control policy": "Only an administrator of the AWS organization can allow it.",
    "vpc endpoint policy": (
        "Allow the action in the policy of the VPC endpoint through which this machine calls AWS, "
        "or use another route."
    ),
    "permissions boundary": (
        "Whoever administers IAM must allow the action in the permissions boundary of this user "
        "or role; a policy alone is not enough."
    ),
    "session policy": (
        "The policy that was given when the session was created must allow the action: create the "
        "session with another policy, or without one."
    ),
}
_DENY_IN_IDENTITY = (
    "A Deny in a policy of this user or role forbids it, whatever else is allowed: remove it, or "
    "use another role."
)
_TRUST = (
    "Allow these credentials sts:AssumeRole on the role, and name them in the role's trust policy; "
    "check source.role_arn and source.external_id."
)
_UNKNOWN = f"Check the credentials, and grant this action to them; {_POLICY}"
_DECRYPT = (
    "Grant kms:Decrypt on the table's KMS key to this user or role, in the key's policy and in "
    "IAM, and check that the key exists in the table's Region."
)


@dataclass(frozen=True)
class _Denial:
    """What the text of a denial names; empty if it does not."""

    principal: str
    action: str
    resource: str
    how: str
    kind: str

    @classmethod
    def read(cls, message: str) -> "_Denial":
        who, what, on = _WHO.search(message), _WHAT.search(message), _ON.search(message)
        kind = _KIND.search(message)
        return cls(
            principal=who["principal"].rstrip(".,:") if who else "",
            action=what["action"] if what else "",
            resource=on["resource"].rstrip(".,:") if on else "",
            how=kind["how"].lower() if kind else "",
            kind=kind["kind"] if kind else "",
        )

    def sentence(self, code: str, operation: str, table: str, prefix: str = "dynamodb") -> str:
        """The denial in one sentence; whatever AWS does not name is taken from the call."""
        principal = self.principal or "the caller"
        action = self.action or f"{_service(operation, prefix)}:{operation}"
        resource = self.resource or (table if action.startswith("dynamodb:") else "")
        on = f" on {resource}" if resource else ""
        return (
            f"AWS refused {operation} ({code}): {principal} is not authorized to perform "
            f"{action}{on}{self._reason()}."
        )

    def _reason(self) -> str:
        if not self.kind:
            return ""
        if self.how == "because no":
            return f", because no {self.kind} allows it"
        return f", because of an explicit deny in a {self.kind}".replace(" a id", " an id")

    @property
    def hint(self) -> str:
        """Who has to change what."""
        kind = self.kind.lower()
        if self.action.startswith("kms:") and kind not in _OF_OTHERS:
            return _DECRYPT
        if kind == "identity-based policy" and self.how != "because no":
            return _DENY_IN_IDENTITY
        return _HINTS.get(kind, _UNKNOWN)


def _service(operation: str, prefix: str = "dynamodb") -> str:
    """The service of an operation in a policy: logging in assumes roles."""
    return "sts" if operation.startswith("AssumeRole") else prefix


_OF_OTHERS = frozenset(_HINTS) - {"identity-based policy", "resource-based policy"}
"""Kinds of policies that neither a key's policy nor a grant can overrule."""


def of_denial(
    code: str, message: str, operation: str, table: str, prefix: str = "dynamodb"
) -> ConnectorError | None:
    """Our error for a denied action, or None for any other answer."""
    denial = _Denial.read(message)
    if code not in DENIED and not denial.action:
        return None
    hint = _TRUST if _service(operation) == "sts" else denial.hint
    return SourceRefused(denial.sentence(code, operation, table, prefix), hint)


# The name of a table may contain any of these words.
_OF_A_KEY = ("kms key", "kms:", "awskms", "kms.model", "customer master key")
_UNUSABLE = ("disabled", "pending deletion", "pending import", "invalidstate", "not found")


def of_key(code: str, message: str, operation: str, table: str) -> ConnectorError | None:
    """Our error for a table with an unusable encryption key, or None for any other answer."""
    text = f"{code} {message}".lower()
    denial = _Denial.read(message)
    of_a_key = code.startswith("KMS") or any(sign in text for sign in _OF_A_KEY)
    if not of_a_key or (denial.action and not denial.action.startswith("kms:")):
        return None
    whose = f"KMS key of {table}" if table else "KMS key of the table"
    if any(sign in text for sign in _UNUSABLE):
        return TableUnavailable(
            f"The {whose} cannot be used, so AWS refused {operation}: it is disabled, pending "
            "deletion, or gone.",
            "Enable the key again, or cancel its deletion, within seven days: after that DynamoDB "
            "archives the table.",
        )
    if denial.action:
        return SourceRefused(denial.sentence(code, operation, table), denial.hint)
    return SourceRefused(
        f"AWS refused {operation} ({code}): the {whose} does not exist in this Region, or the "
        "caller is not authorized to perform kms:Decrypt with it.",
        _DECRYPT,
    )
