"""A service of sessions for Google's ADK, over any store."""

from chatstore.integrations.google_adk.sessions import ChatstoreSessionService

__all__ = ["ChatstoreSessionService"]
