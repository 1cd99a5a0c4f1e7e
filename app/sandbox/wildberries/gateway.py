"""Wildberries: its hosts, what its gateway asks of a request, and the methods behind it.

Each host of the real marketplace is a base URL here: what answers at `https://content-api.wildberries.ru/ping` there answers at
`http://127.0.0.1:PORT/wildberries/content/ping`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from functools import lru_cache
from uuid import UUID

import msgspec

from app.sandbox.faults import Fault
from app.sandbox.limits import Limit, Refused, Taken
from app.sandbox.messages import Answer, Request
from app.sandbox.shop import Shop
from app.sandbox.state import State
from app.sandbox.tokens import Category, MalformedToken, Token, read_token
from app.sandbox.wildberries.cards import list_cards
from app.sandbox.wildberries.problems import Gateway
from app.sandbox.wildberries.stocks import report_seller_warehouses, report_wb_warehouses

HOSTS: dict[str, Category | None] = {
    "common": None,
    "content": Category.CONTENT,
    "analytics": Category.ANALYTICS,
    "prices": Category.PRICES,
    "marketplace": Category.MARKETPLACE,
    "statistics": Category.STATISTICS,
}
"""The hosts by the names of their base URLs, and the category that a token needs for each (None: any will do)."""

GONE = {("statistics", "/api/v1/supplier/stocks"): "20260720"}
"""Methods that Wildberries removed, and when."""

MOSCOW = timezone(timedelta(hours=3))
_DAY_S = 24 * 3600.0

_PING_LIMIT = Limit(10, 99)
_SELLER_INFO_LIMIT = Limit(60, 10)
_CARDS_LIMIT = Limit(0.6, 5)
_REPORT_LIMIT = Limit(20, 1)


class Call(msgspec.Struct, frozen=True):
    """A request that the gateway let through."""

    shop: Shop
    body: bytes
    now: datetime


class Method(msgspec.Struct, frozen=True):
    """A method of the marketplace.

    `base_limit` is the limit of a base token, None where that token is not let in. `open_to_secret` says whether it is let in, with the
    usual limit, when the service that holds it shows a secret. Methods with the same `limited_as` share a bucket.
    """

    limited_as: str
    limit: Limit
    base_limit: Limit | None
    open_to_secret: bool
    answer: Callable[[Call], Answer]


class Wildberries:
    """Answers as Wildberries does to whatever comes to `/wildberries/<host>/…`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._methods = self._list_methods()
        self._paths = {(host, path) for host, _, path in self._methods}

    def _list_methods(self) -> dict[tuple[str, str, str], Method]:
        reports = "/api/analytics/v1/stocks-report"
        cards = "/content/v2/get/cards/list"
        return {
            **{(host, "GET", "/ping"): Method(f"{host}/ping", _PING_LIMIT, _PING_LIMIT, True, self._ping) for host in HOSTS},
            ("common", "GET", "/api/v1/seller-info"): Method("seller-info", _SELLER_INFO_LIMIT, Limit(_DAY_S, 1), True, self._seller_info),
            ("content", "POST", cards): Method("cards", _CARDS_LIMIT, _CARDS_LIMIT, True, self._cards),
            ("analytics", "POST", f"{reports}/wb-warehouses"): Method("wb-warehouses", _REPORT_LIMIT, None, True, self._wb_warehouses),
            ("analytics", "POST", f"{reports}/seller-warehouses"): Method(
                "seller-warehouses", _REPORT_LIMIT, None, False, self._seller_warehouses
            ),
        }

    def answer(self, request: Request) -> tuple[Answer, int]:
        """The answer, and how many milliseconds it should take."""
        _, _, host, *rest = request.path.split("/", 3)
        path = "/" + "".join(rest)
        gateway = Gateway(self._state.behaviour.errors, host, self._state.clock.now())
        token = _read_token(request.header(b"authorization"))
        seller_id = token.sid if isinstance(token, Token) else None
        method = self._methods.get((host, request.verb, path))
        delay_ms = self._state.behaviour.delay_ms
        if method is None:
            answer = self._no_such_method(gateway, host, path)
            path = path if (host, path) in GONE else "unknown"
        else:
            fault = self._state.faults.take(seller_id, path)
            delay_ms += fault.delay_ms if fault else 0
            answer = self._faulty(gateway, fault, seller_id, method) if fault else None
            answer = answer or self._let_through(gateway, host, method, token, request)
            if fault and fault.kind == "cut":
                answer.broken = "cut"
        self._state.requests[seller_id, f"{request.verb} {path}", 0 if answer.broken else answer.status] += 1
        return answer, delay_ms

    def _no_such_method(self, gateway: Gateway, host: str, path: str) -> Answer:
        if (since := GONE.get((host, path))) is not None:
            return gateway.method_gone(since)
        if (host, path) in self._paths:
            return gateway.method_not_allowed()
        return gateway.path_not_found()

    def _faulty(self, gateway: Gateway, fault: Fault, seller_id: UUID | None, method: Method) -> Answer | None:
        match fault.kind:
            case "server_error":
                return Answer(500)
            case "bad_gateway":
                return Answer(502, _BAD_GATEWAY_PAGE, b"text/html")
            case "disconnect":
                return Answer(500, broken="disconnect")
            case "rate_limited":
                return gateway.too_many_requests(Refused(fault.retry_s, fault.retry_s), method.limit)
            case "rate_limited_globally":
                return gateway.too_many_requests_of_seller(seller_id or UUID(int=0), fault.retry_s)
            case "unauthorized":
                return gateway.unauthorized("token problem; token is withdrawn")
            case "method_gone":
                return gateway.method_gone(f"{self._state.clock.now():%Y%m%d}")
            case "undocumented":
                return Answer(200, _UNDOCUMENTED)
            case "cut" | "slow":
                return None

    def _let_through(self, gateway: Gateway, host: str, method: Method, token: Token | str, request: Request) -> Answer:
        """What the gateway has against the request, else what the method answers."""
        if isinstance(token, str):
            return gateway.unauthorized(token)
        now_s = self._state.clock.seconds()
        if token.exp <= now_s:
            return gateway.unauthorized("token expired")
        category = HOSTS[host]
        # A test token is for Wildberries' own sandbox hosts; those played here are the production ones.
        if token.t or token.token_type == "test" or (category is not None and not token.allows(category)):
            return gateway.unauthorized("token scope not allowed")
        limit: Limit | None = method.limit
        if token.token_type == "base" and not (method.open_to_secret and request.header(b"x-client-secret")):
            limit = method.base_limit
        if limit is None:
            return gateway.base_token_closed()
        taken: Taken | Refused = Taken(limit.burst)
        if self._state.behaviour.limits:
            owner = token.for_ if token.token_type == "service" else token.token_type
            taken = self._state.buckets.take((str(token.sid), owner, method.limited_as), limit, now_s)
        if isinstance(taken, Refused):
            return gateway.too_many_requests(taken, limit)
        shop = self._state.shop(token.sid, token.sandbox_products)
        answer = method.answer(Call(shop, request.body, self._state.clock.now()))
        answer.headers = [*answer.headers, *gateway.remaining(taken.remaining)]
        return answer

    # The methods

    def _ping(self, call: Call) -> Answer:
        asked_at = call.now.astimezone(MOSCOW).isoformat(timespec="seconds")
        return Answer(200, msgspec.json.encode({"TS": asked_at, "Status": "OK"}))

    def _seller_info(self, call: Call) -> Answer:
        seller = call.shop.seller
        body = {"name": seller.name, "sid": seller.id, "tin": seller.tin, "tradeMark": seller.trade_mark}
        return Answer(200, msgspec.json.encode(body))

    def _cards(self, call: Call) -> Answer:
        return self._kept(("cards", call.shop.version, call.body), lambda: list_cards(call.shop, call.body))

    def _wb_warehouses(self, call: Call) -> Answer:
        masked = self._state.behaviour.warehouses == "masked"
        key = ("wb-warehouses", call.shop.version, call.shop.stock_step(call.now), masked, call.body)
        return self._kept(key, lambda: report_wb_warehouses(call.shop, call.body, call.now, masked=masked))

    def _seller_warehouses(self, call: Call) -> Answer:
        key = ("seller-warehouses", call.shop.version, call.shop.stock_step(call.now), call.body)
        return self._kept(key, lambda: report_seller_warehouses(call.shop, call.body, call.now))

    def _kept(self, key: tuple[object, ...], answer: Callable[[], Answer]) -> Answer:
        """The same question about the same state of a shop is worked out once."""
        page = self._state.pages.get(key)
        if page is not None:
            return Answer(200, page)
        fresh = answer()
        if fresh.status == 200:
            self._state.pages.put(key, fresh.body)
        return fresh


_BAD_GATEWAY_PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body><center><h1>502 Bad Gateway</h1></center></body>\r\n</html>\r\n"
)
_UNDOCUMENTED = b'{"result":{"rows":[{"article":"?"}],"more":false}}'


@lru_cache(maxsize=20_000)
def _read_token(header: str) -> Token | str:
    """The token in an `Authorization` header, bare or behind `Bearer`; if there is none, what the gateway says of it."""
    scheme, _, credentials = header.partition(" ")
    text = credentials.strip() if scheme.lower() == "bearer" else header
    if not text:
        return "empty Authorization header"
    try:
        return read_token(text)
    except MalformedToken as error:
        return f"token problem; token is malformed: {error}"
