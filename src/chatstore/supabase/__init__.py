"""Chat history in Supabase: the new side of a chat migration."""

from chatstore.supabase.as_user import (
    ANYBODY,
    NAMELESS,
    OUTSIDERS,
    STRANGER,
    AsUserReport,
    Finding,
    Suspect,
    Visit,
    Wrong,
    verify_as_users,
)
from chatstore.supabase.chat import SupabaseChat, TokenOf
from chatstore.supabase.client import ServiceClient, SupabaseClient, UserClient
from chatstore.supabase.database import SupabaseDatabase
from chatstore.supabase.journal import SupabaseJournal
from chatstore.supabase.schema import SCHEMA_VERSION, apply_schema, schema_sql

__all__ = [
    "ANYBODY",
    "NAMELESS",
    "OUTSIDERS",
    "SCHEMA_VERSION",
    "STRANGER",
    "AsUserReport",
    "Finding",
    "ServiceClient",
    "SupabaseChat",
    "SupabaseClient",
    "SupabaseDatabase",
    "SupabaseJournal",
    "Suspect",
    "TokenOf",
    "UserClient",
    "Visit",
    "Wrong",
    "apply_schema",
    "schema_sql",
    "verify_as_users",
]
