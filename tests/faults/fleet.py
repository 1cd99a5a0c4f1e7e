"""Sellers of both marketplaces who sync again and again, whatever happens to the product."""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import httpx

from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.postings import STATUSES
from app.sandbox.ozon.keys import issue_ozon_key, seller_of
from app.sandbox.tokens import issue_token
from tests.faults.installation import Installation
from tests.faults.receiver import Receiver

# Ours run ahead of the sandbox's clock by this much: when that is stopped in the end, at one of the moments at which stock is drawn up anew, the moment is past.
BEHIND = timedelta(minutes=30)
REDRAWN_EVERY = timedelta(minutes=30)
# Whatever became of an order that is no older is told by every method, in every run.
RECENT = timedelta(days=6)
TURN_S = 3.0
# As if a day had passed since the last turns, whatever the interval is. What somebody has locked has to wait: to wait for it would be a fault of our own.
COME_ROUND = (
    """
    UPDATE sync_runs SET queued_at = queued_at - interval '1 day'
     WHERE id IN (SELECT id FROM sync_runs WHERE tenant_id = ANY($1) AND "trigger" = 'schedule' AND queued_at > now() - interval '1 day'
                     FOR UPDATE SKIP LOCKED)
    """,
    "UPDATE tenants SET next_sync_at = now() WHERE id IN (SELECT id FROM tenants WHERE id = ANY($1) FOR NO KEY UPDATE SKIP LOCKED)",
)
DELAY_MS = 20


@dataclass(frozen=True)
class Figures:
    """What a shop comes to: products outside the archive, the sums of their prices, units in both sorts of warehouse, recent orders by status."""

    products: int
    price_sum: Decimal
    discounted_price_sum: Decimal
    marketplace_units: int
    seller_units: int
    orders: dict[str, int]


@dataclass(frozen=True)
class Account:
    """A seller's account at a marketplace, and the shop behind it in the sandbox."""

    marketplace: Marketplace
    shop_id: UUID
    products: int
    client_id: int = 0

    @property
    def key(self) -> dict[str, str]:
        if self.marketplace is Marketplace.OZON:
            return {"ozon_client_id": str(self.client_id), "ozon_api_key": issue_ozon_key(self.client_id)}
        return {"wildberries_api_key": issue_token(self.shop_id)}


@dataclass
class Seller:
    """A tenant, the runs that it was promised, and those of them that it was told are cancelled."""

    tenant_id: str
    accounts: tuple[Account, ...]
    scheduled: bool
    headers: dict[str, str]
    asked: set[UUID] = field(default_factory=set[UUID])
    cancelled: set[UUID] = field(default_factory=set[UUID])


