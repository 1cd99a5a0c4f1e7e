"""What each type of key, role and category brings in: the sandbox's own totals, or the seller's words for what is missing."""

from typing import Any

import pytest

from app.marketplaces.contract import Marketplace
from app.sandbox.tokens import Category
from app.settings import get_settings
from tests.sync.faults.seller import Figures, OpenShop, statuses

pytestmark = pytest.mark.anyio

WHOLE = ["succeeded"] * 4
EVERYTHING = Figures.__struct_fields__
PRICES = ("price_sum", "discounted_price_sum")

NO_CONTENT = "У ключа нет категории «Контент». Создайте новый ключ, в котором она отмечена."
NO_PRICES = "У ключа нет категории «Цены и скидки». Создайте новый ключ, в котором она отмечена."
NO_ANALYTICS = "У ключа нет категории «Аналитика». Создайте новый ключ, в котором она отмечена."


def no_role(path: str) -> str:
    return f"У ключа нет роли для {path}. Создайте новый с ролью «Admin read only»."


def without(*missing: Category) -> tuple[Category, ...]:
    return tuple(category for category in Category if category not in missing)


@pytest.mark.parametrize(
    ("claims", "client_secret", "stages", "words", "true"),
    [
        ({"token_type": "personal"}, None, WHOLE, [], EVERYTHING),
        ({"token_type": "personal", "read_only": False}, None, WHOLE, [], EVERYTHING),
        ({"token_type": "service"}, None, WHOLE, [], EVERYTHING),
        ({"token_type": "base"}, None, WHOLE, [], EVERYTHING),
        ({"token_type": "base"}, "the secret of a registered service", WHOLE, [], EVERYTHING),
        ({"categories": without(Category.MARKETPLACE)}, None, WHOLE, [], EVERYTHING),
        ({"categories": without(Category.STATISTICS)}, None, WHOLE, [], EVERYTHING),
        # Orders come from the statistics, and the seller's own stock from the warehouses themselves.
        (
            {"categories": without(Category.ANALYTICS)}, None, ["succeeded", "succeeded", "partial", "succeeded"], [NO_ANALYTICS],
            ("products", *PRICES, "seller_units", "orders"),
        ),
        (
            {"categories": without(Category.ANALYTICS), "token_type": "base"}, None,
            ["succeeded", "succeeded", "partial", "succeeded"], [NO_ANALYTICS], ("products", *PRICES, "seller_units", "orders"),
        ),
        (
            {"categories": without(Category.PRICES)}, None, ["succeeded", "skipped", "succeeded", "succeeded"], [NO_PRICES],
            ("products", "marketplace_units", "seller_units", "orders"),
        ),
        # Prices and shelves of products that nobody may look at are counted as rejected.
        ({"categories": without(Category.CONTENT)}, None, ["skipped", "succeeded", "succeeded", "succeeded"], [NO_CONTENT], ("orders",)),
        (
            {"categories": (Category.STATISTICS,)}, None, ["skipped", "skipped", "skipped", "succeeded"],
            [NO_CONTENT, NO_PRICES, NO_ANALYTICS], ("orders",),
        ),
    ],
    ids=[
        "personal", "personal-that-may-write", "service", "base", "base-and-secret", "no-marketplace", "no-statistics", "no-analytics",
        "base-no-analytics", "no-prices", "no-content", "statistics-only",
    ],
)  # fmt: skip
async def test_what_a_token_of_wildberries_brings_in(
    open_shop: OpenShop,
    monkeypatch: pytest.MonkeyPatch,
    claims: dict[str, Any],
    client_secret: str | None,
    stages: list[str],
    words: list[str],
    true: tuple[str, ...],
) -> None:
    seller = await open_shop(Marketplace.WILDBERRIES)
    with monkeypatch.context() as patch:
        if client_secret:
            patch.setenv("WB_CLIENT_SECRET", client_secret)
            get_settings.cache_clear()
        await seller.give_key(**claims)
        run = await seller.sync()
        if run["status"] == "queued":
            assert statuses(run) == ["succeeded", "succeeded", "pending", "succeeded"]
            run = await seller.go_on(run)
    get_settings.cache_clear()

    assert (run["status"], statuses(run)) == ("succeeded" if stages == WHOLE else "partial", stages)
    assert [stage["error"] for stage in run["stages"] if stage["error"]] == [{"code": "scope_missing", "detail": told} for told in words]
    stored, truth = await seller.stored(), await seller.truth()
    assert {name: getattr(stored, name) for name in true} == {name: getattr(truth, name) for name in true}
    assert [name for name in EVERYTHING if name not in true and getattr(stored, name)] == []


@pytest.mark.parametrize(
    ("claims", "stages", "words", "true"),
    [
        ({"roles": ["Admin read only"]}, WHOLE, [], EVERYTHING),
        ({"roles": ["Admin"]}, WHOLE, [], EVERYTHING),
        (None, WHOLE, [], EVERYTHING),
        (
            {"roles": ["Product read only"]}, ["succeeded", "succeeded", "succeeded", "skipped"], [no_role("/v4/posting/fbs/list")],
            ("products", *PRICES, "marketplace_units", "seller_units"),
        ),
        (
            {"roles": ["Posting FBS", "Posting FBO"]}, ["skipped", "skipped", "succeeded", "succeeded"],
            [no_role("/v3/product/list"), no_role("/v5/product/info/prices")], ("orders",),
        ),
    ],
    ids=["key", "key-that-may-write", "oauth-token", "products-only", "orders-only"],
)  # fmt: skip
async def test_what_a_key_of_ozon_brings_in(
    open_shop: OpenShop, claims: dict[str, Any] | None, stages: list[str], words: list[str], true: tuple[str, ...]
) -> None:
    seller = await open_shop(Marketplace.OZON)
    if claims is None:
        await seller.give_oauth_token()
    else:
        await seller.give_key(**claims)

    run = await seller.sync()

    assert (run["status"], statuses(run)) == ("succeeded" if stages == WHOLE else "partial", stages)
    assert [stage["error"] for stage in run["stages"] if stage["error"]] == [{"code": "scope_missing", "detail": told} for told in words]
    stored, truth = await seller.stored(), await seller.truth()
    assert {name: getattr(stored, name) for name in true} == {name: getattr(truth, name) for name in true}
    assert [name for name in EVERYTHING if name not in true and getattr(stored, name)] == []
