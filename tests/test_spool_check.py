"""The spool is tried where a scan will write, on a disk and in a bucket."""

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
from moto.server import ThreadedMotoServer

from connector.core.cursors import Cursor
from connector.errors import ConfigError, Unreachable
from connector.spool import chains as spool
from connector.spool.chains import ArrowSpool

from .destinations.items import A
from .destinations.story import Story


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[ThreadedMotoServer]:
    """A server of buckets, one of them made."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    for name, value in {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL_S3": f"http://{host}:{port}",
        "AWS_EC2_METADATA_DISABLED": "true",
    }.items():
        monkeypatch.setenv(name, value)
    boto3.client("s3", region_name="us-east-1").create_bucket(Bucket="bucket")
    yield server
    server.stop()


def sizes() -> list[int]:
    """The size of every object in the bucket."""
    found = boto3.client("s3", region_name="us-east-1").list_objects_v2(Bucket="bucket")
    return [each["Size"] for each in found.get("Contents", [])]


def test_a_bucket_is_tried_and_nothing_of_it_stays(store):
    need = spool.check("s3://bucket/prefix")
    assert (need.check, need.error) == ("spool", None)
    assert not any(sizes())


def test_a_bucket_that_is_not_there_is_told(store):
    need = spool.check("s3://nothing/prefix")
    assert type(need.error) is ConfigError
    assert need.detail.startswith(
        "The spool s3://nothing/prefix cannot be written (NO_SUCH_BUCKET)"
    )
    assert "s3:PutObject" in need.error.hint


def test_a_store_that_cannot_be_reached_may_be_later(store):
    store.stop()
    need = spool.check("s3://bucket/prefix")
    assert type(need.error) is Unreachable


def test_a_scan_meets_the_same_errors(store):
    page = Story(None).page(A)
    away = ArrowSpool("s3://nothing/prefix", "orders", "plan")
    with pytest.raises(ConfigError, match="s3://nothing/prefix cannot be written"):
        away.append("scan/0", None, Cursor(done=True), page, [])


def test_a_folder_that_is_not_there_is_tried_above_it(tmp_path: Path):
    need = spool.check(str(tmp_path / "a" / "b"))
    assert need.error is None
    assert "will be created" in need.detail
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("below", [".", "a/b"])
def test_a_file_in_the_way_is_told_and_left(tmp_path: Path, below: str):
    file = tmp_path / "file"
    file.write_text("mine")
    need = spool.check(str(file / below))
    assert type(need.error) is ConfigError
    assert str(file) in need.detail
    assert file.read_text() == "mine"


def test_a_link_in_a_circle_is_told(tmp_path: Path):
    (tmp_path / "circle").symlink_to(tmp_path / "circle")
    need = spool.check(str(tmp_path / "circle" / "spool"))
    assert type(need.error) is ConfigError
