"""Chat history in Supabase: the new side of a chat migration."""

from chatstore.supabase.chat import SupabaseChat, TokenOf
from chatstore.supabase.client import ServiceClient, SupabaseClient, UserClient
from chatstore.supabase.database import SupabaseDatabase
from chatstore.supabase.journal import SupabaseJournal
from chatstore.supabase.schema import SCHEMA_VERSION, apply_schema, schema_sql

__all__ = [
    "SCHEMA_VERSION",
    "ServiceClient",
    "SupabaseChat",
    "SupabaseClient",
    "SupabaseDatabase",
    "SupabaseJournal",
    "TokenOf",
    "UserClient",
    "apply_schema",
    "schema_sql",
]
