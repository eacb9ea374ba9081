"""Slot: typed state on an exchange."""

import pytest

from sluicegate.exchange.slots import Slot
from sluicegate.testing import make_exchange


def test_a_slot_holds_one_value_per_exchange() -> None:
    """Each exchange has its own; an empty slot is None, or a KeyError that names it."""
    slot, other = Slot[int]("count"), Slot[int]("count")
    x, y = make_exchange(), make_exchange()
    assert slot.set(x, 3) == 3
    assert (slot[x], slot.find(x), slot.find(y), other.find(x)) == (3, 3, None, None)
    slot.set(x, 4)
    assert slot[x] == 4
    with pytest.raises(KeyError, match="count"):
        slot[y]
