"""What AWS says of an error, in bodies as it sends them, becomes one sentence with its reason."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from connector.config.model import SourceConfig
from connector.core.cursors import Cursor
from connector.errors import (
    ConnectorError,
    SourceRefused,
    TableUnavailable,
    Throttled,
    Unreachable,
)
from connector.items.wire import scan_page
from connector.sources.dynamodb import calls
from connector.sources.dynamodb.source import DynamoDBSource
from tests.pipeline.replica import ORDERS, SCHEMA, order
from tests.rigs.scripted import RunningClock, ScriptedDynamoDB, faults

ROLE = "arn:aws:sts::123456789012:assumed-role/replica/session"
TABLE = "arn:aws:dynamodb:us-west-2:123456789012:table/orders"
STREAM = f"{TABLE}/stream/2026-11-01T00:00:00.000"
KEY = "arn:aws:kms:us-west-2:123456789012:key/11112222-3333-4444-5555-666677778888"
POLICY = "arn:aws:iam::123456789012:policy/canary-policy"
# No sentence of ours may hold what AWS's texts happen to hold.
CANARIES = ("canary", "AKIA", "Request ID")


@pytest.fixture(scope="module")
def running() -> Iterator[ScriptedDynamoDB]:
    with ScriptedDynamoDB(clock=RunningClock()) as rig:
        rig.create_table(ORDERS, SCHEMA).put(order(1))
        yield rig


@pytest.fixture
def rig(running: ScriptedDynamoDB) -> ScriptedDynamoDB:
    running.faults.clear()
    running.calls.clear()
    return running


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")


def opened(
    rig: ScriptedDynamoDB, table: str = ORDERS, retry_seconds: float = 0.2
) -> DynamoDBSource:
    config = SourceConfig(region="us-west-2", endpoint_url=rig.url, retry_seconds=retry_seconds)
    return DynamoDBSource(config, table)


@pytest.fixture
def source(rig: ScriptedDynamoDB) -> DynamoDBSource:
    """A source that gives up soon."""
    return opened(rig)


@pytest.fixture
def patient(rig: ScriptedDynamoDB) -> DynamoDBSource:
    """A source that outlasts every fault that ends."""
    return opened(rig, retry_seconds=60)


def read(source: DynamoDBSource, operation: str) -> None:
    """Makes the source call an operation."""
    if operation == "Scan":
        source.page(0, 1, None, scan_page)
    elif operation == "BatchGetItem":
        source.items([b'{"id":{"S":"1"}}'])
    elif operation in ("GetShardIterator", "GetRecords"):
        (shard,) = source.listing().shards.values()
        source.read(shard, Cursor(seen_at=datetime.now(UTC)))
    else:
        source.listing()


def refused(source: DynamoDBSource, rig: ScriptedDynamoDB, on: str, *answer: Any) -> ConnectorError:
    """The error of an operation that is always answered so."""
    rig.faults.add(faults.error(*answer), on=on, times=10_000)
    with pytest.raises(ConnectorError) as caught:
        read(source, on)
    assert not any(canary in str(caught.value) for canary in CANARIES)
    return caught.value


def denied(why: str, action: str = "dynamodb:Scan", on: str = TABLE) -> str:
    return f"User: {ROLE} is not authorized to perform: {action} on resource: {on} {why}"


KINDS = {
    "identity-based policy": "docs/operations.md",
    "resource-based policy": "resource-based policy",
    "service control policy": "organization",
    "resource control policy": "organization",
    "VPC endpoint policy": "VPC endpoint",
    "permissions boundary": "permissions boundary",
    "session policy": "session",
}


@pytest.mark.parametrize(("kind", "hint"), KINDS.items(), ids=KINDS)
@pytest.mark.parametrize("named", ["", f": {POLICY}"], ids=["", "with the policy's ARN"])
@pytest.mark.parametrize("explicit", [True, False], ids=["explicit", "implicit"])
def test_a_denial_says_who_may_not_do_what_and_by_which_policy(
    source, rig, kind, hint, named, explicit
):
    article = "an" if kind.startswith("i") else "a"
    why = f"with an explicit deny in {article} {kind}{named}"
    if not explicit:
        why = f"because no {kind} allows the dynamodb:Scan action"
    error = refused(source, rig, "Scan", "AccessDeniedException", denied(why))
    assert type(error) is SourceRefused
    for part in ("Scan", ROLE, "dynamodb:Scan", TABLE, kind):
        assert part in error.message
    assert ("explicit deny" in error.message) is explicit
    assert hint in error.hint or (explicit and "Deny" in error.hint)
    assert rig.calls.count("Scan") == 1


DENIALS = {
    "GetRecords": denied(
        "because no identity-based policy allows the dynamodb:GetRecords action",
        "dynamodb:GetRecords",
        STREAM,
    ),
    "DescribeStream": denied(
        "because no VPC endpoint policy allows the dynamodb:DescribeStream action",
        "dynamodb:DescribeStream",
        STREAM,
    ),
    "GetShardIterator": denied(
        "with an explicit deny in an identity-based policy", "dynamodb:GetShardIterator", STREAM
    ),
    "BatchGetItem": denied(
        "because no session policy allows the dynamodb:BatchGetItem action",
        "dynamodb:BatchGetItem",
    ),
    "DescribeTable": denied(
        "with an explicit deny in a permissions boundary", "dynamodb:DescribeTable"
    ),
}


@pytest.mark.parametrize(("operation", "text"), DENIALS.items(), ids=DENIALS)
def test_each_action_is_named_with_its_resource(source, rig, operation, text):
    error = refused(source, rig, operation, "AccessDeniedException", text)
    assert f"dynamodb:{operation}" in error.message
    assert (TABLE if operation in ("BatchGetItem", "DescribeTable") else STREAM) in error.message


@pytest.mark.parametrize(
    ("code", "text"),
    [
        ("AccessDeniedException", "canary: no"),
        ("AccessDeniedException", ""),
        ("NotAuthorized", "You do not have permission to perform the requested action. canary"),
        ("AccessDeniedException", "User: \x1b[31mcanary is not authorized on resource: canary"),
    ],
)
def test_a_denial_of_another_form_says_what_was_called_and_for_which_table(source, rig, code, text):
    error = refused(source, rig, "GetRecords", code, text)
    assert "dynamodb:GetRecords" in error.message
    assert ORDERS in error.message
    assert "\x1b" not in str(error)
    assert type(error) is SourceRefused


KMS = "com.amazonaws.services.kms.model.AWSKMSException: "
SERVICE = " (Service: AWSKMS; Status Code: 400; Error Code: X; Request ID: canary; Proxy: null)"
KEYS = {
    "no grant, or no key": (
        "AccessDeniedException",
        f"KMS key access denied error: {KMS}The ciphertext refers to a customer master key that "
        "does not exist, does not exist in this region, or you are not allowed to access."
        + SERVICE,
        SourceRefused,
        "kms:Decrypt",
    ),
    "no grant": (
        "AccessDeniedException",
        f"KMS key access denied error: {KMS}User: {ROLE} is not authorized to perform: kms:Decrypt "
        f"on resource: {KEY} because no identity-based policy allows the kms:Decrypt action"
        + SERVICE,
        SourceRefused,
        KEY,
    ),
    "no resource": (
        "AccessDeniedException",
        f"User: {ROLE} is not authorized to perform: kms:Decrypt on the resource associated with "
        "this ciphertext because the resource does not exist in this Region, no resource-based "
        "policies allow access, or a resource-based policy explicitly denies access",
        SourceRefused,
        "kms:Decrypt",
    ),
    "forbidden by the organization": (
        "AccessDeniedException",
        f"User: {ROLE} is not authorized to perform: kms:Decrypt on resource: {KEY} with an "
        "explicit deny in a service control policy",
        SourceRefused,
        "service control policy",
    ),
    "disabled": (
        "ValidationException",
        f"KMS key disabled error: {KMS}{KEY} is disabled." + SERVICE,
        TableUnavailable,
        "KMS key",
    ),
    "to be deleted": (
        "AccessDeniedException",
        f"KMS key state error: {KMS}{KEY} is pending deletion." + SERVICE,
        TableUnavailable,
        "KMS key",
    ),
    "of another service's code": (
        "KMSInvalidStateException",
        f"{KEY} is pending import.",
        TableUnavailable,
        "KMS key",
    ),
}


@pytest.mark.parametrize(("code", "text", "kind", "says"), KEYS.values(), ids=KEYS)
def test_a_key_that_does_not_serve_is_named_as_such(source, rig, code, text, kind, says):
    error = refused(source, rig, "Scan", code, text)
    assert type(error) is kind
    assert says in error.message
    assert "Scan" in error.message
    if "organization" not in error.hint:
        assert "key" in error.hint


def test_a_table_that_is_named_after_kms_is_not_taken_for_its_key(rig):
    text = "Requested resource not found: Table: kms-disabled not found"
    rig.faults.add(faults.error("ResourceNotFoundException", text), on="DescribeTable")
    with pytest.raises(SourceRefused, match="There is no table kms-disabled"):
        opened(rig, "kms-disabled").describe()


def stamp(when: datetime) -> str:
    return when.strftime("%Y%m%dT%H%M%SZ")


NOW = datetime(2026, 11, 28, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("off", "says"),
    [
        (timedelta(hours=-2, minutes=-5), "by 2 h 5 min: it is behind"),
        (timedelta(minutes=-6), "by 6 min: it is behind"),
        (timedelta(days=3, minutes=4), "by 3 d 4 min: it is ahead"),
        (timedelta(minutes=7, seconds=3), "by 7 min 3 s: it is ahead"),
    ],
)
@pytest.mark.parametrize("code", ["InvalidSignatureException", "SignatureDoesNotMatch"])
def test_a_signature_of_another_time_speaks_of_the_clock_and_by_how_much(
    source, rig, off, says, code
):
    ours = NOW + off
    text = (
        f"Signature expired: {stamp(ours)} is now earlier than "
        f"{stamp(NOW - timedelta(minutes=5))} ({stamp(NOW)} - 5 min.)"
    )
    if off > timedelta():
        text = (
            f"Signature not yet current: {stamp(ours)} is still later than "
            f"{stamp(NOW + timedelta(minutes=5))} ({stamp(NOW)} + 5 min.)"
        )
    error = refused(source, rig, "DescribeTable", code, text)
    assert type(error) is SourceRefused
    assert "this machine's clock" in error.message
    assert says in error.message


@pytest.mark.parametrize(
    "text",
    [
        "The difference between the request time and the current time is too large.",
        "Signature expired: 99999999T999999Z is now earlier than 0 (99999999T999999Z - 5 min.)",
    ],
)
def test_a_text_without_times_is_measured_by_the_answers_date(source, rig, text):
    rig.clock.advance(hours=3)
    try:
        error = refused(source, rig, "DescribeTable", "RequestTimeTooSkewed", text)
    finally:
        rig.clock.advance(hours=-3)
    assert "this machine's clock" in error.message
    if "difference" in text:
        assert "behind" in error.message
        assert "h" in error.message


def test_a_request_that_was_sent_late_is_made_again(patient, rig):
    text = "Signature expired: 20261128T000000Z is now earlier than 20261128T000200Z"
    rig.faults.add(faults.error("InvalidSignatureException", text), on="DescribeTable", times=2)
    read(patient, "DescribeStream")
    assert rig.calls.count("DescribeTable") == 3


CREDENTIALS = {
    "secret": (
        "InvalidSignatureException",
        "The request signature we calculated does not match the signature you provided. canary",
        "secret access key does not belong",
    ),
    "STS's secret": (
        "SignatureDoesNotMatch",
        "The request signature we calculated does not match the signature you provided.",
        "secret access key does not belong",
    ),
    "another Region": (
        "InvalidSignatureException",
        "Credential should be scoped to a valid region, not 'us-west-1'. ",
        "another Region",
    ),
    "unknown": (
        "UnrecognizedClientException",
        "The security token included in the request is invalid.",
        "does not know the credentials",
    ),
    "unknown to STS": (
        "InvalidClientTokenId",
        "The security token included in the request is invalid",
        "does not know the credentials",
    ),
    "expired": (
        "ExpiredTokenException",
        "The security token included in the request is expired",
        "have expired",
    ),
    "malformed": (
        "IncompleteSignatureException",
        "Credential must have exactly 5 slash-delimited elements, got 'AKIAcanary'",
        "access key id contains characters",
    ),
    "stripped": (
        "MissingAuthenticationTokenException",
        "Request is missing Authentication Token",
        "without its signature",
    ),
    "not signed up": (
        "SubscriptionRequiredException",
        "The AWS Access Key Id needs a subscription for the service",
        "not signed up",
    ),
    "Region off": (
        "OptInRequired",
        "The AWS Access Key Id needs a subscription for the service",
        "not enabled",
    ),
    "account": ("AccountProblem", "There is a problem with your AWS account", "suspended"),
}


@pytest.mark.parametrize(("code", "text", "says"), CREDENTIALS.values(), ids=CREDENTIALS)
def test_what_is_wrong_with_the_credentials_is_one_plain_sentence(source, rig, code, text, says):
    error = refused(source, rig, "DescribeTable", code, text)
    assert type(error) is SourceRefused
    assert says in error.message
    assert "DescribeTable" in error.message
    assert error.hint


UNKNOWN = {
    "coral": ("UnknownOperationException", ""),
    "older": ("UnknownOperation", "canary"),
    "STS": ("InvalidAction", "The action DescribeStream is not valid for this web service."),
    "another service": (
        "InvalidSignatureException",
        "Credential should be scoped to correct service: 'kinesis'. ",
    ),
}


@pytest.mark.parametrize(("code", "text"), UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("operation", ["DescribeStream", "GetShardIterator", "GetRecords"])
def test_an_endpoint_without_streams_names_the_setting(source, rig, operation, code, text):
    error = refused(source, rig, operation, code, text)
    assert type(error) is SourceRefused
    assert operation in error.message
    assert rig.url in error.message
    assert "source.streams_endpoint_url" in error.hint


@pytest.mark.parametrize(("code", "text"), UNKNOWN.values(), ids=UNKNOWN)
@pytest.mark.parametrize("operation", ["DescribeTable", "Scan", "BatchGetItem"])
def test_an_endpoint_that_is_no_dynamodb_names_the_setting(source, rig, operation, code, text):
    error = refused(source, rig, operation, code, text)
    assert type(error) is SourceRefused
    assert operation in error.message
    assert "source.endpoint_url" in error.hint


def page(status: int, body: bytes = b"") -> faults.Effect:
    """An answer that AWS did not write."""
    return lambda attempt: faults.Response(body, status=status, content_type="text/html")


@pytest.mark.parametrize("body", [b"", b"Not yet implemented", b"<html>no such page</html>"])
@pytest.mark.parametrize("status", [404, 405, 301])
@pytest.mark.parametrize("operation", ["DescribeTable", "DescribeStream"])
def test_a_web_server_that_knows_no_such_address_is_no_dynamodb(
    source, rig, operation, status, body
):
    rig.faults.add(page(status, body), on=operation, times=10_000)
    with pytest.raises(SourceRefused) as caught:
        read(source, operation)
    setting = "streams_endpoint_url" if operation == "DescribeStream" else "endpoint_url"
    assert f"source.{setting}" in caught.value.hint


def test_a_gateways_bad_moment_after_good_answers_is_no_wrong_address(source, patient, rig):
    for each in (source, patient):
        read(each, "DescribeStream")
    rig.faults.add(page(404), on="DescribeStream", times=3)
    read(patient, "DescribeStream")
    rig.faults.add(page(404), on="DescribeStream", times=10_000)
    with pytest.raises(Unreachable):
        read(source, "DescribeStream")


@pytest.mark.parametrize(("status", "body"), [(403, b"<html>blocked</html>"), (400, b"{}")])
def test_an_error_without_a_reason_may_pass(source, patient, rig, status, body):
    rig.faults.add(page(status, body), on="DescribeTable", times=2)
    read(patient, "DescribeStream")
    rig.faults.add(page(status, body), on="Scan", times=10_000)
    with pytest.raises(Unreachable, match=f"{status}, without a reason"):
        read(source, "Scan")


@pytest.mark.parametrize(
    ("operation", "says"), [("Scan", "max_read_units"), ("GetRecords", "Lambda")]
)
def test_a_throttle_names_what_can_be_done_about_it(source, rig, operation, says):
    rig.faults.add(faults.throttle(), on=operation, times=10_000)
    with pytest.raises(Throttled) as caught:
        read(source, operation)
    assert says in caught.value.hint


def test_a_source_that_throttles_the_first_call_is_no_wrong_address(rig, monkeypatch):
    """A worker's own client may be throttled before it has read anything."""
    monkeypatch.setattr(calls, "FIRST_CONTACT_SECONDS", 0.0)
    rig.faults.add(faults.throttle(), on="Scan", times=2)
    read(opened(rig, retry_seconds=30.0), "Scan")


