"""Reading as the end users would, through row-level security, before they do."""

from chatstore.supabase.as_user.report import (
    ANYBODY,
    NAMELESS,
    OUTSIDERS,
    STRANGER,
    AsUserReport,
    Finding,
    Suspect,
    Visit,
    Wrong,
)
from chatstore.supabase.as_user.verify import verify_as_users

__all__ = [
    "ANYBODY",
    "NAMELESS",
    "OUTSIDERS",
    "STRANGER",
    "AsUserReport",
    "Finding",
    "Suspect",
    "Visit",
    "Wrong",
    "verify_as_users",
]
