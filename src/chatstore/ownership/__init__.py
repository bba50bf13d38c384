"""Whose a record is where its layout does not say so, and what the old users' ids have become.

Settings name both in short forms (`load_owners`, `load_users`); Python code may pass objects (`as_owners`, `as_users`).
"""

from chatstore.models.ownership import Owners, SameUsers, Users
from chatstore.ownership.owners import (
    FORMS,
    FieldOwners,
    FunctionOwners,
    MappedOwners,
    OwnerOf,
    SoleOwner,
    as_owners,
    load_owners,
)
from chatstore.ownership.template import TemplateOwners
from chatstore.ownership.users import MappedUsers, as_users, load_users

__all__ = [
    "FORMS",
    "FieldOwners",
    "FunctionOwners",
    "MappedOwners",
    "MappedUsers",
    "OwnerOf",
    "Owners",
    "SameUsers",
    "SoleOwner",
    "TemplateOwners",
    "Users",
    "as_owners",
    "as_users",
    "load_owners",
    "load_users",
]