@pytest.mark.parametrize("reasons", [None, [], ["text"], [{}], {"reason": "x"}])
def test_a_throttle_with_odd_reasons_is_a_throttle(source, rig, reasons):
    effect = faults.error("ThrottlingException", "Rate exceeded", ThrottlingReasons=reasons)
    rig.faults.add(effect, on="Scan", times=10_000)
    with pytest.raises(Throttled):
        read(source, "Scan")


@pytest.mark.parametrize(
    "code", ["TransactionInProgressException", "TransactionConflictException", "ServiceUnavailable"]
)
def test_a_conflict_of_the_moment_is_tried_again(patient, rig, code):
    status = 503 if code == "ServiceUnavailable" else 400
    rig.faults.add(faults.error(code, "", status), on="Scan", times=2)
    read(patient, "Scan")


def test_an_answer_that_nobody_knows_is_refused_and_never_repeated(source, rig):
    error = refused(source, rig, "Scan", "BrandNewException", "canary: {'id': 'canary'}")
    assert type(error) is SourceRefused
    assert error.message == "AWS refused Scan (BrandNewException)."


STATUSES = {
    "CREATING": (Unreachable, "ACTIVE"),
    "SOMETHING_NEW": (Unreachable, "ACTIVE"),
    "ARCHIVED": (TableUnavailable, "backup"),
    "ARCHIVING": (TableUnavailable, "backup"),
    "DELETING": (TableUnavailable, "tables:"),
    "INACCESSIBLE_ENCRYPTION_CREDENTIALS": (TableUnavailable, "key"),
}


