"""Chat history in Supabase: the new side of a chat migration."""
