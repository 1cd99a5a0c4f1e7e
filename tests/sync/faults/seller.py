"""A seller of either marketplace, of whom it can be told what is stored and what is true, and whose sandbox has bad days."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

import httpx
import msgspec

from app.database import system_scope
from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.postings import STATUSES
from app.runs.schemas import StageReport
from app.sandbox.ozon.keys import seller_of
from app.sync.runner import Runner
from tests.application import Shop

PRODUCTS = 12
STAGES = ("products", "prices", "stocks", "orders")
# Wildberries' statistics and stock are drawn up so often; between two whole half hours they are not the truth.
REDRAWN_EVERY = timedelta(minutes=30)
# Whatever became of an order that is no older is told by every method, in every run.
RECENT = timedelta(days=6)

STORED = """
    SELECT (SELECT count(*) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL),
           (SELECT coalesce(sum(price), 0) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL),
           (SELECT coalesce(sum(discounted_price), 0) FROM products WHERE tenant_id = $1 AND marketplace = $2 AND archived_at IS NULL),
           (SELECT coalesce(sum(quantity), 0) FROM stocks JOIN products ON products.id = product_id
             WHERE products.tenant_id = $1 AND marketplace = $2 AND fulfilment = 'marketplace_warehouse'),
           (SELECT coalesce(sum(quantity), 0) FROM stocks JOIN products ON products.id = product_id
             WHERE products.tenant_id = $1 AND marketplace = $2 AND fulfilment = 'seller_warehouse')
