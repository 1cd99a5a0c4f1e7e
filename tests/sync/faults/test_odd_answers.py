"""Answers of status 200 that are not what they should be, reports that never come, and data that comes late."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon import methods as ozon_methods
from app.marketplaces.wildberries.methods import CARDS_LIST, GOODS_PRICES, ORDER_FEED, REMAINS_STATUS, WB_WAREHOUSES
from app.settings import get_settings
from tests.marketplaces.scripted_server import Reply, json_reply, scripted_server
from tests.sync.faults.seller import OpenShop, Seller, stage_of, statuses

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("marketplace", "stage", "path", "field"),
    [
        ("wildberries", "products", CARDS_LIST.path, "nmID"),
        ("wildberries", "prices", GOODS_PRICES.path, "nmID"),
        ("wildberries", "stocks", WB_WAREHOUSES.path, "nmId"),
        ("wildberries", "orders", ORDER_FEED.path, "nmId"),
        ("ozon", "products", ozon_methods.PRODUCT_INFO.path, "id"),
        ("ozon", "prices", ozon_methods.PRICES.path, "product_id"),
        ("ozon", "stocks", ozon_methods.FBS_STOCKS.path, "*"),
    ],
)
async def test_one_malformed_item_is_counted_with_its_reason_and_costs_no_other(
    wildberries: Seller, ozon: Seller, marketplace: str, stage: str, path: str, field: str
) -> None:
    seller = ozon if marketplace == "ozon" else wildberries
    await seller.let_time_pass()
    await seller.trouble("malformed_item", path)

    run = await seller.sync()

    report = stage_of(run, stage)
    assert (run["status"], statuses(run), report["rejected"]) == ("succeeded", ["succeeded"] * 4, 1)
    [reason] = report["rejections"]
    assert "got `str`" in reason
    if field != "*":
        assert reason.endswith(f"`$.{field}`")
    # What is asked for by its changes comes again when everything is read, once a day.
    run = await seller.sync(full=True)
    assert stage_of(run, stage)["rejected"] == 0
    assert await seller.stored() == await seller.truth()


@pytest.mark.parametrize(
    ("marketplace", "path"),
    [
        ("wildberries", CARDS_LIST.path),
        ("wildberries", GOODS_PRICES.path),
        ("wildberries", WB_WAREHOUSES.path),
        ("wildberries", ORDER_FEED.path),
        ("ozon", ozon_methods.PRODUCT_LIST.path),
        ("ozon", ozon_methods.PRICES.path),
        ("ozon", ozon_methods.FBS_STOCKS.path),
        ("ozon", ozon_methods.FBS_POSTINGS.path),
    ],
)
async def test_a_page_that_lacks_its_items_is_made_up_for_by_the_next_run(
    wildberries: Seller, ozon: Seller, marketplace: str, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seller = ozon if marketplace == "ozon" else wildberries
    # By chance the shop may have stock of more products than are believed to be empty at once.
    monkeypatch.setattr("app.stocks.service.MOST_EMPTIED", 1000)
    await seller.let_time_pass()
    await seller.trouble("empty_page", path)

    run = await seller.sync()

    assert (run["status"], statuses(run)) == ("succeeded", ["succeeded"] * 4)
    await seller.let_time_pass(timedelta(minutes=1))
    assert (await seller.sync())["status"] == "succeeded"
    assert await seller.stored() == await seller.truth()


async def test_a_stock_report_without_rows_is_taken_at_its_word_for_its_own_warehouses_only(wildberries: Seller) -> None:
    await wildberries.sync()
    before = await wildberries.stored()
    assert before.marketplace_units
    await wildberries.trouble("empty_page", WB_WAREHOUSES.path)

    run = await wildberries.sync(scopes=["stocks"])

    after = await wildberries.stored()
    assert (after.marketplace_units, after.seller_units) == (0, before.seller_units)
    assert stage_of(run, "stocks")["archived"] > 0
    await wildberries.sync(scopes=["stocks"])
    assert await wildberries.stored() == before


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", "Маркетплейс не показал {} из {} товаров. Похоже на его ошибку, поэтому в архив ничего не отправлено."),
        ("en", "The marketplace left out {} of {} products, which looks like its mistake; none was archived."),
    ],
)
async def test_a_catalogue_that_is_empty_at_once_is_not_believed(large: Seller, language: str, words: str) -> None:
    await large.speak(language)
    before, count = await large.rows("products"), (await large.stored()).products
    await large.trouble("empty_page", CARDS_LIST.path)

    run = await large.sync(full=True, scopes=["products"])

    assert (run["status"], statuses(run)) == ("partial", ["partial"])
    assert stage_of(run, "products")["error"] == {"code": "too_many_missing", "detail": words.format(count, count)}
    assert await large.rows("products") == before
    assert (await large.sync(full=True))["status"] == "succeeded"
    assert await large.stored() == await large.truth()


@pytest.mark.parametrize(
    ("language", "words"),
    [
        ("ru", "/content/v2/get/cards/list: страница повторилась, список не кончился бы."),
        ("en", "/content/v2/get/cards/list: a page came twice, so the list would never end."),
    ],
)
async def test_a_cursor_that_repeats_ends_the_stage_and_archives_nothing(large: Seller, language: str, words: str) -> None:
    await large.speak(language)
    before = await large.rows("products")
    await large.trouble("repeated_cursor", CARDS_LIST.path, skip=1, times=9)

    run = await large.sync(full=True)

    assert (run["status"], statuses(run)) == ("partial", ["failed", "succeeded", "succeeded", "succeeded"])
    assert stage_of(run, "products")["error"] == {"code": "unexpected_response", "detail": words}
    assert await large.rows("products") == before
    await large.recover()
    assert (await large.sync(full=True))["status"] == "succeeded"
    assert await large.stored() == await large.truth()


async def test_an_order_that_is_told_of_late_is_found_by_the_windows_that_overlap(wildberries: Seller) -> None:
    late = await wildberries.control("POST", f"/shops/{wildberries.seller_id}/orders/late", count=2, delay_s=3000)
    unknown_for: dict[str, timedelta] = {}

    for _ in range(10):
        await wildberries.clock.move(timedelta(minutes=20))
        await wildberries.sync(scopes=["orders"])
        for srid, ordered_at in await wildberries.ordered():
            unknown_for.setdefault(srid, wildberries.clock.now - ordered_at)

    late_ones = [age for srid, age in unknown_for.items() if any(f".r{number:032x}." in srid for number in late["numbers"])]
    assert len(late_ones) == 2
    assert all(timedelta(minutes=50) <= age <= timedelta(minutes=70) for age in late_ones)
    await wildberries.sync()
    assert await wildberries.stored() == await wildberries.truth()


async def test_a_short_refusal_is_slept_and_a_long_one_frees_the_worker_until_then(wildberries: Seller, slept: list[float]) -> None:
    slept.clear()
    await wildberries.trouble("rate_limited", GOODS_PRICES.path, retry_s=2)
    short = await wildberries.sync(scopes=["prices"])
    slept_for = list(slept)

    await wildberries.trouble("rate_limited", GOODS_PRICES.path, retry_s=10299)
    asked_at = datetime.now(UTC)
    long = await wildberries.sync(scopes=["prices"])

    assert short["status"] == "succeeded"
    assert [2.0 <= pause <= 2.2 for pause in slept_for] == [True]
    assert slept == slept_for
    not_before = datetime.fromisoformat(long["not_before"])
    assert timedelta(seconds=10290) < not_before - asked_at < timedelta(seconds=10310)
    assert (await wildberries.go_on(long))["status"] == "succeeded"


@pytest.mark.parametrize("fault", ["report_stuck", "report_canceled"])
async def test_a_report_that_is_not_made_is_waited_for_or_ordered_again(base: Seller, fault: str) -> None:
    await base.let_time_pass()
    await base.trouble(fault, REMAINS_STATUS.path)
    before = await base.rows("stocks")

    ordered = await base.sync()
    looked = await base.go_on(ordered)

    for run in (ordered, looked):
        assert (run["status"], statuses(run)) == ("queued", ["succeeded", "succeeded", "pending", "succeeded"])
        error = stage_of(run, "stocks")["error"]
        assert error["code"] == "marketplace_report_not_ready"
        assert error["detail"].startswith("Маркетплейс готовит отчёт, проверим через ")
    assert await base.rows("stocks") == before
    run = await base.go_on(looked)
    assert (run["status"], stage_of(run, "stocks")["error"]) == ("succeeded", None)
    assert await base.stored() == await base.truth()


async def test_a_key_that_ends_in_the_middle_is_told_and_a_new_one_goes_on(ozon: Seller) -> None:
    await ozon.give_key(expires_at=(ozon.clock.now + timedelta(minutes=5)).isoformat())
    await ozon.speak("ru")
    assert (await ozon.sync())["status"] == "succeeded"
    await ozon.let_time_pass()
    before = await ozon.stored()

    run = await ozon.sync()

    assert (run["status"], statuses(run)) == ("failed", ["failed", "pending", "pending", "pending"])
    assert run["error"] == {
        "code": "credentials_rejected",
        "detail": "Ozon сообщает, что ключ деактивирован: истёк или отозван. Создайте новый.",
    }
    told = await ozon.shop.expect(200, "GET", "/tenants/me/credentials")
    assert next(key["status"] for key in told if key["provider"] == "ozon") == "invalid"
    assert (await ozon.stored()).products == before.products
    await ozon.give_key()
    assert (await ozon.sync())["status"] == "succeeded"
    assert await ozon.stored() == await ozon.truth()


async def test_a_key_that_is_revoked_between_two_pages_keeps_the_first_and_a_new_one_reads_on(open_shop: OpenShop) -> None:
    seller = await open_shop(Marketplace.WILDBERRIES, 150)
    await seller.give_key()
    await seller.trouble("unauthorized", CARDS_LIST.path, skip=1)

    run = await seller.sync()

    assert (run["status"], statuses(run)) == ("failed", ["failed", "pending", "pending", "pending"])
    assert run["error"] == {"code": "credentials_rejected", "detail": "Wildberries не принимает этот ключ."}
    assert (await seller.stored()).products == 100
    await seller.give_key()
    again = await seller.sync()
    assert (again["status"], statuses(again)) == ("succeeded", ["succeeded"] * 4)
    assert (stage_of(again, "products")["created"], stage_of(again, "products")["unchanged"]) == (50, 100)
    assert await seller.stored() == await seller.truth()


NOT_ACCEPTABLE = Reply(406, b"<html>blocked</html>", content_type="text/html")
FORBIDDEN = json_reply({"title": "forbidden", "detail": "token does not satisfy additional requirements"}, 403)


@pytest.mark.parametrize(
    ("reply", "run_status", "stage_status", "code", "words"),
    [
        (NOT_ACCEPTABLE, "queued", "pending", "marketplace_rate_limited", "Маркетплейс просит подождать 60 мин."),
        (FORBIDDEN, "partial", "skipped", "scope_missing", "Wildberries не открывает цены этому ключу."),
        (Reply(403, b"<html>"), "partial", "failed", "unexpected_response", "Wildberries ответил на {path} статусом 403."),
        (Reply(204), "succeeded", "succeeded", None, None),
        (json_reply({"data": None}), "partial", "failed", "unexpected_response", "Wildberries ответил на {path} не так, как описано."),
        (json_reply({"data": {"listGoods": None}}), "succeeded", "succeeded", None, None),
    ],
    ids=["406", "403", "403-of-a-gateway", "204", "null", "null-list"],
)
async def test_what_else_wildberries_may_answer(
    wildberries: Seller, monkeypatch: pytest.MonkeyPatch, reply: Reply, run_status: str, stage_status: str, code: str, words: str | None
) -> None:
    await wildberries.speak("ru")
    await wildberries.let_time_pass()
    before = {row[0]: row for row in await wildberries.rows("prices")}
    async with scripted_server() as server:
        server.replies = (reply,)
        with monkeypatch.context() as patch:
            patch.setenv("WB_PRICES_API_URL", server.url)
            get_settings.cache_clear()
            run = await wildberries.sync()
    get_settings.cache_clear()

    assert (run["status"], stage_of(run, "prices")["status"]) == (run_status, stage_status)
    assert [stage_of(run, stage)["status"] for stage in ("products", "stocks", "orders")] == ["succeeded"] * 3
    error = stage_of(run, "prices")["error"]
    assert error == (words and {"code": code, "detail": words.format(path=GOODS_PRICES.path)})
    assert {row[0]: row for row in await wildberries.rows("prices")} == before
    run = await wildberries.go_on(run) if run_status == "queued" else await wildberries.sync()
    assert run["status"] == "succeeded"
    assert await wildberries.stored() == await wildberries.truth()


async def test_money_comes_in_many_forms_and_null_in_place_of_anything(ozon: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [row[0] for row in await ozon.rows("prices")][:8]
    told: list[Any] = [
        {"price": "1299.9000", "old_price": "1500", "marketing_seller_price": 0},
        {"price": 1299.9, "old_price": "0.0000", "marketing_seller_price": "999.99"},
        {"price": 1e3, "currency_code": "KZT"},
        None,
        {"price": None, "old_price": None, "marketing_seller_price": None, "currency_code": None},
        {"price": "-5"},
        {"price": "12,50 ₽"},
        {"price": "1e20"},
    ]
    items = [{"product_id": int(product), "price": price} for product, price in zip(ids, told, strict=True)]
    async with scripted_server() as server:
        server.replies = (json_reply({"items": items, "cursor": "", "total": 0}),)
        with monkeypatch.context() as patch:
            patch.setenv("OZON_API_URL", server.url)
            get_settings.cache_clear()
            run = await ozon.sync(scopes=["prices"])
    get_settings.cache_clear()

    assert (run["status"], stage_of(run, "prices")["rejected"]) == ("succeeded", 3)
    assert len(stage_of(run, "prices")["rejections"]) == 3
    stored = {row[0]: tuple(map(str, row[1:])) for row in await ozon.rows("prices")}
    assert [stored.get(product) for product in ids[:5]] == [
        ("1500.00", "1299.90"), ("1299.90", "999.99"), ("1000.00", "1000.00"), None, None,
    ]  # fmt: skip
    assert (await ozon.sync())["status"] == "succeeded"
    assert await ozon.stored() == await ozon.truth()


async def test_a_cursor_of_ozon_that_repeats_fails_the_stage_and_the_next_run_reads_on(ozon: Seller) -> None:
    path = ozon_methods.FBS_POSTINGS.path
    await ozon.speak("en")
    await ozon.let_time_pass()
    before = await ozon.rows("orders")
    assert len(before) > 2 * ozon_methods.FBS_POSTINGS.page_size
    await ozon.trouble("repeated_cursor", path, skip=1, times=9)

    run = await ozon.sync(full=True)

    assert (run["status"], statuses(run)) == ("partial", ["succeeded", "succeeded", "succeeded", "failed"])
    error = stage_of(run, "orders")["error"]
    assert error["code"] == "unexpected_response"
    assert error["detail"].startswith(f"{path}: a page came twice")
    assert {row[0] for row in before} <= {row[0] for row in await ozon.rows("orders")}
    await ozon.recover()
    assert (await ozon.sync())["status"] == "succeeded"
    assert await ozon.stored() == await ozon.truth()


@pytest.fixture(scope="module")
async def large(open_shop: OpenShop) -> Seller:
    """A shop of three pages of cards."""
    seller = await open_shop(Marketplace.WILDBERRIES, products=230)
    await seller.copy()
    return seller


@pytest.fixture(scope="module")
async def base(open_shop: OpenShop) -> Seller:
    """A seller with a Base token, to which the reports on stock are closed."""
    seller = await open_shop(Marketplace.WILDBERRIES)
    await seller.give_key(token_type="base")
    assert (await seller.go_on(await seller.sync()))["status"] == "succeeded"
    return seller
