"""The report on remains is asked for, waited for and fetched, and whoever adds all its rows up counts everything twice."""

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import Json, report, walk_cards
from tests.sandbox.conformance import REMAINS, WB_WAREHOUSES

pytestmark = pytest.mark.anyio

ALL_GROUPINGS = {f"groupBy{name}": "true" for name in ("Brand", "Subject", "Sa", "Nm", "Barcode", "Size")}
TOTAL = "Всего находится на складах"
IN_WAY = {"В пути до получателей", "В пути возвраты на склад WB"}


async def create(wb: httpx.AsyncClient, **groupings: str) -> str:
    answer = await wb.get(REMAINS, params=groupings)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]["taskId"]


async def status(wb: httpx.AsyncClient, task_id: str) -> str:
    answer = await wb.get(f"{REMAINS}/tasks/{task_id}/status")
    assert answer.json()["data"]["id"] == task_id
    return answer.json()["data"]["status"]


async def download(wb: httpx.AsyncClient, control: httpx.AsyncClient, **groupings: str) -> list[Json]:
    task_id = await create(wb, **groupings)
    await control.post("/clock", json={"advance_s": 10})
    answer = await wb.get(f"{REMAINS}/tasks/{task_id}/download")
    assert answer.status_code == 200, answer.text
    return answer.json()


def units(row: Json, *names: str) -> int:
    return sum(stock["quantity"] for stock in row["warehouses"] if stock["warehouseName"] in names)


