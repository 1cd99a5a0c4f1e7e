"""The stock reports count as Wildberries' do."""

from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import Json, report, walk_cards
from tests.sandbox.conformance import SELLER_WAREHOUSES, WB_WAREHOUSES

pytestmark = pytest.mark.anyio

REPORTS = pytest.mark.parametrize("path", [WB_WAREHOUSES, SELLER_WAREHOUSES])


async def truth(control: httpx.AsyncClient, seller_id: UUID) -> Json:
    return (await control.get(f"/shops/{seller_id}")).json()


def units(rows: list[Json]) -> int:
    return sum(row["quantity"] for row in rows)


async def test_wildberries_own_warehouses_appear_as_one_and_hold_what_the_shop_has(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    rows = await report(wb, WB_WAREHOUSES)

    assert {(row["warehouseId"], row["warehouseName"], row["regionName"]) for row in rows} == {(-999999, "Склад WB", "Склад WB")}
    assert units(rows) == (await truth(control, seller_id))["marketplace_quantity"] > 0


async def test_by_name_the_same_units_lie_in_several_warehouses(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    masked = await report(wb, WB_WAREHOUSES)

    await control.patch("", json={"warehouses": "named"})
    named = await report(wb, WB_WAREHOUSES)

    assert {row["warehouseName"] for row in named} == {"Коледино", "Электросталь", "Казань"}
    for column in ("quantity", "inWayToClient", "inWayFromClient"):
        assert sum(row[column] for row in named) == sum(row[column] for row in masked) > 0


async def test_the_sellers_warehouses_appear_by_name(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    rows = await report(wb, SELLER_WAREHOUSES)

    assert 1 <= len({(row["warehouseId"], row["warehouseName"]) for row in rows}) <= 2
    assert units(rows) == (await truth(control, seller_id))["seller_quantity"] > 0


@REPORTS
async def test_each_row_is_a_size_of_a_listed_card(wb: httpx.AsyncClient, path: str) -> None:
    sizes = {(card["nmID"], size["chrtID"]) for card in await walk_cards(wb) for size in card["sizes"]}

    rows = await report(wb, path)

    assert {(row["nmId"], row["chrtId"]) for row in rows} <= sizes
    assert len({(row["chrtId"], row["warehouseId"]) for row in rows}) == len(rows)


@REPORTS
async def test_pages_by_offset_make_the_whole_and_behind_them_is_no_content(wb: httpx.AsyncClient, path: str) -> None:
    whole = await report(wb, path)
    assert len(whole) > 7

    pages = [await report(wb, path, limit=7, offset=offset) for offset in range(0, len(whole) + 7, 7)]
    behind = await wb.post(path, json={"offset": len(whole)})

    assert [row for page in pages for row in page] == whole
    assert behind.status_code == 204
    assert behind.content == b""


@REPORTS
async def test_an_empty_shop_is_no_content(wb: httpx.AsyncClient, path: str) -> None:
    wb.headers["Authorization"] = issue_token(uuid4(), products=0)

    answer = await wb.post(path, json={"nmIds": [], "limit": 250000, "offset": 0})

    assert answer.status_code == 204


@REPORTS
async def test_articles_and_sizes_that_are_asked_for_come_alone(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, path: str
) -> None:
    await control.put(f"/shops/{seller_id}", json={"products": 200})
    whole = await report(wb, path)
    first, last = whole[0], whole[-1]

    of_articles = await report(wb, path, nmIds=[last["nmId"], first["nmId"], 1])
    of_size = await report(wb, path, nmIds=[first["nmId"], last["nmId"]], chrtIds=[last["chrtId"]])
    sizes_alone = await report(wb, path, chrtIds=[last["chrtId"]])

    assert of_articles == [row for row in whole if row["nmId"] in (first["nmId"], last["nmId"])]
    assert of_size == [row for row in whole if row["chrtId"] == last["chrtId"]]
    assert sizes_alone == whole


@REPORTS
@pytest.mark.parametrize("question", [{"limit": 250001}, {"offset": -1}, {"nmIds": list(range(1001))}, {"nmIds": "all"}])
async def test_a_wrong_question_is_rejected_with_a_reason(wb: httpx.AsyncClient, path: str, question: object) -> None:
    answer = await wb.post(path, json=question)

    assert answer.status_code == 400
    assert answer.json()["title"] == "Invalid request body"


async def test_stock_moves_every_half_hour_and_stands_still_in_between(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    at_first = await report(wb, WB_WAREHOUSES)

    await control.post("/clock", json={"advance_s": 29 * 60})
    before_the_count = await report(wb, WB_WAREHOUSES)
    await control.post("/clock", json={"advance_s": 60})
    after_the_count = await report(wb, WB_WAREHOUSES)

    assert before_the_count == at_first != after_the_count
    assert units(after_the_count) == (await truth(control, seller_id))["marketplace_quantity"] < units(at_first)


@REPORTS
async def test_a_quantity_that_was_set_stays_whatever_the_time(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, path: str
) -> None:
    row = (await report(wb, path))[0]
    where = {"chrt_id": row["chrtId"], "warehouse_id": row["warehouseId"]}

    await control.put(f"/shops/{seller_id}/stocks", json={**where, "quantity": 777})
    await control.post("/clock", json={"advance_s": 86400})
    rows = await report(wb, path, nmIds=[row["nmId"]])

    assert {**row, "quantity": 777} in rows


@REPORTS
async def test_stock_of_a_trashed_product_is_not_reported(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, path: str
) -> None:
    whole = await report(wb, path)

    await control.delete(f"/shops/{seller_id}/products/{whole[0]['nmId']}")

    assert await report(wb, path) == [row for row in whole if row["nmId"] != whole[0]["nmId"]]
