"""The controls arrange what the marketplaces show, and refuse nonsense with a sentence."""

from uuid import UUID, uuid4

import httpx
import pytest

from app.sandbox.tokens import issue_token
from tests.sandbox.calls import report, walk_cards
from tests.sandbox.conformance import CARDS, WB_WAREHOUSES

pytestmark = pytest.mark.anyio


async def test_a_shop_of_a_chosen_size_and_seed_replaces_the_old(
    wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    by_itself = await walk_cards(wb)

    totals = (await control.put(f"/shops/{seller_id}", json={"products": 130, "seed": 7})).json()
    chosen = await walk_cards(wb)
    await control.put(f"/shops/{seller_id}", json={"products": 130, "seed": 7})

    assert len(by_itself) == 25
    assert totals["products"] == len(chosen) == 130
    assert await walk_cards(wb) == chosen


async def test_a_token_alone_makes_a_shop_of_the_size_it_says(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    seller_id = uuid4()
    token = (await control.post("/tokens", json={"seller_id": str(seller_id), "products": 61, "categories": ["content"]})).json()["token"]

    wb.headers["Authorization"] = token

    assert len(await walk_cards(wb)) == 61
    assert (await wb.get("/analytics/ping")).status_code == 401


async def test_a_shop_that_is_there_stays_when_a_later_token_says_another_size(wb: httpx.AsyncClient) -> None:
    seller_id = uuid4()
    wb.headers["Authorization"] = issue_token(seller_id, products=5)
    assert len(await walk_cards(wb)) == 5

    wb.headers["Authorization"] = issue_token(seller_id, products=50)

    assert len(await walk_cards(wb)) == 5


async def test_requests_are_counted_by_method_status_and_seller(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    for _ in range(3):
        await wb.post(CARDS, json={})
    await wb.post(CARDS, json={}, headers={"Authorization": issue_token(uuid4())})
    await wb.get("/content/ping", headers={"Authorization": "nonsense"})
    await wb.get("/content/secret/path")

    everybody = (await control.get("/requests")).json()
    one = (await control.get("/requests", params={"seller_id": str(seller_id)})).json()
    await control.delete("/requests")

    cards = "POST /content/v2/get/cards/list"
    assert everybody == {cards: {"200": 4}, "GET /ping": {"401": 1}, "GET unknown": {"404": 1}}
    assert one == {cards: {"200": 3}, "GET unknown": {"404": 1}}
    assert (await control.get("/requests")).json() == {}


async def test_starting_over_forgets_shops_faults_counts_and_behaviour(
    unchecked: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID
) -> None:
    await control.put(f"/shops/{seller_id}", json={"products": 3})
    await control.patch("", json={"warehouses": "named", "errors": "newer", "delay_ms": 1})
    await control.post("/faults", json={"kind": "server_error", "times": 2})
    await unchecked.get("/content/ping")

    await control.delete("")
    overview = (await control.get("")).json()

    assert {name: overview[name] for name in ("limits", "delay_ms", "warehouses", "errors", "shops")} == {
        "limits": True,
        "delay_ms": 0,
        "warehouses": "masked",
        "errors": "documented",
        "shops": 0,
    }
    assert (await control.get("/faults")).json() == []
    assert (await control.get("/requests")).json() == {}


async def test_the_environment_points_the_product_at_the_hosts(wb: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    environment = (await control.get("")).json()["environment"]

    hosts = ("COMMON", "CONTENT", "ANALYTICS", "PRICES", "MARKETPLACE", "STATISTICS")
    assert set(environment) == {*(f"WB_{host}_API_URL" for host in hosts), "OZON_API_URL"}
    for host in hosts:
        assert (await wb.get(f"{environment[f'WB_{host}_API_URL']}/ping")).status_code == 200


async def test_the_clock_freezes_jumps_and_runs_again(control: httpx.AsyncClient) -> None:
    frozen = (await control.post("/clock", json={"freeze_at": "2030-01-01T12:00:00+03:00"})).json()["now"]
    later = (await control.post("/clock", json={"advance_s": 90})).json()["now"]
    running = (await control.post("/clock", json={"run": True})).json()["now"]

    assert frozen == "2030-01-01T09:00:00Z"
    assert later == "2030-01-01T09:01:30Z"
    assert running < frozen


async def test_a_delay_holds_for_every_answer_of_a_marketplace(unchecked: httpx.AsyncClient, control: httpx.AsyncClient) -> None:
    await control.patch("", json={"delay_ms": 30_000})

    with pytest.raises(httpx.ReadTimeout):
        await unchecked.get("/content/ping", timeout=0.2)


async def test_stock_follows_a_quantity_that_was_set(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    before = (await control.get(f"/shops/{seller_id}")).json()["marketplace_quantity"]
    row = (await report(wb, WB_WAREHOUSES))[0]

    await control.put(f"/shops/{seller_id}/stocks", json={"chrt_id": row["chrtId"], "quantity": row["quantity"] + 1000})

    assert (await control.get(f"/shops/{seller_id}")).json()["marketplace_quantity"] == before + 1000


async def test_prices_orders_and_the_trash_show_in_the_truth(wb: httpx.AsyncClient, control: httpx.AsyncClient, seller_id: UUID) -> None:
    shop = f"/shops/{seller_id}"
    cards = await walk_cards(wb)
    before = (await control.get(shop)).json()
    order = (await control.get(f"{shop}/orders", params={"order_days": 1})).json()[-1]

    await control.patch(f"{shop}/products/{cards[0]['nmID']}", json={"price": 90_000, "discount": 0})
    await control.delete(f"{shop}/products/{cards[1]['nmID']}")
    await control.put(f"{shop}/orders/{order['number']}", json={"status": "returned"})
    after = (await control.get(shop)).json()

    assert after["price_sum"] > before["price_sum"] + 80_000
    assert float(after["discounted_price_sum"]) > float(before["discounted_price_sum"]) + 80_000
    assert (after["products"], after["trashed"]) == (24, 1)
    assert after["orders"]["orders"] == before["orders"]["orders"]
    assert after["orders"]["by_status"]["returned"] == before["orders"]["by_status"]["returned"] + 1


async def test_a_mixture_of_changes_is_the_same_for_the_same_seed(control: httpx.AsyncClient) -> None:
    shops = [f"/shops/{UUID(int=number)}" for number in (1, 2, 3)]
    for shop in shops:
        await control.put(shop, json={"products": 40, "seed": 5})

    made = [
        (await control.post(f"{shop}/changes", json={"seed": seed, "count": 60})).json()
        for shop, seed in zip(shops, (9, 9, 8), strict=True)
    ]
    truths = [(await control.get(shop)).json() for shop in shops]

    assert made[0] == made[1]
    assert set(made[0]) == {"added", "renamed", "trashed", "restored", "priced", "counted", "orders"}
    assert sum(made[0].values()) == 60
    assert truths[0] == truths[1] != truths[2]
    assert truths[0]["products"] == 40 + made[0]["added"] - made[0]["trashed"] + made[0]["restored"]
    assert truths[0]["trashed"] == made[0]["trashed"] - made[0]["restored"]


async def test_an_empty_shop_can_be_changed_too(control: httpx.AsyncClient) -> None:
    shop = f"/shops/{UUID(int=4)}"
    await control.put(shop, json={"products": 0})

    made = (await control.post(f"{shop}/changes", json={"seed": 1, "count": 20})).json()

    assert sum(made.values()) == 20
    assert (await control.get(shop)).json()["products"] == made["added"] - made.get("trashed", 0) + made.get("restored", 0) > 0


@pytest.mark.parametrize(
    ("verb", "path", "body"),
    [
        ("PATCH", "", {"speed": 9}),
        ("PATCH", "", {"delay_ms": -1}),
        ("PATCH", "", {"warehouses": "some"}),
        ("POST", "/clock", {"freeze_at": "2030-01-01T12:00:00"}),
        ("POST", "/faults", {"kind": "earthquake"}),
        ("POST", "/faults", {"kind": "slow", "dellay_ms": 5}),
        ("POST", "/tokens", {"seller_id": "acme"}),
        ("POST", "/tokens", {"seller_id": str(UUID(int=1)), "categories": ["music"]}),
        ("PUT", "/shops/acme", {"products": 1}),
        ("PUT", f"/shops/{UUID(int=1)}", {"products": 200_001}),
        ("GET", "/requests?seller_id=acme", None),
        ("PATCH", f"/shops/{UUID(int=1)}/products/5", {"discount": 100}),
        ("PUT", f"/shops/{UUID(int=1)}/orders/5", {"status": "lost"}),
        ("POST", f"/shops/{UUID(int=1)}/changes", {"count": 0}),
        ("GET", f"/shops/{UUID(int=1)}?order_days=many", None),
    ],
)
async def test_nonsense_is_refused_with_a_sentence(control: httpx.AsyncClient, verb: str, path: str, body: object) -> None:
    answer = await control.request(verb, path, json=body)

    assert answer.status_code == 400
    assert answer.json()["error"]


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("GET", "/nothing"),
        ("POST", f"/shops/{UUID(int=1)}"),
        ("DELETE", f"/shops/{UUID(int=1)}/products/5"),
        ("PATCH", f"/shops/{UUID(int=1)}/products/5"),
        ("POST", f"/shops/{UUID(int=1)}/products/5/restore"),
    ],
)
async def test_what_is_not_there_is_not_found(control: httpx.AsyncClient, verb: str, path: str) -> None:
    answer = await control.request(verb, path)

    assert answer.status_code == 404
    assert answer.json()["error"]


async def test_outside_of_marketplaces_and_controls_there_is_a_signpost(sandbox_url: str) -> None:
    async with httpx.AsyncClient(verify=False) as client:
        answer = await client.get(sandbox_url)

    assert answer.status_code == 404
    assert "/wildberries" in answer.json()["error"]
