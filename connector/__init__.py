"""Keep a warehouse table equal to an Amazon DynamoDB table, and show that it is."""

__version__ = "0.1.0"
