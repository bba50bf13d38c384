"""Moving what is there: backfill, verify, and what they write down so that another run can go on."""

from chatstore.migration.backfill import BackfillOptions, Repair, backfill_chat, backfill_documents
from chatstore.migration.compare import Difference
from chatstore.migration.events import OnProgress, ProgressEvent, Step
from chatstore.migration.history import History, Sample, StepTime
from chatstore.migration.patience import Patience
from chatstore.migration.reports import BackfillReport, Tally, VerifyReport
from chatstore.migration.sweep import DocumentsSwept, sweep_chat, sweep_documents
from chatstore.migration.verify import VerifyOptions, verify_chat, verify_documents

__all__ = [
    "BackfillOptions",
    "BackfillReport",
    "Difference",
    "DocumentsSwept",
    "History",
    "OnProgress",
    "Patience",
    "ProgressEvent",
    "Repair",
    "Sample",
    "Step",
    "StepTime",
    "Tally",
    "VerifyOptions",
    "VerifyReport",
    "backfill_chat",
    "backfill_documents",
    "sweep_chat",
    "sweep_documents",
    "verify_chat",
    "verify_documents",
]
