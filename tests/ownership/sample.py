"""What an app may name in its settings."""

from chatstore.ownership import SoleOwner

TEXT = "no function"
TABLE = {"chat:1": "ann"}
OWNERS = SoleOwner("public")


def owner_of(key):
    return key.split(":")[1] if key.startswith("chat:") else None


async def later(key):
    return key
