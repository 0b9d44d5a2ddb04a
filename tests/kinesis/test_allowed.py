"""What may be called: more only if a table is followed by Kinesis, and never a write."""

import pytest
from botocore.exceptions import ClientError

from connector.config.model import SourceConfig
from connector.sources.dynamodb.client import KINESIS_READ_ONLY, open_clients
from tests.rigs.scripted import ScriptedDynamoDB
from tests.rigs.scripted.scenario import SCHEMA


def test_the_link_of_a_table_is_asked_for_only_where_kinesis_is_read(
    virtual: ScriptedDynamoDB,
) -> None:
    virtual.create_table("orders", SCHEMA, view=None)
    source = SourceConfig(endpoint_url=virtual.url, region="us-west-2")
    clients = open_clients(source)
    try:
        with pytest.raises(PermissionError, match="never calls"):
            clients.dynamodb.describe_kinesis_streaming_destination(TableName="orders")
        assert clients.kinesis() is clients.kinesis()
        clients.dynamodb.describe_kinesis_streaming_destination(TableName="orders")
        with pytest.raises(PermissionError, match="never calls PutItem"):
            clients.dynamodb.put_item(TableName="orders", Item={})
    finally:
        for client in (clients.dynamodb, clients.streams, clients.kinesis()):
            client.close()


def test_a_client_of_kinesis_reads_alone(virtual: ScriptedDynamoDB) -> None:
    source = SourceConfig(endpoint_url=virtual.url, region="us-west-2")
    clients = open_clients(source)
    kinesis = clients.kinesis()
    try:
        for name in kinesis.meta.service_model.operation_names:
            method = next(m for m, o in kinesis.meta.method_to_api_mapping.items() if o == name)
            expected = ClientError if name in KINESIS_READ_ONLY else PermissionError
            with pytest.raises(expected):
                getattr(kinesis, method)()
    finally:
        for client in (clients.dynamodb, clients.streams, kinesis):
            client.close()
