"""Writes the demonstration's courses to DynamoDB Local: `python -m connector.demo.seed URL`.

The requests carry no real signature, so AWS itself would refuse them.
"""

import sys
from urllib.parse import urlsplit

from connector.demo.source import FIRST, SECOND, THIRD, Writer


def seed(url: str) -> bool:
    """Creates the table with all of its courses; False if it exists already."""
    parts = urlsplit(url)
    writer = Writer(parts.hostname or "localhost", parts.port or 8000)
    try:
        writer.create()
    except RuntimeError as error:
        if "ResourceInUseException" in str(error):
            return False
        raise
    for course in (*FIRST, *SECOND, *THIRD):
        writer.put(course)
    return True


if __name__ == "__main__":
    print("seeded" if seed(sys.argv[1]) else "there already")
