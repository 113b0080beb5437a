"""What commands say when they cannot do what they were asked, and how they end."""

import json
import sys

from greenfork.screen import one_line
from shared.errors import GreenforkError, InputError, RequestError, ServiceError

__all__ = ["exit_status", "print_error", "print_json"]


def print_json(body: object) -> None:
    """Prints for machines: one JSON value on stdout."""
    sys.stdout.write(json.dumps(body) + "\n")
    sys.stdout.flush()


def print_error(message: str, code: str, as_json: bool, is_retryable: bool = False) -> None:
    """Says what is wrong: to people on stderr, to machines as JSON on stdout."""
    if as_json:
        print_json({"error": {"code": code, "message": message, "retryable": is_retryable}})
    else:
        sys.stderr.write(f"greenfork: {one_line(message)} [{code}]\n")


def exit_status(error: GreenforkError) -> int:
    """2 where something given is unusable, 130 after Ctrl-C, 1 where the work failed."""
    if error.code == "interrupted":
        return 130
    return 2 if isinstance(error, InputError | RequestError | ServiceError) else 1
