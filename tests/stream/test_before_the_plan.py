"""What was written before the plan is the scan's: the stream may lose it, and must not revive it.

Records that are a day old are trimmed while the first run still reads. Had it applied an item's
first version and lost the second, the scan would not mend that row: it never replaces what the
stream has written.
"""

import pytest

from tests.rigs.scripted.scenario import Delete, During, Put, Roll, Trim, Vanish, Wait

from .replica import Replica


@pytest.mark.usefixtures("small_pages")
@pytest.mark.parametrize("loss", [Trim("0"), Vanish("0")], ids=["trimmed", "vanished"])
def test_a_shard_that_is_lost_half_read_leaves_no_old_version(replica: Replica, loss: Trim) -> None:
    """Its first record was read, the others were older than a day and went."""
    replica.play(Put("a", 1), Put("a", 2), Put("b", 1), Delete("b"), Roll(), Wait(hours=23))
    replica.play(During("GetRecords", loss, after=1))
    replica.sync()
    assert replica.contents() == {"a": {"id": "a", "n": 2}}
