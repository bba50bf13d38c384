"""Who a user is: by a token that was verified, and by nothing that a caller says."""

from chatstore.errors import TokenRefusedError
from chatstore.identity.user_token import UserToken

__all__ = ["TokenRefusedError", "UserToken"]
