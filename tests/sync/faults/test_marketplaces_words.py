"""What a marketplace answers reaches neither a log nor a seller uncut, and a key that it repeats reaches nobody."""

import io
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
import pytest

from app.marketplaces.contract import Marketplace
from app.marketplaces.errors import EXCERPT_LENGTH
from app.observability.logs import configure_logs
from app.settings import Settings, get_settings
from tests.marketplaces.scripted_server import Reply, scripted_server
from tests.sync.faults.seller import OpenShop, Seller

pytestmark = pytest.mark.anyio

MARK = "Ж0ngWordOfTheMarketplace"
SETTINGS = {Marketplace.WILDBERRIES: "WB_PRICES_API_URL", Marketplace.OZON: "OZON_API_URL"}


def answers(key: str) -> Sequence[Reply]:
    """The same long text, with the key in it, wherever an answer has room for text."""
    long = f"{MARK} {key} " + MARK * 400
    encode = msgspec.json.encode
    return (
        *(Reply(status, encode({"title": long, "detail": long, "code": 3, "message": long})) for status in (400, 402, 403, 404, 418, 500)),
        Reply(200, encode({"data": long, "items": long})),
        Reply(200, encode({long: long})),
        Reply(200, encode({"data": {"listGoods": [{"nmID": long}, {"nmID": 1, "sizes": long}]}, "items": [{"product_id": long}, {"product_id": 1, "price": long}]})),
        Reply(200, f"<html>{long}</html>".encode(), content_type="text/html"),
        Reply(429, encode({"message": long}), {"X-Ratelimit-Retry": "7200", "Retry-After": "7200"}),
        Reply(401, encode({"message": long, "detail": long})),
    )  # fmt: skip


@pytest.fixture
def log(settings: Settings) -> Iterator[io.StringIO]:
    """All that is logged, by libraries too, as it is written."""
    stream = io.StringIO()
    configure_logs(settings, stream)
    yield stream
    configure_logs(settings)


@pytest.mark.parametrize("marketplace", Marketplace)
@pytest.mark.parametrize("number", range(len(answers(""))))
async def test_no_answer_is_told_uncut(
    open_shop: OpenShop, monkeypatch: pytest.MonkeyPatch, log: io.StringIO, marketplace: Marketplace, number: int
) -> None:
    seller: Seller = await open_shop(marketplace)
    await seller.give_key()
    key = seller.key
    async with scripted_server() as server:
        server.replies = (answers(key)[number],)
        with monkeypatch.context() as patch:
            patch.setenv(SETTINGS[marketplace], server.url)
            get_settings.cache_clear()
            run = await seller.sync(scopes=["prices"])
    get_settings.cache_clear()

    assert server.requests
    logged = log.getvalue()
    told: list[Any] = [
        run,
        *[await seller.shop.expect(200, "GET", path) for path in ("/sync?limit=50", "/tenants/me/credentials", "/tenants/me")],
    ]
    kept = await seller.shop.rows(
        "SELECT stages::text, error_detail FROM sync_runs WHERE tenant_id = $1 UNION ALL SELECT error_detail, error_code FROM sync_logs WHERE tenant_id = $1 "
        "UNION ALL SELECT body::text, NULL FROM events WHERE tenant_id = $1"
    )
    assert f"run_id={run['id']}" in logged
    for line in logged.splitlines():
        assert line.count(MARK) * len(MARK) <= EXCERPT_LENGTH, line
    for words in (str(told), str(kept), msgspec.json.encode(told).decode()):
        assert words.count(MARK) * len(MARK) <= 40 * 3
    for part in (key, *[part for part in key.split(".") if len(part) > 12]):
        assert part not in logged
        assert part not in str(told)
        assert part not in str(kept)