async def test_a_report_is_new_then_in_processing_then_done_then_purged_then_forgotten(
    wb: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    await control.patch("", json={"report_s": 60})
    task_id = await create(wb)

    seen = [await status(wb, task_id)]
    for wait_s in (15, 45, 7200):
        await control.post("/clock", json={"advance_s": wait_s})
        seen.append(await status(wb, task_id))
    await control.post("/clock", json={"advance_s": 7200})
    forgotten = await wb.get(f"{REMAINS}/tasks/{task_id}/status")

    assert seen == ["new", "processing", "done", "purged"]
    assert forgotten.status_code == 404
    assert forgotten.json()["detail"] == "not found"


@pytest.mark.parametrize(
    ("masked", "names"), [("masked", {"Склад WB РФ", "Склад WB СГТ РФ", "Минск"}), ("named", {"Коледино", "Электросталь", "Казань"})]
)
async def test_the_warehouses_of_a_row_make_its_total_which_is_what_the_other_report_counts(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, masked: str, names: set[str]
) -> None:
    await control.patch("", json={"warehouses": masked})
    rows = await download(wb, control, **ALL_GROUPINGS)

    quantity = (await control.get(f"/shops/{seller_id}")).json()["marketplace_quantity"]
    assert {stock["warehouseName"] for row in rows for stock in row["warehouses"]} == {TOTAL, *IN_WAY, *names}
    assert all(units(row, TOTAL) == units(row, *names) for row in rows)
    assert all(stock["quantity"] for row in rows for stock in row["warehouses"])
    assert sum(units(row, TOTAL) for row in rows) == quantity
    naive = sum(stock["quantity"] for row in rows for stock in row["warehouses"])
    assert naive == 2 * quantity + sum(units(row, *IN_WAY) for row in rows)


async def test_rows_by_size_are_sizes_of_cards_with_the_stock_of_the_other_report(
    wb: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    of_size = {size["chrtID"]: (card, size) for card in await walk_cards(wb) for size in card["sizes"]}
    stock = {row["chrtId"]: row for row in await report(wb, WB_WAREHOUSES)}

    rows = {(row["nmId"], row["techSize"]): row for row in await download(wb, control, **ALL_GROUPINGS)}

    assert len(rows) == len(stock)
    for chrt_id, counted in stock.items():
        card, size = of_size[chrt_id]
        row = rows[card["nmID"], size["techSize"]]
        assert (row["brand"], row["subjectName"], row["vendorCode"]) == (card["brand"], card["subjectName"], card["vendorCode"])
        assert row["barcode"] in size["skus"]
        assert units(row, TOTAL) == counted["quantity"]
        assert units(row, "В пути до получателей") == counted["inWayToClient"]


@pytest.mark.parametrize(
    ("groupings", "fields"),
    [
        ({}, set()),
        ({"groupByNm": "true"}, {"nmId", "volume"}),
        ({"groupBySa": "true", "groupBySize": "false"}, {"vendorCode"}),
        ({"groupByBrand": "true", "groupBySubject": "true"}, {"brand", "subjectName"}),
    ],
)
async def test_only_what_was_grouped_by_is_told_and_the_sum_stays(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID, groupings: dict[str, str], fields: set[str]
) -> None:
    rows = await download(wb, control, **groupings)

    assert all(row.keys() == {*fields, "warehouses"} for row in rows)
    assert sum(units(row, TOTAL) for row in rows) == (await control.get(f"/shops/{seller_id}")).json()["marketplace_quantity"]
    keys = [tuple(row[name] for name in sorted(fields)) for row in rows]
    assert len(set(keys)) == len(keys)


async def test_an_empty_shop_has_a_report_without_content(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    wb.headers["Authorization"] = issue_token(uuid4(), products=0)
    task_id = await create(wb)
    await control.post("/clock", json={"advance_s": 10})

    answer = await wb.get(f"{REMAINS}/tasks/{task_id}/download")

    assert (answer.status_code, answer.content) == (204, b"")


async def test_a_report_that_is_not_done_or_is_somebody_elses_or_unknown_is_not_found(
    wb: httpx.AsyncClient, control: httpx.AsyncClient
) -> None:
    task_id = await create(wb)

    too_early = await wb.get(f"{REMAINS}/tasks/{task_id}/download")
    somebody_else = await wb.get(f"{REMAINS}/tasks/{task_id}/status", headers={"Authorization": issue_token(uuid4())})
    unknown = await wb.get(f"{REMAINS}/tasks/{uuid4()}/download")

    assert [answer.status_code for answer in (too_early, somebody_else, unknown)] == [404, 404, 404]


@pytest.mark.parametrize("step", ["status", "download"])
async def test_what_is_no_uuid_is_rejected(wb: httpx.AsyncClient, step: str) -> None:
    answer = await wb.get(f"{REMAINS}/tasks/123/{step}")

    assert answer.status_code == 400
    assert answer.json()["detail"].startswith("Invalid format for parameter task_id")


@pytest.mark.parametrize("query", [{"groupByNm": ""}, {"groupByNm": "yes"}, {"filterPics": "5"}])
async def test_a_wrong_parameter_is_rejected_by_name(wb: httpx.AsyncClient, query: dict[str, Any]) -> None:
    answer = await wb.get(REMAINS, params=query)

    assert answer.status_code == 400
    assert next(iter(query)) in answer.json()["detail"]


async def test_asking_by_post_is_not_allowed(wb: httpx.AsyncClient) -> None:
    assert (await wb.post(REMAINS)).status_code == 405


async def test_a_base_token_may_make_a_step_every_quarter_of_an_hour(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})
    wb.headers["Authorization"] = issue_token(uuid4(), token_type="base")
    task_id = await create(wb)

    answers = [await wb.get(f"{REMAINS}/tasks/{task_id}/status") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["X-Ratelimit-Retry"] == "900"


@pytest.mark.parametrize(("kind", "told"), [("report_stuck", "processing"), ("report_canceled", "canceled")])
async def test_a_report_can_be_told_to_come_to_nothing(wb: httpx.AsyncClient, control: httpx.AsyncClient, kind: str, told: str) -> None:
    task_id = await create(wb)
    await control.post("/clock", json={"advance_s": 10})
    await control.post("/faults", json={"kind": kind, "path": "/api/v1/warehouse_remains/tasks/{task_id}/status", "times": 2})

    assert [await status(wb, task_id) for _ in range(3)] == [told, told, "done"]
