"""The format of API keys, and what is stored about them. ``key_store`` stores them."""

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
"""62 possibilities per character: 256 bits."""
_FORM = re.compile(rf"gfk_([A-Za-z0-9]{{{_ID_CHARS}}})_[A-Za-z0-9]{{{_SECRET_CHARS}}}")


@dataclass(frozen=True)
class ApiKey:
    """The record of a key: everything but the key itself."""

    key_id: str
    """Part of the key; identifies it, and is not secret."""
    name: str
    """The holder's name; unique."""
    digest: str
    """SHA-256 of the whole key, 64 hex digits. A key is too random to be guessed, so a slow digest,
    which passwords need, would add no protection."""
    scopes: frozenset[Scope]
    weight: float
    """Share of the workers relative to other callers."""
    created_at: float
    """Seconds since 1970."""
    revoked_at: float | None = None
    """The same; None while it is valid."""

    def caller(self) -> Caller:
        """The caller who holds it."""
        return Caller(self.name, self.scopes, self.weight)


@dataclass(frozen=True)
class NewKey:
    """A key just created, the only time that the service knows it."""

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
    """The id in what a caller sent; None if it does not have the form of a key.

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
    """Whether a digest is that of the given text; takes the same time either way."""
    return hmac.compare_digest(digest_of(given), digest)


def _random(length: int) -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(length))
