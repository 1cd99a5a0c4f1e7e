"""Ozon: what its gateway asks of a request, in which order, and the methods behind it.

What answers at `https://api-seller.ozon.ru/v1/roles` there answers at `http://127.0.0.1:PORT/ozon/v1/roles`. Source of the order, of the limits and of their
headers: docs.ozon.ru/api/seller, state of 2026-10-01, and answers that users published in 2026.
"""

import secrets
from collections.abc import Callable

import msgspec

from app.sandbox.faults import Fault, asked_at, instead, spoil
from app.sandbox.limits import Limit, Refused
from app.sandbox.messages import Answer, Request
from app.sandbox.ozon import oauth, postings, prices, products, refusals, seller, stocks, warehouses
from app.sandbox.ozon.call import Call
from app.sandbox.ozon.catalogues import Catalogues
from app.sandbox.ozon.keys import MAX_CLIENT_ID, Key, read_key
from app.sandbox.ozon.roles import ALWAYS_OPEN
from app.sandbox.state import State

LIMIT = Limit(1 / 50, 50)
"""Of a seller, all methods together: 50 requests per second."""

RETIRED = ("/v3/posting/fbs/list", "/v3/posting/fbs/unfulfilled/list", "/v2/posting/fbo/list")
"""Lists that were to be switched off on 2026-08-31; like all that Ozon removed, they are simply not there."""

_UNAVAILABLE_PAGE = b"<html><head><title>503 Service Temporarily Unavailable</title></head><body><h1>503</h1><hr>nginx</body></html>"


class Method(msgspec.Struct, frozen=True):
    """`changes_with` is what an answer depends on beside the shop's version and the question; one without it is made anew each time.
    `limit` is the method's own, if it has one."""

    answer: Callable[[Call], Answer]
    changes_with: Callable[[Call], object] | None = None
    limit: Limit | None = None


def _by_step(call: Call) -> object:
    return call.catalogue.shop.stock_step(call.now)


def _by_second(call: Call) -> object:
    return call.now.replace(microsecond=0)


def _by_version(call: Call) -> object:
    del call
    return None


METHODS = {
    "/v1/roles": Method(seller.tell_roles),
    "/v1/seller/info": Method(seller.tell_seller),
    "/v3/product/list": Method(products.list_products, _by_step),
    "/v3/product/info/list": Method(products.describe_products, _by_step),
    "/v4/product/info/stocks": Method(stocks.list_totals, _by_step),
    "/v2/product/info/stocks-by-warehouse/fbs": Method(stocks.list_fbs, _by_step),
    "/v1/product/info/stocks-by-warehouse/fbo": Method(stocks.list_fbo, _by_step),
    "/v1/product/info/warehouse/stocks": Method(stocks.list_warehouse, _by_second),
    "/v2/warehouse/list": Method(warehouses.list_seller_warehouses, _by_version, Limit(60, 1)),
    "/v1/warehouse/ozon/list": Method(warehouses.list_ozon_warehouses, _by_version),
    "/v5/product/info/prices": Method(prices.list_prices, _by_version),
    "/v4/posting/fbs/list": Method(postings.list_fbs, _by_second),
    "/v3/posting/fbo/list": Method(postings.list_fbo, _by_second),
}