class Fleet:
    """All sellers of an installation. `live` is what they do: those who press a button press it all the time, for the others the schedule comes round every
    few seconds, and the goods of all of them change."""

    def __init__(self, installation: Installation, receiver: Receiver, chance: random.Random) -> None:
        self.installation = installation
        self.receiver = receiver
        self.sellers: list[Seller] = []
        self.calls: Counter[str] = Counter()
        self._chance = chance
        self._http = httpx.AsyncClient(
            base_url=f"{installation.api}/api/v1", trust_env=False, timeout=15, limits=httpx.Limits(max_keepalive_connections=0)
        )
        self._living: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        await self._http.aclose()

    async def open(self, shapes: Iterable[tuple[Sequence[tuple[Marketplace, int]], bool]]) -> None:
        """Let sellers of these shapes join: of each his accounts, as for `join`, and whether the schedule has his syncs or a button."""
        await self.installation.sandbox("POST", "/clock", advance_s=-BEHIND.total_seconds())
        for accounts, scheduled in shapes:
            await self.join(*accounts, scheduled=scheduled)

    async def join(self, *shapes: tuple[Marketplace, int], scheduled: bool) -> None:
        """A new seller with accounts of such sizes, who listens to all events, and whose first syncs begin at once."""
        accounts: list[Account] = []
        for marketplace, products in shapes:
            client_id = secrets.randbelow(10**9) + 1
            shop_id = seller_of(client_id) if marketplace is Marketplace.OZON else uuid4()
            accounts.append(Account(marketplace, shop_id, products, client_id))
            place = f"/ozon/shops/{client_id}" if marketplace is Marketplace.OZON else f"/shops/{shop_id}"
            await self.installation.sandbox("PUT", place, products=products, seed=self._chance.randrange(2**31))
        registration = {
            "email": f"tg{secrets.randbelow(10**12)}@example.com",
            "password": "long enough",
            "company_name": "Romashka",
            "marketplace_type": accounts[0].marketplace,
        }
        answer = await self._expect(201, "POST", "/auth/register", {}, registration)
        headers = {"Authorization": f"Bearer {answer['access_token']}"}
        seller = Seller(answer["tenant"]["id"], tuple(accounts), scheduled, headers)
        endpoint = await self._expect(201, "POST", "/webhooks", headers, {"url": self.receiver.url(seller.tenant_id)})
        self.receiver.expect(seller.tenant_id, endpoint["secret"])
        keys = {name: value for account in accounts for name, value in account.key.items()}
        await self._expect(200, "PATCH", "/tenants/me/credentials", headers, keys)
        self.sellers.append(seller)

    async def live(self) -> None:
        """Begin to sync again and again, until `rest`."""
        await self.installation.sandbox("PATCH", delay_ms=DELAY_MS)
        habits = [self._press(seller, account) for seller in self.sellers if not seller.scheduled for account in seller.accounts]
        self._living = {asyncio.create_task(habit) for habit in (*habits, self._come_round(), self._trade())}

    async def rest(self) -> None:
        """Ask for nothing more, and stop the sandbox's clock, so that there is a truth."""
        living, self._living = self._living, set()
        for habit in living:
            habit.cancel()
        if living:
            await asyncio.wait(living)
        for habit in living:
            if not habit.cancelled() and (error := habit.exception()) is not None:
                raise error
        await self.installation.sandbox("PATCH", delay_ms=0)
        await self.installation.sandbox("DELETE", "/faults")
        now = datetime.fromisoformat((await self.installation.sandbox("GET"))["now"])
        self.stopped_at = now + (datetime.min.replace(tzinfo=UTC) - now) % REDRAWN_EVERY
        assert self.stopped_at < datetime.now(UTC)
        await self.installation.sandbox("POST", "/clock", freeze_at=self.stopped_at.isoformat())

    async def ask(self, seller: Seller, account: Account, *, full: bool = False) -> UUID | None:
        """Ask for a run as a bot does; nothing where the API can't answer just now."""
        run = await self._post("/sync", seller, (200, 202), {"marketplace": account.marketplace, "full": full})
        if run is None:
            return None
        run_id = UUID(run["id"])
        seller.asked.add(run_id)
        return run_id

    async def cancel(self, seller: Seller, run_id: UUID) -> None:
        """Call a run off, unless it is too late for that, or the API can't answer just now."""
        if await self._post(f"/sync/{run_id}/cancel", seller, (200, 202), None, too_late=409):
            seller.cancelled.add(run_id)

    async def _post(self, path: str, seller: Seller, good: tuple[int, ...], body: dict[str, Any] | None, too_late: int = 0) -> Any:
        try:
            answer = await self._http.post(path, headers=seller.headers, json=body)
        except httpx.TransportError as error:
            self.calls[type(error).__name__] += 1
            return None
        self.calls[str(answer.status_code)] += 1
        if answer.status_code in good:
            return answer.json()
        # What an API in trouble may say, and nothing else.
        assert answer.status_code in (too_late, 429, 503), f"POST {path}: {answer.status_code} {answer.text}"
        return None

    async def ask_all(self, *, full: bool) -> list[UUID]:
        """A run of each account, now that nothing is in the way."""
        runs = [await self.ask(seller, account, full=full) for seller in self.sellers for account in seller.accounts]
        assert None not in runs, self.calls
        return [run_id for run_id in runs if run_id]

    async def truth(self, account: Account) -> Figures:
        """What the sandbox says of itself."""
        if account.marketplace is Marketplace.OZON:
            told = await self.installation.sandbox("GET", f"/ozon/shops/{account.client_id}?order_days={RECENT.days}")
            names = ("active", "price_sum", "discounted_price_sum", "fbo_units", "fbs_units")
            orders: Counter[str] = Counter()
            for status, count in [*told["fbo_postings"].items(), *told["fbs_postings"].items()]:
                orders[STATUSES[status]] += count
        else:
            told = await self.installation.sandbox("GET", f"/shops/{account.shop_id}?order_days={RECENT.days}")
            names = ("products", "price_sum", "discounted_price_sum", "marketplace_quantity", "seller_quantity")
            orders = Counter(told["orders"]["by_status"])
            # Wildberries doesn't say that an order is on its way.
            orders["created"] += orders.pop("delivering", 0)
        products, price_sum, discounted, *units = (told[name] for name in names)
        return Figures(
            products, Decimal(price_sum), Decimal(discounted), *units, {str(status): count for status, count in orders.items() if count}
        )

    async def _press(self, seller: Seller, account: Account) -> None:
        """Somebody who always wants the newest, sometimes everything anew, and sometimes nothing after all."""
        chance = random.Random(f"{account.shop_id}")
        while True:
            await asyncio.sleep(chance.uniform(0.5, 1.5) * TURN_S)
            run_id = await self.ask(seller, account, full=chance.random() < 0.2)
            if run_id and chance.random() < 0.15:
                await asyncio.sleep(chance.uniform(0.0, 1.0))
                await self.cancel(seller, run_id)

    async def _come_round(self) -> None:
        """The schedule, whose shortest interval is minutes, made to come round every few seconds."""
        scheduled = [UUID(seller.tenant_id) for seller in self.sellers if seller.scheduled]
        while True:
            await asyncio.sleep(TURN_S)
            with suppress(Exception):  # the database is away just now
                for statement in COME_ROUND:
                    await self.installation.database.rows(statement, scheduled)

    async def _trade(self) -> None:
        """Goods come and go, are named, priced and counted anew, and orders go their way."""
        while True:
            await asyncio.sleep(TURN_S / 3)
            account = self._chance.choice(self._chance.choice(self.sellers).accounts)
            await self.installation.sandbox(
                "POST", f"/shops/{account.shop_id}/changes", seed=self._chance.randrange(2**31), count=self._chance.randint(1, 8)
            )

    async def _expect(self, status: int, method: str, path: str, headers: dict[str, str], body: dict[str, Any]) -> Any:
        answer = await self._http.request(method, path, headers=headers, json=body)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()
