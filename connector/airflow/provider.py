"""The metadata that Airflow requires of a provider."""

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The metadata. Connections are those of the amazon, duckdb and postgres providers."""
    return {
        "package-name": "dynamodb-replica",
        "name": "connector",
        "description": "Keeps a warehouse table equal to an Amazon DynamoDB table.",
        "integrations": [
            {
                "integration-name": "Amazon DynamoDB Streams",
                "external-doc-url": "https://docs.aws.amazon.com/amazondynamodb/latest/"
                "developerguide/Streams.html",
                "tags": ["aws"],
            }
        ],
        "operators": [
            {
                "integration-name": "Amazon DynamoDB Streams",
                "python-modules": ["connector.airflow.steps"],
            }
        ],
    }
