"""DynamoDB's item format, pure: from bytes to rows and to canonical text."""
