"""What tests of both a framework and chatstore need."""

from tests.redis.documents.conftest import app, world

__all__ = ["app", "world"]
