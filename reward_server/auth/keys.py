"""The format of API keys, and what is stored of them. Where they are stored: ``key_store``."""

import hashlib
import hmac
import re
import secrets
import string
from dataclasses import dataclass

from reward_server.auth.callers import Caller, Scope

__all__ = ["ApiKey", "NewKey", "digest_of", "is_same", "key_id_of", "make_key"]

_ALPHABET = string.ascii_letters + string.digits
_ID_CHARS = 12
_SECRET_CHARS = 43
"""62 possibilities a character: 256 bits."""
_FORM = re.compile(rf"gfk_([A-Za-z0-9]{{{_ID_CHARS}}})_[A-Za-z0-9]{{{_SECRET_CHARS}}}")


@dataclass(frozen=True)
class ApiKey:
    """What is on record of a key: everything but the key itself."""

    key_id: str
    """Stands in the key; names it, and is no secret."""
    name: str
    """Whose it is; unique."""
    digest: str
    """SHA-256 of the whole key, 64 hex digits. A key is too random to be guessed, so that a slow
    digest, as passwords need, would protect nothing."""
    scopes: frozenset[Scope]
    weight: float
    """Share of the workers beside other callers."""
    created_at: float
    """Seconds since 1970."""
    revoked_at: float | None = None
    """The same; None while it is valid."""

    def caller(self) -> Caller:
        """Who sends it."""
        return Caller(self.name, self.scopes, self.weight)


@dataclass(frozen=True)
class NewKey:
    """A key that was just made; the only moment at which it is known here."""

    key_id: str
    secret: str
    """The whole key, as callers send it."""

    def __repr__(self) -> str:
        return f"NewKey(key_id={self.key_id!r})"


def make_key() -> NewKey:
    """A new key: ``gfk_<key id>_<256 random bits>``."""
    key_id, random = _random(_ID_CHARS), _random(_SECRET_CHARS)
    return NewKey(key_id, f"gfk_{key_id}_{random}")


def key_id_of(given: str) -> str | None:
    """The id in what a caller sent; None where that has not the form of a key.

    >>> key_id_of("gfk_0123456789ab_" + "x" * 43)
    '0123456789ab'
    >>> key_id_of("password") is None
    True
    """
    match = _FORM.fullmatch(given)
    return match[1] if match else None


def digest_of(given: str) -> str:
    """SHA-256 as 64 hex digits."""
    return hashlib.sha256(given.encode(errors="surrogatepass")).hexdigest()


def is_same(given: str, digest: str) -> bool:
    """Whether a digest is that of what was given; takes as long whatever the answer."""
    return hmac.compare_digest(digest_of(given), digest)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
