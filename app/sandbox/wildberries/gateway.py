"""Wildberries: its hosts, what its gateway asks of a request, and the methods behind it.

Each host of the real marketplace is a base URL here: what answers at `https://content-api.wildberries.ru/ping` there answers at
`http://127.0.0.1:PORT/wildberries/content/ping`.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from app.sandbox.faults import Fault, asked_at, instead, spoil
from app.sandbox.limits import Limit, Refused, Taken
from app.sandbox.messages import Answer, Request
from app.sandbox.state import State
from app.sandbox.tokens import SANDBOX_SERVICE, Category, MalformedToken, Token, read_token
from app.sandbox.wildberries.call import Call
from app.sandbox.wildberries.cards import list_cards
from app.sandbox.wildberries.fbs import list_stocks, list_warehouses
from app.sandbox.wildberries.moscow import MOSCOW
from app.sandbox.wildberries.order_feed import order_feed
from app.sandbox.wildberries.prices import list_prices, list_prices_of_articles
from app.sandbox.wildberries.problems import Gateway
from app.sandbox.wildberries.remains import Reports
from app.sandbox.wildberries.statistics import supplier_orders, supplier_sales
from app.sandbox.wildberries.stocks import report_seller_warehouses, report_wb_warehouses
from app.sandbox.wildberries.trash import list_trash

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

_MINUTE_S, _HOUR_S = 60.0, 3600.0

_QUARTERLY = Limit(_HOUR_S / 4, 1)
"""What most methods let a base token do: four requests an hour."""


class Method(msgspec.Struct, frozen=True):
    """A method of the marketplace.

    `base_limit` is the limit of a base token (None: that token is not let in), `with_secret` that of a base token whose service shows its secret.
    Methods with the same `limited_as` share a bucket, from which an answer of the service that is 4XX takes `refusal_cost` requests.
    """

    limited_as: str
    answer: Callable[[Call], Answer]
    limit: Limit
    base_limit: Limit | None
    open_to_secret: bool = True
    refusal_cost: int = 1


class Wildberries:
    """Answers as Wildberries does to whatever comes to `/wildberries/<host>/…`."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._reports = Reports(state.reports)
        self._methods = self._list_methods()
        self._paths = {(host, path) for host, _, path in self._methods}
        self._templates = {
            (host, path): re.compile(re.sub(r"\\{\w+\\}", "([^/]+)", re.escape(path))) for host, path in self._paths if "{" in path
        }

    def _list_methods(self) -> dict[tuple[str, str, str], Method]:
        """By host, verb and path. The limits are those of the descriptions and of the models of 2026-10-24, method by method."""
        ping, content, prices = Limit(10, 99), Limit(0.6, 5), Limit(0.6, 5)
        marketplace, report = Limit(0.2, 20), Limit(20, 1)
        goods = "/api/v2/list/goods/filter"
        reports = "/api/analytics/v1/stocks-report"
        remains = "/api/v1/warehouse_remains"
        fetch = f"{remains}/tasks/{{task_id}}"
        supplier = "/api/v1/supplier"
        return {
            **{(host, "GET", "/ping"): Method(f"{host}/ping", self._ping, ping, ping) for host in HOSTS},
            ("common", "GET", "/api/v1/seller-info"): Method(
                "seller-info", self._seller_info, Limit(_MINUTE_S, 10), Limit(24 * _HOUR_S, 1)
            ),
            ("content", "POST", "/content/v2/get/cards/list"): Method("content", self._cards, content, content),
            ("content", "POST", "/content/v2/get/cards/trash"): Method("content", list_trash, content, content),
            ("prices", "GET", goods): Method("prices", self._prices, prices, _QUARTERLY),
            ("prices", "POST", goods): Method("prices", list_prices_of_articles, prices, _QUARTERLY),
            ("marketplace", "GET", "/api/v3/warehouses"): Method("warehouses", list_warehouses, marketplace, marketplace, refusal_cost=10),
            ("marketplace", "POST", "/api/v3/stocks/{warehouseId}"): Method(
                "stocks", self._fbs_stocks, marketplace, marketplace, refusal_cost=10
            ),
            ("analytics", "POST", f"{reports}/wb-warehouses"): Method("wb-warehouses", self._wb_warehouses, report, None),
            ("analytics", "POST", f"{reports}/seller-warehouses"): Method(
                "seller-warehouses", self._seller_warehouses, report, None, open_to_secret=False
            ),
            ("analytics", "POST", "/api/analytics/v1/order-feed"): Method(
                "order-feed", self._order_feed, Limit(_MINUTE_S, 1), Limit(3 * _HOUR_S, 1)
            ),
            ("analytics", "GET", remains): Method("remains", self._reports.create, Limit(_MINUTE_S, 5), _QUARTERLY),
            ("analytics", "GET", f"{fetch}/status"): Method("remains/status", self._remains_status, Limit(5, 5), _QUARTERLY),
            ("analytics", "GET", f"{fetch}/download"): Method("remains/download", self._remains, Limit(_MINUTE_S, 1), _QUARTERLY),
            ("statistics", "GET", f"{supplier}/orders"): Method(
                "supplier/orders", self._supplier_orders, Limit(_MINUTE_S, 10), Limit(3 * _HOUR_S, 1)
            ),
            ("statistics", "GET", f"{supplier}/sales"): Method(
                "supplier/sales", self._supplier_sales, Limit(_MINUTE_S, 1), Limit(2 * _HOUR_S, 1)
            ),
        }

    def answer(self, request: Request) -> tuple[Answer, int]:
        """The answer, and how many milliseconds it should take."""
        _, _, host, *rest = request.path.split("/", 3)
        path, place = self._template(host, "/" + "".join(rest))
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
            answer = self._instead(gateway, fault, seller_id, method) if fault else None
            answer = answer or self._let_through(gateway, host, method, token, request, place, fault)
            if fault:
                answer = spoil(fault, answer, request.body)
                delay_ms += fault.delay_ms if fault.kind != "trickle" else 0
        self._state.requests[seller_id, f"{request.verb} {path}", 0 if answer.broken else answer.status] += 1
        return answer, delay_ms

    def _template(self, host: str, path: str) -> tuple[str, str]:
        """The path as the table of methods has it, and what stands where that leaves it open."""
        if (host, path) not in self._paths:
            for (its_host, template), pattern in self._templates.items():
                if its_host == host and (found := pattern.fullmatch(path)):
                    return template, found[1]
        return path, ""

    def _no_such_method(self, gateway: Gateway, host: str, path: str) -> Answer:
        if (since := GONE.get((host, path))) is not None:
            return gateway.method_gone(since)
        if (host, path) in self._paths:
            return gateway.method_not_allowed()
        return gateway.path_not_found()

    def _instead(self, gateway: Gateway, fault: Fault, seller_id: UUID | None, method: Method) -> Answer | None:
        match fault.kind:
            case "rate_limited":
                return gateway.too_many_requests(Refused(fault.retry_s, fault.retry_s), method.limit)
            case "rate_limited_globally":
                return gateway.too_many_requests_of_seller(seller_id or UUID(int=0), fault.retry_s)
            case "unauthorized":
                return gateway.unauthorized("token problem; token is withdrawn")
            case "payment_required":
                return gateway.payment_required()
            case "method_gone":
                return gateway.method_gone(f"{self._state.clock.now():%Y%m%d}")
            case _:
                return instead(fault)

    def _let_through(
        self, gateway: Gateway, host: str, method: Method, token: Token | str, request: Request, place: str, fault: Fault | None
    ) -> Answer:
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
        if token.token_type == "service" and token.for_ != SANDBOX_SERVICE:
            return gateway.unauthorized("token problem; token is issued for another service")
        limit: Limit | None = method.limit
        if token.token_type == "base" and not (method.open_to_secret and request.header(b"x-client-secret")):
            limit = method.base_limit
        if limit is None:
            return gateway.base_token_closed()
        taken: Taken | Refused = Taken(limit.burst)
        buckets = self._state.buckets if self._state.behaviour.limits else None
        bucket = (str(token.sid), token.for_ if token.token_type == "service" else token.token_type, method.limited_as)
        if buckets is not None:
            taken = buckets.take(bucket, limit, now_s)
        if isinstance(taken, Refused):
            return gateway.too_many_requests(taken, limit)
        shop = self._state.shop(token.sid, token.sandbox_products)
        answer = method.answer(Call(shop, request.body, _read_query(request.query), place, asked_at(fault, self._state.clock.now())))
        if buckets is not None and 400 <= answer.status < 500 and method.refusal_cost > 1:
            taken = buckets.charge(bucket, limit, now_s, method.refusal_cost - 1)
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

    def _prices(self, call: Call) -> Answer:
        return self._kept(("prices", call.shop.version, *sorted(call.query.items())), lambda: list_prices(call))

    def _fbs_stocks(self, call: Call) -> Answer:
        key = ("fbs-stocks", call.shop.version, call.shop.stock_step(call.now), call.place, call.body)
        return self._kept(key, lambda: list_stocks(call))

    def _wb_warehouses(self, call: Call) -> Answer:
        key = ("wb-warehouses", call.shop.version, call.shop.stock_step(call.now), self._masked, call.body)
        return self._kept(key, lambda: report_wb_warehouses(call.shop, call.body, call.now, masked=self._masked))

    def _seller_warehouses(self, call: Call) -> Answer:
        key = ("seller-warehouses", call.shop.version, call.shop.stock_step(call.now), call.body)
        return self._kept(key, lambda: report_seller_warehouses(call.shop, call.body, call.now))

    def _order_feed(self, call: Call) -> Answer:
        return self._kept(("order-feed", call.shop.version, call.now.replace(microsecond=0), call.body), lambda: order_feed(call))

    def _remains_status(self, call: Call) -> Answer:
        return self._reports.status(call, self._state.behaviour.report_s)

    def _remains(self, call: Call) -> Answer:
        return self._reports.download(call, self._state.behaviour.report_s, masked=self._masked)

    def _supplier_orders(self, call: Call) -> Answer:
        return supplier_orders(call, self._state.behaviour.statistics_rows)

    def _supplier_sales(self, call: Call) -> Answer:
        return supplier_sales(call, self._state.behaviour.statistics_rows)

    @property
    def _masked(self) -> bool:
        return self._state.behaviour.warehouses == "masked"

    def _kept(self, key: tuple[object, ...], answer: Callable[[], Answer]) -> Answer:
        """The same question about the same state of a shop is worked out once."""
        page = self._state.pages.get(key)
        if page is not None:
            return Answer(200, page)
        fresh = answer()
        if fresh.status == 200:
            self._state.pages.put(key, fresh.body)
        return fresh


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


@lru_cache(maxsize=20_000)
def _read_query(query: bytes) -> Mapping[str, str]:
    return dict(parse_qsl(query.decode("latin-1"), keep_blank_values=True))
