"""The main job, end to end: a live app moves from Redis to Supabase and Chroma. `make demo` runs it."""
