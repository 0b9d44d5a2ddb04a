"""What AWS answers reaches the person who runs the program: the reason, a hint, an exit code."""

import json
from dataclasses import dataclass

import pytest

from tests.pipeline.replica import ORDERS
from tests.rigs.scripted import ScriptedDynamoDB, faults

from .program import Program, assert_one_sentence, fingerprints

pytestmark = pytest.mark.xdist_group("cli_aws_errors")

USER = "User: arn:aws:sts::123456789012:assumed-role/x/y is not authorized to perform: "
TABLE = "arn:aws:dynamodb:us-west-2:123456789012:table/orders"
STREAM = f"{TABLE}/stream/2026-11-01T00:00:00.000"
SOON = {"CONNECTOR_SOURCE__RETRY_SECONDS": "0.2"}


@dataclass(frozen=True)
class Answer:
    """What an operation is answered, and what the program must say of it."""

    on: str
    effect: faults.Effect
    code: int
    says: tuple[str, ...]
    hint: str


def denied(on: str, resource: str, why: str, *says: str, hint: str) -> Answer:
    text = f"{USER}dynamodb:{on} on resource: {resource} {why}"
    effect = faults.error("AccessDeniedException", text)
    return Answer(on, effect, 2, (f"dynamodb:{on}", resource, *says), hint)


def refused(on: str, code: str, text: str, says: str, hint: str) -> Answer:
    return Answer(on, faults.error(code, text), 2, (says,), hint)


def status(name: str, code: int, says: str, hint: str) -> Answer:
    effect = faults.edit(lambda content: content["Table"].update(TableStatus=name))
    return Answer("DescribeTable", effect, code, (name, says), hint)


ANSWERS = {
    "service control policy": denied(
        "Scan",
        TABLE,
        "with an explicit deny in a service control policy",
        "service control policy",
        hint="organization",
    ),
    "no policy for the stream": denied(
        "GetRecords",
        STREAM,
        "because no identity-based policy allows the dynamodb:GetRecords action",
        "because no identity-based policy",
        hint="docs/operations.md",
    ),
    "VPC endpoint": denied(
        "DescribeTable",
        TABLE,
        "with an explicit deny in a VPC endpoint policy",
        "VPC endpoint policy",
        hint="VPC endpoint",
    ),
    "no key": refused(
        "Scan",
        "AccessDeniedException",
        "KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: The "
        "ciphertext refers to a customer master key that does not exist, does not exist in this "
        "region, or you are not allowed to access.",
        "kms:Decrypt",
        "kms:Decrypt",
    ),
    "clock": refused(
        "DescribeTable",
        "InvalidSignatureException",
        "Signature expired: 20261128T000000Z is now earlier than 20261128T015500Z "
        "(20261128T020000Z - 5 min.)",
        "this machine's clock differs from AWS's by 2 h: it is behind",
        "clock",
    ),
    "secret key": refused(
        "DescribeTable",
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided.",
        "the secret access key does not belong",
        "AWS_SECRET_ACCESS_KEY",
    ),
    "unknown key": refused(
        "DescribeTable",
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        "does not know the credentials",
        "Region",
    ),
    "expired": refused(
        "DescribeTable",
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "expired",
        "aws sso login",
    ),
    "no streams there": refused(
        "DescribeStream",
        "UnknownOperationException",
        "",
        "does not know DescribeStream",
        "source.streams_endpoint_url",
    ),
    "no DynamoDB there": refused(
        "DescribeTable",
        "UnknownOperationException",
        "",
        "does not know DescribeTable",
        "source.endpoint_url",
    ),
    "archived": status("ARCHIVED", 3, "archived it", "backup"),
    "archiving": status("ARCHIVING", 3, "archiving it", "backup"),
    "deleting": status("DELETING", 3, "being deleted", "tables:"),
    "no key for the table": status(
        "INACCESSIBLE_ENCRYPTION_CREDENTIALS", 3, "KMS key", "seven days"
    ),
    "being made": status("CREATING", 4, "CREATING", "ACTIVE"),
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_an_answer_keeps_its_reason(synced: Program, rig: ScriptedDynamoDB, answer: Answer) -> None:
    # What the first sync has stored stays as it is, and a Scan is made only by a new snapshot.
    arguments = ["sync", ORDERS]
    if answer.on == "Scan":
        arguments = ["snapshot", ORDERS, "--full-refresh", "--yes"]
    rig.faults.add(answer.effect, on=answer.on, times=10_000)
    done = synced.with_(**SOON)(*arguments, *synced.to)
    for each in answer.says:
        assert_one_sentence(done, answer.code, each)
    assert answer.hint in done.lines("Hint: ")[0]


def test_a_table_that_needs_a_person_says_so_until_it_is_mended(
    synced: Program, rig: ScriptedDynamoDB
) -> None:
    rig.faults.add(ANSWERS["archived"].effect, on="DescribeTable", times=10_000)
    assert synced("sync", ORDERS, *synced.to).code == 3
    (row,) = json.loads(synced("status", "-o", "json", *synced.to).stdout)
    assert "ARCHIVED" in row["problem"]
    assert row["rows"] == 40
    rig.faults.clear()
    assert synced("sync", ORDERS, *synced.to).code == 0
    (row,) = json.loads(synced("status", "-o", "json", *synced.to).stdout)
    assert row["problem"] is None


def test_a_table_that_was_never_synced_leaves_nothing_behind(
    program: Program, rig: ScriptedDynamoDB
) -> None:
    rig.faults.add(ANSWERS["archived"].effect, on="DescribeTable", times=10_000)
    assert_one_sentence(program("sync", ORDERS, *program.to), 3, "ARCHIVED")
    assert fingerprints(program.folder) == {}
