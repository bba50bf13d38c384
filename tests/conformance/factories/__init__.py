"""What the conformance suite runs on: each module here adds its sides under the names CHAT, DOCUMENTS and PROGRESS.

Each is a dict from a name to an async context manager's factory, which takes pytest's `request` (for the servers'
fixtures: `request.getfixturevalue("redis_database")`) and yields an empty store.
"""
