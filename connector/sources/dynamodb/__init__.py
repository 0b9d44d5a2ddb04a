"""The source: boto3 clients, the table's Scan and its stream. Nothing here writes."""
