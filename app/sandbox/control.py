"""The surface by which tests, demos and bot developers arrange what the marketplaces show: JSON under `/sandbox`.

    GET    /sandbox                             behaviour, clock, shops, and the environment that points the product here
    PATCH  /sandbox                             any fields of Behaviour
    DELETE /sandbox                             back to how it started: no shop, no fault, no count, own time
    POST   /sandbox/clock                       {"freeze_at": instant} | {"advance_s": n} | {"run": true}
    POST   /sandbox/faults                      a Fault;  GET lists those to come, DELETE drops them
    GET    /sandbox/requests[?seller_id=…]      {"GET /ping": {"200": 3, "401": 1}};  DELETE starts counting anew
    POST   /sandbox/tokens                      TokenIn → {"token": …}
    PUT    /sandbox/shops/{seller_id}           {"products": n, "seed": s}: a new shop in place of the old
    GET    /sandbox/shops/{seller_id}           the truth: Totals, of the orders of the last ?order_days=30
    POST   /sandbox/shops/{seller_id}/changes   {"seed": s, "count": n}: a mixture of all that follows → how many of each sort
    POST   /sandbox/shops/{seller_id}/products  {"count": n} → {"nm_ids": […]}
    PATCH  …/products/{nm_id}                   {"title": …} renames, {"price": …, "discount": …, "club_discount": …} sets the price from now on;
                                                {} only moves updatedAt
    DELETE …/products/{nm_id}                   into the trash
    POST   …/products/{nm_id}/restore           out of it
    PUT    /sandbox/shops/{seller_id}/stocks    {"chrt_id": …, "quantity": n, "warehouse_id": default Wildberries' own}
    GET    /sandbox/shops/{seller_id}/orders    the orders made in the last ?order_days=30
    PUT    …/orders/{number}                    {"status": …, "cancel_type": …}: from now on, for good
    POST   …/orders/late                        {"count": n, "delay_s": s}: the next orders are told of so late → {"numbers": […]}

What is Ozon's alone is below /sandbox/ozon, see app/sandbox/ozon/control.py.
Wrong input is 400 and unknown things are 404, with `{"error": a sentence}`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qs
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from app.sandbox.changes import change
from app.sandbox.faults import Fault
from app.sandbox.goods import Price
from app.sandbox.messages import Answer, Request
from app.sandbox.orders import WB_WAREHOUSE_ID, CancelType, NoSuchItem, OrderStatus
from app.sandbox.ozon import control as ozon
from app.sandbox.ozon.catalogues import Catalogues
from app.sandbox.shop import MAX_PRODUCTS, Shop
from app.sandbox.state import Behaviour, State
from app.sandbox.tokens import SANDBOX_SERVICE, Category, TokenType, issue_token
from app.sandbox.wildberries.gateway import HOSTS

ProductCount = Annotated[int, Meta(ge=0, le=MAX_PRODUCTS)]
Percent = Annotated[int, Meta(ge=0, le=99)]
Body = TypeVar("Body")


class ClockIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is given is done in this order."""

    run: bool = False
    freeze_at: Annotated[datetime, Meta(tz=True)] | None = None
    advance_s: float = 0


class ShopIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    products: ProductCount
    seed: int | None = None


class ProductsIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1, le=MAX_PRODUCTS)] = 1


class ProductPatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    title: str | UnsetType = UNSET
    price: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    discount: Percent | UnsetType = UNSET
    club_discount: Percent | UnsetType = UNSET


class ChangesIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    seed: int = 0
    count: Annotated[int, Meta(ge=1, le=10_000)] = 10


class OrderPut(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    status: OrderStatus
    cancel_type: CancelType = "other"


class LateOrdersIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1)] = 1
    delay_s: Annotated[int, Meta(ge=1)] = 3600


class StockIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    chrt_id: int
    quantity: Annotated[int, Meta(ge=0)]
    warehouse_id: int = WB_WAREHOUSE_ID


class TokenIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """As `app.sandbox.tokens.issue_token`; categories by name, such as "content"."""

    seller_id: UUID
    products: ProductCount | None = None
    categories: tuple[str, ...] = tuple(category.name.lower() for category in Category)
    token_type: TokenType = "personal"
    read_only: bool = True
    expires_at: Annotated[datetime, Meta(tz=True)] | None = None
    service: str = SANDBOX_SERVICE


