"""Move a live LLM app's chat history from Redis to Supabase, and its documents to Chroma, losing nothing."""
