"""The admin token: what it says, how it is minted, how it is verified. Pure."""

from elevate.token.claims import MAX_TOKEN_SECONDS, Claims, new_jti
from elevate.token.keys import TokenKey, base64url, jwks, thumbprint
from elevate.token.profile import Expected, mint, verify

__all__ = [
    "MAX_TOKEN_SECONDS",
    "Claims",
    "Expected",
    "TokenKey",
    "base64url",
    "jwks",
    "mint",
    "new_jti",
    "thumbprint",
    "verify",
]
