"""Kinesis Data Streams for DynamoDB: another stream of a table's changes, without an order."""
