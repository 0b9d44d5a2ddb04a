"""Exports in a bucket, read with the log-in of the table's source."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.credentials import RefreshableCredentials
from moto.server import ThreadedMotoServer

from connector.config.model import SourceConfig
from connector.errors import ConfigError, ConnectorError, SourceRefused, Unreachable
from connector.sources.exports import s3, storage
from connector.sources.exports.data_files import checking
from connector.sources.exports.data_files.formats import format_of
from connector.sources.exports.export import Export, open_export
from connector.sources.exports.finding import newest
from connector.sources.exports.s3 import S3Bucket
from connector.sources.exports.snapshot import ExportSnapshot
from connector.sources.exports.storage import Storage, place
from tests.rigs import exports
from tests.rigs.s3 import BUCKET, Refused, ScriptedS3
from tests.rigs.scripted import Table

from .subject import encoded, identity, read

NUMBER = 40


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    """Credentials that no real service knows, and as few tries as can be."""
    for name, value in (
        ("AWS_ACCESS_KEY_ID", "first"),
        ("AWS_SECRET_ACCESS_KEY", "hush-hush"),
        ("AWS_REGION", "us-west-2"),
        ("AWS_EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(s3, "TRIES", 1)


@pytest.fixture
def bucket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedS3]:
    """An empty bucket."""
    with ScriptedS3(tmp_path) as running:
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", running.url)
        yield running


def filled(table: Table, folder: Path) -> exports.Export:
    """An export of a table with a few items."""
    table.load({"id": {"S": f"{n}"}, "n": {"N": f"{n}"}} for n in range(NUMBER))
    return exports.write(folder, table)


def opened(url: str, **source: Any) -> Storage:
    """The bucket as a run opens it."""
    return Storage(place(url), S3Bucket(place(url).bucket, SourceConfig(**source)))


def taken(storage: Storage, table: Table) -> Export:
    """The newest export, checked."""
    export = newest(storage, identity(table))
    checking.check_files(storage, export, identity(table).keys, format_of(export.format))
    return export


def test_an_export_is_read_from_a_bucket(table, bucket, tmp_path):
    filled(table, tmp_path / "a" / "b c+é")
    at = opened(bucket.key(tmp_path / "a" / "b c+é"))
    rows, bad, _ = read(ExportSnapshot(at, taken(at, table)), table, segments=2)
    assert (rows, bad) == (encoded(table), [])
    assert {each.access_key for each in bucket.asked} == {"first"}
    assert {each.method for each in bucket.asked} <= {"GET", "HEAD"}


def test_one_in_the_bucket_itself_is_found_over_many_pages_of_a_listing(table, bucket, tmp_path):
    filled(table, tmp_path)
    for n in range(7):
        table.clock.advance(hours=-1)
        exports.write(tmp_path, table, name=f"other {n}")
    bucket.page_size = 2
    at = opened(f"s3://{BUCKET}/")
    assert taken(at, table).url.endswith("/AWSDynamoDB/01604474914028-a1b2c3d4")


def test_a_certain_one_is_read_by_its_url(table, bucket, tmp_path):
    export = filled(table, tmp_path / "x")
    at = opened(bucket.key(export.folder))
    assert open_export(at, at.at.path, identity(table)).items == NUMBER


def test_moto_serves_the_same(table, tmp_path, monkeypatch):
    filled(table, tmp_path)
    server = ThreadedMotoServer("127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{host}:{port}")
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        for path in tmp_path.rglob("*"):
            if path.is_file():
                client.upload_file(str(path), BUCKET, f"p/{path.relative_to(tmp_path)}")
        at = opened(f"s3://{BUCKET}/p")
        assert read(ExportSnapshot(at, taken(at, table)), table)[0] == encoded(table)
    finally:
        server.stop()


def test_credentials_that_are_renewed_sign_what_is_read_from_then_on(
    table, bucket, tmp_path, monkeypatch
):
    monkeypatch.setattr(storage, "BLOCK_BYTES", 64)
    export = filled(table, tmp_path)
    names = ["first", "second"]

    def renewed() -> dict[str, str]:
        name = names.pop(0) if len(names) > 1 else names[0]
        ends = datetime.now(UTC) + timedelta(seconds=1 if name == "first" else 3600)
        return {
            "access_key": name,
            "secret_key": "hush-hush",
            "token": f"token of {name}",
            "expiry_time": ends.isoformat(),
        }

    credentials = RefreshableCredentials.create_from_metadata(
        renewed() | {"expiry_time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()},
        refresh_using=renewed,
        method="test",
    )
    at = Storage(place(bucket.key(export.folder)), S3Bucket(BUCKET, SourceConfig(), credentials))
    found = open_export(at, at.at.path, identity(table))
    blocks = at.blocks(found.files[0].path)
    content = next(blocks)
    credentials._expiry_time = datetime.now(UTC)
    content += b"".join(blocks)
    assert content == export.files[0].read_bytes()
    keys = [each.access_key for each in bucket.asked]
    assert keys == sorted(keys)
    assert set(keys) == {"first", "second"}
    assert {each.token for each in bucket.asked} == {"token of first", "token of second"}


def test_a_bucket_in_another_region_is_read_there(table, bucket, tmp_path):
    filled(table, tmp_path)
    bucket.region = "eu-west-1"
    at = opened(f"s3://{BUCKET}")
    assert taken(at, table).items == NUMBER
    assert bucket.asked[-1].region == "eu-west-1"


REFUSALS: list[tuple[Refused, type[ConnectorError], str]] = [
    (Refused(403, "AccessDenied"), SourceRefused, "S3 refused to let s3://exports/AWSDynamoDB"),
    (Refused(400, "KMS.DisabledException"), SourceRefused, "S3 refused to let"),
    (Refused(403, "InvalidAccessKeyId"), SourceRefused, "it does not know the credentials"),
    (Refused(403, "SignatureDoesNotMatch"), SourceRefused, "does not belong to the access key"),
    (Refused(400, "ExpiredToken"), SourceRefused, "the credentials have expired"),
    (Refused(403, "RequestTimeTooSkewed"), SourceRefused, "this machine's clock differs"),
    (Refused(503, "SlowDown"), Unreachable, "S3 did not let s3://exports/AWSDynamoDB"),
    (Refused(500, "InternalError"), Unreachable, "S3 did not let s3://exports/AWSDynamoDB"),
]


@pytest.mark.parametrize(("answer", "kind", "says"), REFUSALS, ids=lambda each: str(each)[:40])
def test_what_s3_refuses_is_told_in_our_words(table, bucket, tmp_path, answer, kind, says):
    filled(table, tmp_path)
    bucket.refuse = lambda asked: answer if asked.path.endswith("summary.json") else None
    with pytest.raises(kind) as refused:
        taken(opened(f"s3://{BUCKET}"), table)
    assert says in refused.value.message
    assert "hush-hush" not in str(refused.value)


@pytest.mark.parametrize("ending", ["AWSDynamoDB/", "AWSDynamoDB/01604474914028-a1b2c3d4/data/"])
@pytest.mark.parametrize("files", [False, True])
def test_what_may_not_be_listed_or_read_is_named(table, bucket, tmp_path, ending, files):
    filled(table, tmp_path)
    what = ".json.gz" if files else ending
    no = Refused(403, "AccessDenied")
    bucket.refuse = lambda asked: no if asked.path.endswith(what) else None
    with pytest.raises(SourceRefused, match="S3 refused to let s3://exports/AWSDynamoDB") as error:
        taken(opened(f"s3://{BUCKET}"), table)
    assert "s3:ListBucket" in error.value.hint


def test_an_endpoint_in_the_clear_is_refused(table, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://s3.example.com")
    with pytest.raises(ConfigError, match="AWS_ENDPOINT_URL_S3"):
        opened(f"s3://{BUCKET}")


def test_no_bucket_is_no_export(table, bucket):
    with pytest.raises(ConnectorError, match="There is no"):
        taken(opened("s3://nowhere/x"), table)
