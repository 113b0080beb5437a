"""What every refusal of the service has."""

from typing import Any

import httpx

__all__ = ["YES", "assert_problem"]


YES = {"decision": {"kind": "extend", "extend": True}}


def assert_problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Checks that an answer is a problem document, and gives it."""
    assert response.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["status"], body["code"]) == (status, status, code), body
    assert body["title"]
    assert body["detail"]
    return body
