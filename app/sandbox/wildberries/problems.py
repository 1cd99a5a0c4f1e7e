"""The error bodies of Wildberries: those of its gateway, and those of its services.

Shapes and texts: the official descriptions (responses 401 to 429, state of 2026-08-18), the portal's "Introduction", and answers that
users published in 2026.
"""

import secrets
from datetime import datetime
from http import HTTPStatus
from typing import Literal
from uuid import UUID, uuid4

import msgspec

from app.sandbox.limits import Limit, Refused
from app.sandbox.messages import JSON, Answer, Headers

PROBLEM_JSON = b"application/problem+json"
Style = Literal["documented", "newer"]

_DOCUMENTATION = "https://dev.wildberries.ru/openapi/api-information"
_AUTH_ORIGIN = "s2s-api-auth-catalog"


def _request_id() -> str:
    return secrets.token_hex(16)


class Gateway:
    """What the gateway in front of a service says before the service is asked, in one of its two styles.

    The newer one, seen from September 2026 on, has capitalised titles, no `code` and another origin.
    """

    def __init__(self, style: Style, host: str, now: datetime) -> None:
        self._newer = style == "newer"
        self._host = host
        self._now = now

    def path_not_found(self) -> Answer:
        return self._problem(404, "path not found", f"Please consult the {_DOCUMENTATION}")

    def method_not_allowed(self) -> Answer:
        return self._problem(405, "method not allowed", f"Please consult the {_DOCUMENTATION}")

    def method_gone(self, since: str) -> Answer:
        """`since` is the day of the removal, as in 20260720: what a client can recognise is the marker."""
        marker = f"PLUG-404-{since}"
        return self._problem(404, "path not found", f"The method is disabled ({marker}). Please consult the {_DOCUMENTATION}", code=marker)

    def unauthorized(self, detail: str) -> Answer:
        return self._problem(401, "unauthorized", detail)

    def base_token_closed(self) -> Answer:
        if self._newer:
            return self._problem(403, "forbidden", "token does not satisfy additional requirements")
        return self._problem(403, "forbidden", "base token is not allowed", code="base token is not allowed for this path")

    def payment_required(self) -> Answer:
        """What a service of the catalogue is told that owes money; this one says nothing of the request."""
        body = {"title": "payment required", "detail": "wb solution for business has insufficient funds on its balance"}
        return Answer(402, msgspec.json.encode(body), PROBLEM_JSON)

    def too_many_requests(self, refused: Refused, limit: Limit) -> Answer:
        detail = "rate limit exceeded, retry after the period specified in the X-RateLimit-Retry header"
        answer = self._problem(429, "too many requests", detail if self._newer else f"limited by {uuid4()}")
        answer.headers = _limit_headers(("Retry", refused.retry_s), ("Limit", limit.burst), ("Reset", refused.reset_s))
        if self._newer:
            answer.headers += self.remaining(0)
        return answer

    def too_many_requests_of_seller(self, seller_id: UUID, retry_s: int) -> Answer:
        detail = f"Limited by global limiter, per seller {seller_id}; See {_DOCUMENTATION}"
        answer = self._problem(429, "too many requests", detail, code=f"461{_code()}", origin="s2s-api")
        answer.headers = _limit_headers(("Retry", retry_s), ("Limit", 1), ("Reset", retry_s))
        return answer

    def remaining(self, requests: int) -> Headers:
        """The header that every answer but a documented 429 has: how many requests would be let through at once."""
        return _limit_headers(("Remaining", requests))

    def _problem(self, status: int, title: str, detail: str, *, code: str | None = None, origin: str | None = None) -> Answer:
        body: dict[str, object] = {
            "title": title.title() if self._newer else title,
            "detail": detail,
            "code": code or _code(),
            "requestId": _request_id(),
            "origin": origin or (f"ag-{self._host}" if self._newer else _AUTH_ORIGIN),
            "status": status,
            "statusText": HTTPStatus(status).phrase,
            "timestamp": self._now.replace(microsecond=0),
        }
        if self._newer:
            del body["code"]
        return Answer(status, msgspec.json.encode(body), PROBLEM_JSON)


def _limit_headers(*values: tuple[str, int]) -> Headers:
    # The newer gateways spell it X-RateLimit-; the server makes all names lower case anyway.
    return [(f"X-Ratelimit-{name}".encode(), str(value).encode()) for name, value in values]


def content_rejected(text: str) -> Answer:
    """400 of the service behind the Content host."""
    return Answer(400, msgspec.json.encode({"data": None, "error": True, "errorText": text, "additionalErrors": None}))


def content_undecodable() -> Answer:
    """400 of the same service for a body that is no JSON, or has other types than documented."""
    return Answer(400, b"Request body can not be decoded", b"text/plain; charset=utf-8")


def analytics_rejected(detail: str) -> Answer:
    """400 of the service behind the Analytics host."""
    body = {"title": "Invalid request body", "detail": detail, "requestId": str(uuid4()), "origin": "analytic-open-api"}
    return Answer(400, msgspec.json.encode(body))


def prices_rejected(text: str) -> Answer:
    """400 of the service behind the Prices host."""
    return Answer(400, msgspec.json.encode({"data": None, "error": True, "errorText": text}))


def marketplace_rejected(status: int, code: str, message: str) -> Answer:
    """400 or 404 of the service behind the Marketplace host."""
    return Answer(status, msgspec.json.encode({"code": code, "message": message}))


def statistics_rejected(*errors: str) -> Answer:
    """400 of the service behind the Statistics host, in the form of a list."""
    return Answer(400, msgspec.json.encode({"errors": errors}))


def statistics_undecodable(error: str) -> Answer:
    """400 of the same service, in its other form."""
    return Answer(400, msgspec.json.encode({"errors": error}))


def report_rejected(detail: str) -> Answer:
    """400 of the service that makes reports."""
    return _report_problem(400, "Bad Request", detail, JSON)


def report_not_found() -> Answer:
    """404 of the service that makes reports: the id is unknown, forgotten or somebody else's."""
    return _report_problem(404, "Not Found", "not found", PROBLEM_JSON)


def _report_problem(status: int, title: str, detail: str, content_type: bytes) -> Answer:
    body = {"title": title, "detail": detail, "requestId": _request_id(), "origin": "api-statistics"}
    return Answer(status, msgspec.json.encode(body), content_type)


def _code() -> str:
    return f"{secrets.token_hex(4)}-{secrets.token_hex(6)}-[UK-{secrets.token_urlsafe(10)}]"