"""
ORDERS = "SELECT status, count(*) FROM orders WHERE tenant_id = $1 AND marketplace = $2 AND ordered_at >= $3 GROUP BY status"


ROWS = {
    "products": "SELECT external_id, title, archived_at IS NOT NULL FROM products WHERE tenant_id = $1 AND marketplace = $2 ORDER BY 1",
    "prices": "SELECT external_id, price, discounted_price FROM products WHERE tenant_id = $1 AND marketplace = $2 AND price IS NOT NULL ORDER BY 1",
    "stocks": "SELECT size_id, fulfilment, warehouse_id, quantity, stocks.changed_at FROM stocks JOIN products ON products.id = product_id "
    "WHERE products.tenant_id = $1 AND marketplace = $2 AND fulfilment = ANY($3) ORDER BY 1, 2, 3",
    "orders": "SELECT external_id, status FROM orders WHERE tenant_id = $1 AND marketplace = $2 AND fulfilment = ANY($3) ORDER BY 1",
}


# Whose stock and orders are told by the methods that the tests spoil; the others come from methods of their own.
SPOILED = {
    (Marketplace.WILDBERRIES, "stocks"): ["marketplace_warehouse"],
    (Marketplace.WILDBERRIES, "orders"): ["marketplace_warehouse", "seller_warehouse"],
    (Marketplace.OZON, "stocks"): ["seller_warehouse"],
    (Marketplace.OZON, "orders"): ["seller_warehouse"],
}


class Figures(msgspec.Struct, frozen=True):
    """What a shop comes to: products outside the archive, the sums of their prices, units in both sorts of warehouse, recent orders by status."""

    products: int
    price_sum: Decimal
    discounted_price_sum: Decimal
    marketplace_units: int
    seller_units: int
    orders: Mapping[str, int]


class SandboxClock:
    """The one clock of all shops: it stands still unless a test moves it."""

    def __init__(self, control: httpx.AsyncClient, now: datetime) -> None:
        self.now = now
        self._control = control

    async def move(self, passed: timedelta = timedelta()) -> None:
        self.now += passed
        await self._control.post("/clock", json={"freeze_at": self.now.isoformat()})


class Seller:
    """A registered shop at one marketplace, and the controls of the sandbox that plays it."""

    def __init__(self, shop: Shop, control: httpx.AsyncClient, clock: SandboxClock, marketplace: Marketplace, products: int) -> None:
        self.shop = shop
        self.marketplace = marketplace
        self.products = products
        self.clock = clock
        self._control = control
        self._recent: list[int] = []
        self.key = ""
        self._client_id = 1_000_000 + shop.seller_id.int % 1_000_000_000

    @cached_property
    def seller_id(self) -> UUID:
        return seller_of(self._client_id) if self.marketplace is Marketplace.OZON else self.shop.seller_id

    async def control(self, method: str, path: str, /, **body: Any) -> Any:
        answer = await self._control.request(method, path, json=body or None)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    async def give_key(self, **claims: Any) -> None:
        """Give a key, at first one that opens everything."""
        if self.marketplace is Marketplace.OZON:
            key = await self.control("POST", "/ozon/keys", **{"client_id": self._client_id, "products": self.products, **claims})
            self.key = key["api_key"]
            keys = {"ozon_client_id": key["client_id"], "ozon_api_key": self.key}
        else:
            self.key = self.shop.key(products=self.products, **claims)
            keys = {"wildberries_api_key": self.key}
        await self.shop.expect(200, "PATCH", "/tenants/me/credentials", json=keys)

    async def give_oauth_token(self) -> None:
        token = await self.control("POST", "/ozon/tokens", client_id=self._client_id, products=self.products)
        await self.shop.expect(200, "PATCH", "/tenants/me/credentials", json={"ozon_access_token": token["access_token"]})

    async def speak(self, language: str) -> None:
        await self.shop.expect(200, "PATCH", "/tenants/me", json={"language": language})

    async def copy(self) -> None:
        """A first sync."""
        await self.give_key()
        run = await self.sync()
        assert statuses(run) == ["succeeded"] * 4, run

    async def let_time_pass(self, passed: timedelta = REDRAWN_EVERY) -> None:
        """Goods sell and are ordered; of three products one is new, one gets another name and price, one goes into the trash."""
        shop = f"/shops/{self.seller_id}/products"
        made = await self.control("POST", shop, count=1)
        self._recent += made["nm_ids"]
        if len(self._recent) > 1:
            await self.control("PATCH", f"{shop}/{self._recent[-2]}", title=f"At {self.clock.now}", price=100 + self.clock.now.minute)
        if len(self._recent) > 2:
            await self.control("DELETE", f"{shop}/{self._recent[-3]}")
        await self.clock.move(passed)

    async def trouble(self, kind: str, path: str | None = None, **fault: Any) -> None:
        await self.control("DELETE", "/faults")
        await self.control("POST", "/faults", kind=kind, seller_id=str(self.seller_id), **({"path": path} if path else {}), **fault)

    async def recover(self) -> None:
        await self.control("DELETE", "/faults")

    async def sync(self, **wanted: Any) -> Any:
        """Ask for a run, and carry it out whether or not an earlier one left it waiting."""
        return await self.go_on((await self.shop.call("POST", "/sync", json={"marketplace": self.marketplace, **wanted})).json())

    async def go_on(self, run: Any) -> Any:
        """The time for which a run waits is over, and a worker takes it up."""
        async with system_scope() as connection:
            stages: str = await connection.fetchval("SELECT stages FROM sync_runs WHERE id = $1", UUID(run["id"]))
            reports = msgspec.json.decode(stages, type=list[StageReport])
            for report in reports:
                report.not_before = report.not_before and datetime.now(UTC)
            await connection.execute(
                "UPDATE sync_runs SET not_before = now(), stages = $2 WHERE id = $1",
                UUID(run["id"]), msgspec.json.encode(reports).decode(),
            )  # fmt: skip
        assert await Runner("test").carry_out_run(UUID(run["id"]))
        return await self.shop.expect(200, "GET", f"/sync/{run['id']}")

    async def stored(self) -> Figures:
        async with system_scope() as connection:
            row = await connection.fetchrow(STORED, self.shop.tenant_id, self.marketplace)
            orders = await connection.fetch(ORDERS, self.shop.tenant_id, self.marketplace, self.clock.now - RECENT)
        assert row is not None
        return Figures(*row, dict(orders))

    async def rows(self, stage: str) -> list[tuple[Any, ...]]:
        """What a stage has written from the method that a test spoils."""
        arguments: list[object] = [self.shop.tenant_id, self.marketplace]
        if (self.marketplace, stage) in SPOILED:
            arguments.append(SPOILED[self.marketplace, stage])
        async with system_scope() as connection:
            return [tuple(row) for row in await connection.fetch(ROWS[stage], *arguments)]

    async def ordered(self) -> list[tuple[str, datetime]]:
        """All orders, and when they were made."""
        async with system_scope() as connection:
            statement = "SELECT external_id, ordered_at FROM orders WHERE tenant_id = $1 AND marketplace = $2"
            return [tuple(row) for row in await connection.fetch(statement, self.shop.tenant_id, self.marketplace)]

    async def truth(self) -> Figures:
        """What the sandbox says of itself."""
        if self.marketplace is Marketplace.OZON:
            told = await self.control("GET", f"/ozon/shops/{self._client_id}?order_days={RECENT.days}")
            names = ("active", "price_sum", "discounted_price_sum", "fbo_units", "fbs_units")
            orders: Counter[str] = Counter()
            for status, count in [*told["fbo_postings"].items(), *told["fbs_postings"].items()]:
                orders[STATUSES[status]] += count
        else:
            told = await self.control("GET", f"/shops/{self.seller_id}?order_days={RECENT.days}")
            names = ("products", "price_sum", "discounted_price_sum", "marketplace_quantity", "seller_quantity")
            orders = Counter(told["orders"]["by_status"])
            # Wildberries doesn't say that an order is on its way.
            orders["created"] += orders.pop("delivering", 0)
        products, price_sum, discounted, *units = (told[name] for name in names)
        return Figures(
            products, Decimal(price_sum), Decimal(discounted), *units, {str(status): count for status, count in orders.items() if count}
        )


OpenShop = Callable[..., Awaitable[Seller]]


def statuses(run: Any) -> list[str]:
    return [stage["status"] for stage in run["stages"]]


def stage_of(run: Any, name: str) -> Any:
    return next(stage for stage in run["stages"] if stage["name"] == name)
