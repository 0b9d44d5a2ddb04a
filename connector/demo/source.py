"""The demonstration's source: moto's DynamoDB in this process, and the courses written to it."""

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from typing import Any

from connector.errors import extra_missing

TABLE = "cloudacademy-courses"
REGION = "us-west-2"
TABLE_ARN = f"arn:aws:dynamodb:{REGION}:123456789012:table/{TABLE}"
"""The account is moto's own; AWS assigns this number to nobody."""

Course = dict[str, Any]


def _course(courseid: str, title: str, path: str, duration: int, instructor: str) -> Course:
    return {
        "courseid": {"S": courseid},
        "company": {"S": "CloudAcademy"},
        "title": {"S": title},
        "url": {"S": f"https://cloudacademy.com/course/{path}"},
        "duration": {"N": str(duration)},
        "instructor": {"S": instructor},
    }


def _own(courseid: str, title: str, path: str, duration: int, topic: str) -> Course:
    return {
        "courseid": {"S": courseid},
        "company": {"S": "Example"},
        "title": {"S": title},
        "url": {"S": f"https://example.com/course/{path}"},
        "duration": {"N": str(duration)},
        "topics": {"L": [{"S": topic}]},
    }


# The first six are from the public demonstration cloudacademy/dynamodb-globaltables, including the
# wrong title of 3333333.
FIRST = [
    _course(
        "1111111", "Working with Amazon DynamoDB", "working-with-amazon-dynamodb/", 92, "Ryan Park"
    ),
    _course(
        "2222222",
        "Database Fundamentals for AWS",
        "aws-database-fundamentals-aws-180",
        69,
        "Andrew Larkin",
    ),
    _course(
        "3333333",
        "Working with Amazon DynamoDB",
        "amazon-web-services-big-data-specialty-storage",
        107,
        "Shane Gibson",
    ),
]
SECOND = [
    _course(
        "4444444",
        "Build AWS Serverless Web Applications With Python",
        "build-aws-serverless-web-applications-with-python",
        119,
        "Ben Lambert",
    ),
    _course(
        "5555555",
        "How to Use the AWS Command-Line Interface",
        "how-to-use-the-aws-command-line-interface",
        50,
        "David Clinton",
    ),
    _course(
        "6666666",
        "Advanced Use of Amazon API Gateway",
        "advanced-use-of-amazon-api-gateway",
        22,
        "Tehreem Siddiqui",
    ),
]
THIRD = [
    _own("7777777", "Following DynamoDB Streams", "following-dynamodb-streams", 45, "streams"),
    _own("8888888", "Asking DuckDB", "asking-duckdb", 38, "duckdb"),
    _own("9999999", "Numbers Without Rounding", "numbers-without-rounding", 27, "numbers"),
]
WRONG, RIGHT = "3333333", "AWS Big Data Specialty: Storage"
DELETED = "2222222"


class Writer:
    """Writes to the demonstration's table, as an application would; the connector never does."""

    def __init__(self, host: str, port: int) -> None:
        self.url = f"http://{host}:{port}"
        self._address = host, port

    def create(self) -> None:
        """Creates the table, with a stream of new and old images."""
        self._call(
            "CreateTable",
            KeySchema=[{"AttributeName": "courseid", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "courseid", "AttributeType": "S"}],
            BillingMode="PAY_PER_REQUEST",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
        )

    def put(self, course: Course) -> None:
        """Adds one course."""
        self._call("PutItem", Item=course)

    def retitle(self, courseid: str, title: str) -> None:
        """Changes the title of an existing course."""
        self._call(
            "UpdateItem",
            Key={"courseid": {"S": courseid}},
            UpdateExpression="SET title = :title",
            ExpressionAttributeValues={":title": {"S": title}},
        )

    def delete(self, courseid: str) -> None:
        """Removes one course."""
        self._call("DeleteItem", Key={"courseid": {"S": courseid}})

    def _call(self, operation: str, **parameters: Any) -> None:
        # http.client uses no proxy, and moto checks no signature: it only reads the Region.
        scope = f"demo/20260101/{REGION}/dynamodb/aws4_request"
        headers = {
            "Content-Type": "application/x-amz-json-1.0",
            "X-Amz-Target": f"DynamoDB_20120810.{operation}",
            "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, "
            "Signature=demo",
        }
        connection = HTTPConnection(*self._address, timeout=10)
        try:
            body = json.dumps({"TableName": TABLE, **parameters})
            connection.request("POST", "/", body, headers)
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        if answer.status != 200:
            raise RuntimeError(f"moto answered {operation} with {answer.status}: {text}")


@contextmanager
def served() -> Iterator[Writer]:
    """A DynamoDB on a free loopback port, for the duration of the block.

    Raises ConfigError if moto is not installed.
    """
    with _environment():
        try:
            from moto.server import ThreadedMotoServer
        except ImportError as error:
            raise extra_missing("The demo", "demo", "moto[server]") from error
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        try:
            writer = Writer(*server.get_host_and_port())
            writer.create()
            yield writer
        finally:
            server.stop()


_FOREIGN = ("AWS_", "BOTO_", "CONNECTOR_", "MOTO_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def _own_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without the user's account and proxies: nothing may leave this machine."""
    harmless = {
        name: value
        for name, value in environment.items()
        if not name.upper().startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    return harmless | {
        "AWS_ACCESS_KEY_ID": "demo",
        "AWS_SECRET_ACCESS_KEY": "demo",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "NO_PROXY": "*",
    }


@contextmanager
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    _replace(_own_environment(before))
    try:
        yield
    finally:
        _replace(before)


def _replace(environment: Mapping[str, str]) -> None:
    for name in os.environ.keys() - environment.keys():
        del os.environ[name]
    os.environ.update(environment)