class Ozon:
    """Answers as Ozon does to whatever comes to `/ozon/…`."""

    def __init__(self, state: State, catalogues: Catalogues) -> None:
        self._state = state
        self._catalogues = catalogues

    def answer(self, request: Request) -> tuple[Answer, int]:
        """The answer, and how many milliseconds it should take."""
        path = request.path.removeprefix("/ozon")
        key = _key_of(request)
        seller_id = key.seller_id if isinstance(key, Key) else None
        delay_ms = self._state.behaviour.delay_ms
        method = METHODS.get(path)
        if path == "/oauth/token" and request.verb == "POST":
            answer = oauth.issue(request, self._state.clock.now())
        elif method is None:
            answer = refusals.not_found()
            path = path if path in RETIRED else "unknown"
        elif request.verb != "POST":
            answer = Answer(405)
        else:
            fault = self._state.faults.take(seller_id, path)
            answer = _instead(fault) if fault else None
            answer = answer or self._let_through(path, method, key, request, fault)
            if fault:
                answer = spoil(fault, answer, request.body)
                delay_ms += fault.delay_ms if fault.kind != "trickle" else 0
        if not any(name == b"ratelimit-remaining" for name, _ in answer.headers):
            answer.headers = [*answer.headers, (b"ratelimit-remaining", b"0" if answer.status == 429 else str(LIMIT.burst).encode())]
        answer.headers.append((b"x-o3-trace-id", secrets.token_hex(16).encode()))
        self._state.requests[seller_id, f"{request.verb} {path}", 0 if answer.broken else answer.status] += 1
        return answer, delay_ms

    def _let_through(self, path: str, method: Method, key: Key | Answer, request: Request, fault: Fault | None) -> Answer:
        """What the gateway has against the request, else what the method answers."""
        if isinstance(key, Answer):
            return key
        now_s = self._state.clock.seconds()
        if key.expires_at_s <= now_s:
            return refusals.key_deactivated()
        if path not in ALWAYS_OPEN and not key.opens(path):
            return refusals.role_missing()
        remaining = LIMIT.burst
        if self._state.behaviour.limits:
            taken = self._state.buckets.take(("ozon", str(key.client_id)), LIMIT, now_s)
            if not isinstance(taken, Refused) and method.limit is not None:
                taken = self._state.buckets.take(("ozon", str(key.client_id), path), method.limit, now_s)
            if isinstance(taken, Refused):
                return refusals.too_many_requests(taken.retry_s)
            remaining = taken.remaining
        call = Call(
            key=key,
            catalogue=self._catalogues.of(key.seller_id, key.products),
            body=request.body,
            now=asked_at(fault, self._state.clock.now()),
            totals=self._state.behaviour.ozon_totals == "present",
            promises=fault is not None and fault.kind == "promised_page",
        )
        try:
            answer = self._kept(path, method, call)
        except refusals.Invalid as error:
            answer = refusals.invalid(str(error))
        answer.headers = [*answer.headers, (b"ratelimit-remaining", str(remaining).encode())]
        return answer

    def _kept(self, path: str, method: Method, call: Call) -> Answer:
        """The same question about the same state of a shop is worked out once."""
        if method.changes_with is None:
            return method.answer(call)
        page_key = ("ozon", path, call.catalogue.version, method.changes_with(call), call.totals, call.promises, call.body)
        page = self._state.pages.get(page_key)
        if page is not None:
            return Answer(200, page)
        fresh = method.answer(call)
        if fresh.status == 200:
            self._state.pages.put(page_key, fresh.body)
        return fresh


def _key_of(request: Request) -> Key | Answer:
    """Whose request it is; if nobody's, what the gateway says of it."""
    scheme, _, token = request.header(b"authorization").partition(" ")
    if scheme.lower() == "bearer":
        key = read_key(token.strip())
        return key if key is not None and key.kind == "token" else refusals.token_unknown()
    client_id, api_key = request.header(b"client-id"), request.header(b"api-key")
    if not client_id or not api_key:
        return refusals.headers_missing()
    if not (client_id.isascii() and client_id.isdecimal() and 1 <= int(client_id) <= MAX_CLIENT_ID):
        return refusals.client_id_malformed()
    key = read_key(api_key)
    if key is None or key.kind != "key" or key.client_id != int(client_id):
        return refusals.key_unknown()
    return key


def _instead(fault: Fault) -> Answer | None:
    match fault.kind:
        case "server_error":
            return refusals.internal_error()
        case "unavailable":
            return Answer(503, _UNAVAILABLE_PAGE, b"text/html")
        case "rate_limited" | "rate_limited_globally":
            return refusals.too_many_requests(fault.retry_s)
        case "unauthorized":
            return refusals.key_unknown()
        case "key_deactivated":
            return refusals.key_deactivated()
        case "role_missing":
            return refusals.role_missing()
        case "ip_restricted":
            return refusals.ip_restricted()
        case "company_blocked":
            return refusals.company_blocked()
        case "offer_not_signed":
            return refusals.offer_not_signed()
        case "payment_required":
            return refusals.subscription_missing()
        case "method_gone":
            return refusals.not_found()
        case "method_obsolete":
            return refusals.obsolete_method()
        case "circle_open":
            return refusals.circle_open()
        case _:
            return instead(fault)
