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
            version=version,
        )
    return DocumentChange(key=KEY, document=document, deleted=deleted)


versions = st.integers(0, 9).map(lambda half: 2 * half)
changes = st.builds(change, st.none() | versions, versions)


def joined(held, *theirs):
    """Return what is held after a join is carried out."""
    steps = plan_join({KEY: held}, theirs)
    deleted = steps.bury.get(KEY, held.deleted)
    record = None if KEY in steps.remove else held.record
    for document in steps.write:
        record = Record(id="d", metadata={"version": document.version})
    return Held(record, deleted)


NOTHING = Held(None, 0)


@given(st.lists(changes, min_size=1, max_size=5), st.randoms())
def test_the_order_repetition_and_batching_of_changes_do_not_matter(theirs, random):
    one_by_one = NOTHING
    for each in theirs:
        one_by_one = joined(one_by_one, each)
    shuffled = [*theirs, *theirs]
    random.shuffle(shuffled)
    assert one_by_one == joined(NOTHING, *shuffled) == joined(joined(NOTHING, *theirs), *theirs)


@given(st.lists(changes, min_size=1, max_size=5))
def test_what_is_left_is_the_newest_and_never_older_than_a_deletion(theirs):
    held = joined(NOTHING, *theirs)
    deleted = max(each.deleted for each in theirs)
    alive = [
        each.document.version for each in theirs if each.document and not (deleted and each.document.version <= deleted)
    ]
    assert held.deleted == deleted
    assert (held.record.metadata["version"] if held.record else None) == (max(alive) if alive else None)


def test_a_leftover_that_is_older_than_its_tombstone_is_removed_by_any_join():
    leftover = Held(Record(id="d", metadata={"version": 5}), 8)
    assert leftover.is_overtaken
    assert joined(leftover, change(None, 8)) == Held(None, 8)
    assert joined(leftover, change(4)) == Held(None, 8)


def test_a_document_of_version_zero_is_taken():
    assert joined(NOTHING, change(0)).record is not None
