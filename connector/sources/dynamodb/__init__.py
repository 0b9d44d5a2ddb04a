"""DynamoDB as a source: boto3 clients, a table's Scan and its stream. Nothing here writes."""
