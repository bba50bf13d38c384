"""Who a user is: by a token that was verified, and by nothing that a caller says."""

from chatstore.errors import TokenRefusedError
from chatstore.identity.keys import IssuerKeys
from chatstore.identity.user_token import UserToken
from chatstore.identity.verifier import TokenVerifier

__all__ = ["IssuerKeys", "TokenRefusedError", "TokenVerifier", "UserToken"]