class Control:
    """Carries out what comes to `/sandbox/…` on the state that the marketplaces read."""

    def __init__(self, state: State, catalogues: Catalogues) -> None:
        self._state = state
        self._catalogues = catalogues
        self._initial = state.behaviour

    def answer(self, request: Request) -> Answer:
        try:
            done = self._route(request)
        except (msgspec.MsgspecError, ValueError) as error:
            return _json({"error": str(error)}, 400)
        except NoSuchItem as error:
            return _json({"error": error.detail}, 404)
        return _json(done) if done is not None else Answer(204)

    def _route(self, request: Request) -> object | None:
        match (request.verb, *request.path.strip("/").split("/")[1:]):
            case ("GET",):
                return self._overview(request)
            case ("PATCH",):
                return self._behave(request)
            case ("DELETE",):
                return self._start_over()
            case ("POST", "clock"):
                return self._set_clock(_decode(request, ClockIn))
            case ("POST", "faults"):
                return self._state.faults.add(_decode(request, Fault))
            case ("GET", "faults"):
                return self._state.faults.waiting()
            case ("DELETE", "faults"):
                return self._state.faults.clear()
            case ("GET", "requests"):
                return self._requests(request)
            case ("DELETE", "requests"):
                return self._state.requests.clear()
            case ("POST", "tokens"):
                return _issue(_decode(request, TokenIn))
            case (verb, "ozon", *rest):
                return ozon.carry_out(self._state, self._catalogues, verb, rest, request, _order_days(request))
            case (verb, "shops", seller_id, *rest):
                return self._shop(verb, UUID(seller_id), rest, request)
            case _:
                raise NoSuchItem(f"The sandbox knows no {request.verb} {request.path}.")

    def _shop(self, verb: str, seller_id: UUID, rest: list[str], request: Request) -> object | None:
        state, now = self._state, self._state.clock.now()
        if (verb, *rest) == ("PUT",):
            wanted = _decode(request, ShopIn)
            return state.open_shop(seller_id, wanted.products, wanted.seed).totals(now)
        shop = state.shop(seller_id)
        match (verb, *rest):
            case ("GET",):
                return shop.totals(now, _order_days(request))
            case ("POST", "changes"):
                wanted = _decode(request, ChangesIn)
                return change(shop, wanted.seed, wanted.count, now)
            case ("POST", "products"):
                return {"nm_ids": shop.add(_decode(request, ProductsIn).count, now)}
            case ("PATCH", "products", nm_id):
                return _patch_product(shop, int(nm_id), _decode(request, ProductPatch), now)
            case ("DELETE", "products", nm_id):
                return shop.trash(int(nm_id), now)
            case ("POST", "products", nm_id, "restore"):
                return shop.restore(int(nm_id), now)
            case ("GET", "orders"):
                return shop.orders.created_between(now - timedelta(days=_order_days(request)), now, now)
            case ("POST", "orders", "late"):
                late = _decode(request, LateOrdersIn)
                return {"numbers": shop.publish_orders_late(late.count, timedelta(seconds=late.delay_s), now)}
            case ("PUT", "orders", number):
                order = _decode(request, OrderPut)
                return shop.set_order_status(int(number), order.status, now, order.cancel_type)
            case ("PUT", "stocks"):
                stock = _decode(request, StockIn)
                return shop.set_quantity(stock.chrt_id, stock.quantity, stock.warehouse_id)
            case _:
                raise NoSuchItem(f"The sandbox knows no {request.verb} {request.path}.")

    def _overview(self, request: Request) -> object:
        return {
            **msgspec.structs.asdict(self._state.behaviour),
            "now": self._state.clock.now(),
            "shops": len(self._state.shops),
            "pages": {"made": self._state.pages.made, "reused": self._state.pages.reused},
            "environment": environment(f"http://{request.header(b'host')}"),
        }

    def _behave(self, request: Request) -> object:
        present = msgspec.structs.asdict(self._state.behaviour)
        changes = _decode(request, dict[str, Any])
        if unknown := changes.keys() - present.keys():
            raise ValueError(f"The sandbox's behaviour has no {', '.join(sorted(unknown))}.")
        self._state.behaviour = msgspec.convert({**present, **changes}, Behaviour)
        # Who switches the limits on wants full buckets, not those of the last time.
        self._state.buckets.clear()
        return self._overview(request)

    def _start_over(self) -> None:
        state = self._state
        state.behaviour = self._initial
        state.clock.run()
        for memory in (state.buckets, state.faults, state.pages, state.requests, state.shops, state.reports):
            memory.clear()

    def _set_clock(self, wanted: ClockIn) -> object:
        clock = self._state.clock
        if wanted.run:
            clock.run()
        if wanted.freeze_at is not None:
            clock.freeze(wanted.freeze_at)
        clock.advance(wanted.advance_s)
        return {"now": clock.now()}

    def _requests(self, request: Request) -> object:
        asked = parse_qs(request.query.decode("latin-1")).get("seller_id")
        only = UUID(asked[0]) if asked else None
        counts: dict[str, dict[str, int]] = {}
        for (seller_id, method, status), count in self._state.requests.items():
            if only in (None, seller_id):
                of_method = counts.setdefault(method, {})
                of_method[str(status)] = of_method.get(str(status), 0) + count
        return counts


def environment(url: str) -> dict[str, str]:
    """The settings by which the product takes the sandbox at this URL for the marketplaces."""
    return {**{f"WB_{host.upper()}_API_URL": f"{url}/wildberries/{host}" for host in HOSTS}, "OZON_API_URL": f"{url}/ozon"}


def _patch_product(shop: Shop, nm_id: int, patch: ProductPatch, now: datetime) -> None:
    price = {name: value for name in Price.__struct_fields__ if (value := getattr(patch, name)) is not UNSET}
    if price:
        shop.set_price(nm_id, msgspec.structs.replace(shop.price(nm_id), **price), now)
    if patch.title is not UNSET:
        shop.rename(nm_id, patch.title, now)
    elif not price:
        shop.touch(nm_id, now)


def _order_days(request: Request) -> int:
    return int(parse_qs(request.query.decode("latin-1")).get("order_days", ["30"])[-1])


def _issue(wanted: TokenIn) -> object:
    known: Callable[[str], Category] = {category.name.lower(): category for category in Category}.__getitem__
    try:
        categories = [known(name) for name in wanted.categories]
    except KeyError as error:
        raise ValueError(f"There is no category {error}.") from error
    token = issue_token(
        wanted.seller_id,
        products=wanted.products,
        categories=categories,
        token_type=wanted.token_type,
        read_only=wanted.read_only,
        expires_at=wanted.expires_at,
        service=wanted.service,
    )
    return {"token": token}


def _decode(request: Request, shape: type[Body]) -> Body:
    return msgspec.json.decode(request.body or b"{}", type=shape)


def _json(body: object, status: int = 200) -> Answer:
    return Answer(status, msgspec.json.encode(body))
