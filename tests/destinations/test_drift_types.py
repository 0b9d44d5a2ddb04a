"""The type that many numbers have together is that of the column that they would make."""

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from connector.core.texts import canonical
from connector.destinations.table.drift import numbers_type
from connector.items import columns
from tests.properties.strategies import numbers, profile


@profile(examples=300)
@given(st.lists(numbers().map(canonical), min_size=1, max_size=6))
@example(["9223372036854775807", "-9223372036854775808"])
@example(["9223372036854775807", "9223372036854775808"])
@example(["-5", "1", "0"])
@example(["-0.5", "12345678901234567890123456789012345678"])
@example(["1" * 30, "0." + "1" * 30])
def test_numbers_have_the_type_of_their_column(texts: list[str]) -> None:
    assert numbers_type(pa.array(texts, pa.string())) == columns.numbers(texts)[0]
