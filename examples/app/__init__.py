"""A whole app on chatstore: users log in, chat, upload documents and search them, while the app is migrated under them.

Run it with `python -m examples.app`; docs/example-app.md is about it. A good order to read it in: `main` (how it is put
together), `identity` (whose a request is), `chats` and `turns` (conversations), `library` (documents), `strip` (what is
seen of the migration).
"""
