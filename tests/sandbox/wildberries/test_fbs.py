"""The Marketplace host tells of the seller's warehouses what the report tells, size by size."""

from uuid import UUID

import httpx
import pytest

from tests.sandbox.calls import Json, report, walk_cards
from tests.sandbox.conformance import FBS_STOCKS, SELLER_WAREHOUSES, WAREHOUSES

pytestmark = pytest.mark.anyio


async def warehouses(wb: httpx.AsyncClient) -> list[Json]:
    return (await wb.get(WAREHOUSES)).json()


async def test_sizes_of_all_cards_in_all_warehouses_are_what_the_report_says(wb: httpx.AsyncClient) -> None:
    chrt_ids = [size["chrtID"] for card in await walk_cards(wb) for size in card["sizes"]]
    reported = {(row["warehouseId"], row["chrtId"]): row["quantity"] for row in await report(wb, SELLER_WAREHOUSES)}

    found = {}
    for warehouse in await warehouses(wb):
        answer = await wb.post(f"{FBS_STOCKS}/{warehouse['id']}", json={"chrtIds": chrt_ids})
        found |= {(warehouse["id"], stock["chrtId"]): stock["amount"] for stock in answer.json()["stocks"]}

    assert found == reported
    assert 0 < len(reported) < len(chrt_ids) * len(await warehouses(wb))


async def test_unknown_sizes_and_those_in_the_trash_are_left_out(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    row = (await report(wb, SELLER_WAREHOUSES))[0]
    await control.delete(f"/shops/{seller_id}/products/{row['nmId']}")

    answer = await wb.post(f"{FBS_STOCKS}/{row['warehouseId']}", json={"chrtIds": [row["chrtId"], 1, 2**63]})

    assert answer.json() == {"stocks": []}


async def test_barcodes_are_refused_since_they_were_switched_off(wb: httpx.AsyncClient) -> None:
    answer = await wb.post(f"{FBS_STOCKS}/{(await warehouses(wb))[0]['id']}", json={"skus": ["2040000000017"]})

    assert (answer.status_code, answer.json()["code"]) == (400, "SKUUploadDisabled")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b'{"chrtIds": []}', "IncorrectParameter"),
        (b'{"chrtIds": ["1"]}', "IncorrectParameter"),
        (b"{}", "IncorrectParameter"),
        (b"[1,", "IncorrectRequestBody"),
        (b'{"chrtIds": [' + b",".join(b"%d" % number for number in range(1, 1002)) + b"]}", "IncorrectParameter"),
    ],
)
async def test_a_wrong_question_is_rejected_with_a_code(wb: httpx.AsyncClient, body: bytes, code: str) -> None:
    answer = await wb.post(f"{FBS_STOCKS}/{(await warehouses(wb))[0]['id']}", content=body)

    assert (answer.status_code, answer.json()["code"]) == (400, code)


@pytest.mark.parametrize(("warehouse_id", "status"), [("1", 404), ("main", 400)])
async def test_another_warehouse_is_unknown(wb: httpx.AsyncClient, warehouse_id: str, status: int) -> None:
    assert (await wb.post(f"{FBS_STOCKS}/{warehouse_id}", json={"chrtIds": [1]})).status_code == status


async def test_a_refused_question_costs_ten(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"limits": True})
    path = f"{FBS_STOCKS}/{(await warehouses(wb))[0]['id']}"

    answers = [await wb.post(path, json=body) for body in ({"chrtIds": [1]}, {"skus": []}, {"skus": []}, {"chrtIds": [1]})]

    assert [answer.status_code for answer in answers] == [200, 400, 400, 429]
    assert [answer.headers.get("X-Ratelimit-Remaining") for answer in answers] == ["19", "9", "0", None]
    assert answers[-1].headers["X-Ratelimit-Reset"] == "4"
