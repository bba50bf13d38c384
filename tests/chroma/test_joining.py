"""What a join decides, without a Chroma."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from chatstore.chroma.holdings import Held
from chatstore.chroma.joining import plan_join
from chatstore.chroma.records import Record
from chatstore.models import Document, DocumentChange, DocumentKey, Embedding

KEY = DocumentKey("u", "d")
TIME = datetime(2026, 1, 1, tzinfo=UTC)


NOW = datetime(2026, 6, 1, tzinfo=UTC)
EXPIRING = (4, 10)
"""The versions that have an expiry, which has come."""


def change(version, deleted=0):
    document = None
    if version is not None and not (deleted and version <= deleted):
        document = Document(
            id="d",
            user_id="u",
            text=str(version),
            embedding=Embedding.of([1]),
            created_at=TIME,
            updated_at=TIME,
            expires_at=TIME if version in EXPIRING else None,
            version=version,
        )
    return DocumentChange(key=KEY, document=document, deleted=deleted)


versions = st.integers(0, 9).map(lambda half: 2 * half)
changes = st.builds(change, st.none() | versions, versions)


def joined(held, *theirs):
    """Return what is held after a join is carried out."""
    steps = plan_join({KEY: held}, theirs, NOW)
    deleted = steps.bury.get(KEY, held.deleted)
    lapsed = max(steps.lapse.get(KEY, 0), held.lapsed)
    record = None if KEY in steps.remove else held.record
    for document in steps.write:
        record = Record(id="d", metadata={"version": document.version})
    return Held(record, deleted, lapsed)


def known(held):
    """Return what of it matters: that an older state expired is of no interest any more."""
    past = max(held.deleted, held.record.metadata["version"] if held.record else 0)
    return (held.record, held.deleted, held.lapsed if held.lapsed > past else 0)


NOTHING = Held(None, 0)


@given(st.lists(changes, min_size=1, max_size=5), st.randoms())
def test_the_order_repetition_and_batching_of_changes_do_not_matter(theirs, random):
    one_by_one = NOTHING
    for each in theirs:
        one_by_one = joined(one_by_one, each)
    shuffled = [*theirs, *theirs]
    random.shuffle(shuffled)
    assert known(one_by_one) == known(joined(NOTHING, *shuffled)) == known(joined(joined(NOTHING, *theirs), *theirs))


@given(st.lists(changes, min_size=1, max_size=5))
def test_what_is_left_is_the_newest_and_never_older_than_a_deletion(theirs):
    held = joined(NOTHING, *theirs)
    deleted = max(each.deleted for each in theirs)
    alive = [
        each.document.version for each in theirs if each.document and not (deleted and each.document.version <= deleted)
    ]
    newest = max(alive) if alive and max(alive) not in EXPIRING else None
    assert held.deleted == deleted
    assert (held.record.metadata["version"] if held.record else None) == newest


def test_a_leftover_that_is_older_than_its_tombstone_is_removed_by_any_join():
    leftover = Held(Record(id="d", metadata={"version": 5}), 8)
    assert leftover.is_overtaken
    assert joined(leftover, change(None, 8)) == Held(None, 8)
    assert joined(leftover, change(4)) == Held(None, 8)


def test_a_document_of_version_zero_is_taken():
    assert joined(NOTHING, change(0)).record is not None


def test_a_later_expiry_of_the_state_that_expired_brings_it_back_and_an_older_state_does_not():
    record = Record(id="d", metadata={"version": 6, "expires_at": 1})
    for gone in (Held(record, 0), Held(None, 0, 6)):
        assert joined(gone, change(2)) == gone
        assert joined(gone, change(6)).record == Record(id="d", metadata={"version": 6})
