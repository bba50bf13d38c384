"""Moving what is there: backfill, and what it writes down so that another run can go on."""

from chatstore.migration.backfill import BackfillOptions, Repair, backfill_chat, backfill_documents
from chatstore.migration.compare import Difference
from chatstore.migration.events import OnProgress, ProgressEvent, Step
from chatstore.migration.patience import Patience
from chatstore.migration.reports import BackfillReport, Tally, VerifyReport

__all__ = [
    "BackfillOptions",
    "BackfillReport",
    "Difference",
    "OnProgress",
    "Patience",
    "ProgressEvent",
    "Repair",
    "Step",
    "Tally",
    "VerifyReport",
    "backfill_chat",
    "backfill_documents",
]
