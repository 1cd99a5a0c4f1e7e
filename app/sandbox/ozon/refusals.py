"""The words in which Ozon refuses: one JSON shape, `code` being a status number of gRPC.

Source: docs.ozon.ru/api/seller, "Errors" and "Limits", state of 2026-10-01; the status and code of some as users saw them (2025 and 2026).
"""

import msgspec

from app.sandbox.messages import Answer

INVALID_ARGUMENT, NOT_FOUND, PERMISSION_DENIED, RESOURCE_EXHAUSTED, INTERNAL, UNAVAILABLE, UNAUTHENTICATED = 3, 5, 7, 8, 13, 14, 16


class Invalid(Exception):
    """The body of a request is not what the method takes. The text is what Ozon says of it."""


def refusal(status: int, code: int, message: str) -> Answer:
    return Answer(status, msgspec.json.encode({"code": code, "message": message, "details": list[str]()}))


def invalid(message: str) -> Answer:
    return refusal(400, INVALID_ARGUMENT, message)


def headers_missing() -> Answer:
    return refusal(401, UNAUTHENTICATED, "Client-Id and Api-Key headers are required")


def token_unknown() -> Answer:
    """How Ozon words this is not published."""
    return refusal(401, UNAUTHENTICATED, "Invalid access token")


def client_id_malformed() -> Answer:
    return invalid("Client-Id header value should be positive integer")


def key_unknown() -> Answer:
    return refusal(404, NOT_FOUND, "Invalid Api-Key, please check the key and try again")


def key_deactivated() -> Answer:
    return refusal(403, PERMISSION_DENIED, "Api-key is deactivated, use another one or generate a new one")


def role_missing() -> Answer:
    return refusal(403, PERMISSION_DENIED, "Api-Key is missing a required role for a method")


def ip_restricted() -> Answer:
    return refusal(403, PERMISSION_DENIED, "Api-Key is restricted to specific IP addresses")


def company_blocked() -> Answer:
    return refusal(403, PERMISSION_DENIED, "Company is blocked, please contact support")


def offer_not_signed() -> Answer:
    return refusal(403, PERMISSION_DENIED, "Offer not signed")


def subscription_missing() -> Answer:
    return refusal(403, PERMISSION_DENIED, "not available with existing subscription")


def not_found() -> Answer:
    return refusal(404, NOT_FOUND, "Not Found")


def obsolete_method() -> Answer:
    """How a method may answer that is switched off but still has its path."""
    return invalid("obsolete method cannot be used")


def too_many_requests(retry_s: int) -> Answer:
    """Live ones have no `details`."""
    body = {"code": RESOURCE_EXHAUSTED, "message": "You have reached request rate limit per second"}
    return Answer(429, msgspec.json.encode(body), headers=[(b"retry-after", str(retry_s).encode())])


def internal_error() -> Answer:
    return refusal(500, INTERNAL, "Internal error")


def circle_open() -> Answer:
    """The status that comes with these words is not published."""
    return refusal(503, UNAVAILABLE, "Circle is open")
