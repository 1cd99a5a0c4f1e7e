"""The promises of the sync engine's design, in the order of the document: one file per section, one test per promise."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial

import httpx
import pytest

# Loaded before what is below, whose conditions are to be explained like a test's own.
pytest.register_assert_rewrite("tests.sync.faults.seller")

from app.credentials import factory  # noqa: E402 - see above
from app.marketplaces.contract import Marketplace  # noqa: E402
from app.marketplaces.ozon.client import OzonClient  # noqa: E402
from app.marketplaces.transport import Transport  # noqa: E402
from tests.application import Shop, client, other_shop, redis, sandbox, sandbox_url, settings, shop  # noqa: E402
from tests.scripted_shop import play_shop  # noqa: E402
from tests.sync.faults.seller import REDRAWN_EVERY, SandboxClock, Seller  # noqa: E402

__all__ = ["client", "other_shop", "play_shop", "redis", "sandbox", "sandbox_url", "settings", "shop"]

OpenSeller = Callable[[Marketplace], Awaitable[Seller]]


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses before which the product would have slept, in seconds; nobody sleeps."""
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(factory, "Transport", partial(Transport, sleep=sleep))
    return pauses


@pytest.fixture
async def open_seller(client: httpx.AsyncClient, sandbox: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> OpenSeller:
    """A seller at either marketplace, whose clock stands still at a whole half hour of the day before yesterday unless the test moves it."""
    await sandbox.patch("", json={"report_s": 0})
    now = datetime.now(UTC) - timedelta(days=2)
    clock = SandboxClock(sandbox, now - (now - datetime.min.replace(tzinfo=UTC)) % REDRAWN_EVERY)
    await clock.move()
    # Ozon is asked for what changed by our clock.
    monkeypatch.setattr(factory, "OzonClient", partial(OzonClient, now=lambda: clock.now))

    async def open_seller(marketplace: Marketplace) -> Seller:
        return Seller(await Shop.register(client, f"{marketplace}@example.com"), sandbox, clock, marketplace, 12)

    return open_seller
