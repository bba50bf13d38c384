"""Which slot of a cluster a key lies in, and names that lie in a record's slot."""

from hypothesis import given
from hypothesis import strategies as st
from redis.crc import key_slot

from chatstore.models import Kind
from chatstore.redis.keys import JournalKeys, LedgerKeys
from chatstore.redis.slots import SLOTS, slot_of, tag_of

names = st.one_of(st.binary(max_size=20), st.text("{}ab:", max_size=8).map(str.encode))


@given(names)
def test_a_keys_slot_is_what_the_client_library_says(key):
    assert slot_of(key) == key_slot(key)


def test_every_slot_has_a_tag_of_its_own():
    tags = [tag_of(slot) for slot in range(SLOTS)]
    assert [slot_of(b"x:{%s}y" % tag) for tag in tags] == list(range(SLOTS))


@given(names, names)
def test_a_records_ledger_lies_in_the_slot_of_its_own_key_and_says_its_id(prefix, record_id):
    ledger = LedgerKeys(Kind.CHAT, "hash", lambda name: prefix + name)
    for part in ("state", "order"):
        key = ledger.of(part, record_id)
        assert slot_of(key) == slot_of(prefix + record_id)
        assert key.startswith(ledger.head(part))
        assert ledger.record_of(part, key) == record_id


@given(names, names)
def test_two_records_have_two_ledgers(one, other):
    ledger = LedgerKeys(Kind.DOCUMENTS, "hash", lambda name: b"document:" + name)
    assert (ledger.of("state", one) == ledger.of("state", other)) == (one == other)


def test_a_journals_keys_lie_in_one_slot_and_the_two_kinds_in_two():
    slots = []
    for kind in Kind:
        keys = JournalKeys(kind)
        every = [keys.marks, keys.bodies, keys.migration, keys.lease, keys.checkpoints, keys.quarantine]
        every += [keys.of_user("ann"), keys.of_user("{x}")]
        slots.append({slot_of(key) for key in every})
    assert [len(found) for found in slots] == [1, 1]
    assert slots[0] != slots[1]
