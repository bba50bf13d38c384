"""Whose write it was is told by the order of the events alone."""

from chatstore.redis.attribution import Attribution


def test_a_flood_is_forgotten_in_bounds_and_counted():
    attribution = Attribution()
    for number in range(10_005):
        attribution.record_written(b"%d" % number)
    attribution.close()
    assert attribution.overflowed == 5
    assert attribution.foreign(2) == [b"5", b"6"]


def test_a_record_before_anothers_ledger_is_not_ours():
    attribution = Attribution()
    attribution.record_written(b"theirs")
    attribution.ledger_written(b"ours")
    attribution.record_written(b"ours")
    attribution.ledger_written(b"ours")
    assert attribution.foreign(9) == [b"theirs"]