def with_status(status: str) -> faults.Effect:
    return faults.edit(lambda content: content["Table"].update(TableStatus=status))


@pytest.mark.parametrize(("status", "kind", "hint"), [(s, *k) for s, k in STATUSES.items()])
def test_a_status_says_whether_to_wait_or_to_act(source, rig, status, kind, hint):
    rig.faults.add(with_status(status), on="DescribeTable")
    with pytest.raises(kind) as caught:
        source.describe()
    assert status in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("status", ["ACTIVE", "UPDATING", "REPLICATION_NOT_AUTHORIZED"])
def test_a_table_that_can_be_read_is_read(source, rig, status):
    rig.faults.add(with_status(status), on="DescribeTable")
    assert source.describe().streaming


@pytest.mark.parametrize("member", ["TableStatus", "KeySchema", "AttributeDefinitions"])
def test_a_description_that_lacks_something_is_no_answer(patient, rig, member):
    effect = faults.edit(lambda content: content["Table"].pop(member))
    rig.faults.add(effect, on="DescribeTable", times=2)
    assert patient.describe().streaming


@pytest.mark.parametrize(
    ("status", "enabled"),
    [("ENABLED", True), ("DISABLING", False), ("DISABLED", False), ("SOMETHING_NEW", True)],
)
def test_only_a_stream_that_is_said_to_be_off_is_off(source, rig, status, enabled):
    effect = faults.edit(lambda content: content["StreamDescription"].update(StreamStatus=status))
    rig.faults.add(effect, on="DescribeStream")
    assert source.listing().enabled is enabled


def test_the_arn_of_another_region_is_told_as_such(rig):
    elsewhere = "arn:aws:dynamodb:eu-central-1:123456789012:table/replica"
    for code in ("ResourceNotFoundException", "ValidationException", "AccessDeniedException"):
        rig.faults.add(faults.error(code, "canary"), on="DescribeTable")
        with pytest.raises(SourceRefused, match=r"is in eu-central-1, but source\.region"):
            opened(rig, elsewhere).describe()


def test_a_name_that_dynamodb_does_not_take_is_told_as_such(rig):
    rig.faults.add(faults.error("ValidationException", "canary"), on="DescribeTable")
    with pytest.raises(SourceRefused, match="not a table name") as caught:
        opened(rig, "no").describe()
    assert "3 to 255" in caught.value.hint
