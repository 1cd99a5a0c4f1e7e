"""The sandbox's Ozon as another's client sees it: `ozon-sdk`, which was generated from a newer description than the one we keep, works with it unchanged.

Whatever the sandbox answers in tests/sandbox/ozon is held against the description and the models there; here it is that it leaves nothing out.
"""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import msgspec
import pytest
from ozon_sdk.applications_api.client import ApplicationsAPI
from ozon_sdk.exceptions import OzonAPIError
from ozon_sdk.seller_api.basic import methods
from ozon_sdk.seller_api.client import SellerAPI

from app.sandbox.main import create_sandbox, serve_in_thread
from app.sandbox.ozon.gateway import METHODS
from app.sandbox.ozon.keys import issue_ozon_key
from tests.contracts.published_ozon_models import PUBLISHED, extras_of, field_names, told

pytestmark = pytest.mark.anyio

CLIENT_ID = 4321
KEY = issue_ozon_key(CLIENT_ID, products=60)
PERIOD = {"since": "2026-11-01T00:00:00Z", "to": "2026-11-22T11:00:00Z"}
QUESTIONS: dict[str, dict[str, Any]] = {
    "/v1/roles": {},
    "/v1/seller/info": {},
    "/v3/product/list": {"filter": {"visibility": "ALL"}, "limit": 1000},
    "/v4/product/info/stocks": {"filter": {"visibility": "ALL"}, "limit": 1000},
    "/v5/product/info/prices": {"filter": {"visibility": "ALL"}, "limit": 1000},
    "/v2/warehouse/list": {"limit": 200},
    "/v1/warehouse/ozon/list": {"warehouse_types": ["FULL_FILLMENT"]},
    "/v4/posting/fbs/list": {"filter": PERIOD, "limit": 100, "with": {"analytics_data": True, "financial_data": True, "barcodes": True}},
    "/v3/posting/fbo/list": {"filter": PERIOD, "limit": 100, "with": {"analytics_data": True, "financial_data": True}},
}


@pytest.fixture(scope="module")
def sandbox_url() -> Iterator[str]:
    with serve_in_thread(create_sandbox(limits=False)) as url:
        httpx.post(f"{url}/sandbox/clock", json={"freeze_at": PERIOD["to"]}, verify=False)
        yield url


@pytest.fixture
async def http(sandbox_url: str) -> AsyncIterator[httpx.AsyncClient]:
    headers = {"Client-Id": str(CLIENT_ID), "Api-Key": KEY}
    async with httpx.AsyncClient(base_url=f"{sandbox_url}/ozon", headers=headers, verify=False) as http:
        yield http


@pytest.fixture
async def theirs(sandbox_url: str) -> AsyncIterator[SellerAPI]:
    client = SellerAPI(str(CLIENT_ID), KEY, base_url=f"{sandbox_url}/ozon", max_retries=0)
    yield client
    await client.close()


async def all_questions(http: httpx.AsyncClient) -> dict[str, dict[str, Any]]:
    """A question for each method, of which some want ids."""
    listed = (await http.post("/v3/product/list", json=QUESTIONS["/v3/product/list"])).json()["result"]["items"]
    warehouses = (await http.post("/v2/warehouse/list", json={"limit": 200})).json()["warehouses"]
    skus = [str(product["sku"]) for product in listed]
    return {
        **QUESTIONS,
        "/v3/product/info/list": {"sku": skus},
        "/v1/product/info/stocks-by-warehouse/fbo": {"skus": skus, "limit": 1000},
        "/v2/product/info/stocks-by-warehouse/fbs": {"sku": skus, "limit": 1000},
        "/v1/product/info/warehouse/stocks": {"warehouse_id": warehouses[0]["warehouse_id"], "limit": 1000},
    }


async def test_there_is_a_question_for_each_method(http: httpx.AsyncClient) -> None:
    assert (await all_questions(http)).keys() == METHODS.keys() <= PUBLISHED.keys()


@pytest.mark.parametrize("path", METHODS)
async def test_the_published_client_understands_every_answer_to_the_last_field(
    http: httpx.AsyncClient, theirs: SellerAPI, path: str
) -> None:
    question = (await all_questions(http))[path]

    answer = await msgspec.convert(question, PUBLISHED[path]).emit(theirs)

    assert list(extras_of(answer)) == []
    assert len(told(msgspec.to_builtins(answer))) > 2


# What a shop of the sandbox never has: objects that are null or lists that are empty, each with all that would be in them.
NEVER: dict[str, tuple[str, ...]] = {
    "/v1/seller/info": ("ratings.past_value.",),
    "/v3/product/list": ("result.total", "result.items.quants."),
    "/v4/product/info/stocks": ("total",),
    "/v5/product/info/prices": ("total",),
    "/v3/product/info/list": ("items.availabilities.", "items.errors."),
    "/v2/warehouse/list": ("warehouses.timetable.",),
    "/v3/posting/fbo/list": ("postings.additional_data.", "postings.legal_info."),
    "/v4/posting/fbs/list": tuple(
        f"postings.{name}."
        for name in ("addressee", "container", "customer", "legal_info", "sorting_center", "tariffication", "tariffication_steps")
    ),
}


@pytest.mark.parametrize("path", METHODS)
async def test_every_field_that_a_published_model_knows_is_told(http: httpx.AsyncClient, path: str) -> None:
    answer = (await http.post(path, json=(await all_questions(http))[path])).json()

    missing = field_names(msgspec.inspect.type_info(PUBLISHED[path].__returns__)) - told(answer)

    never = NEVER.get(path, ())
    assert {
        name for name in missing if name not in never and not name.startswith(tuple(one for one in never if one.endswith(".")))
    } == set()


async def test_the_published_client_walks_all_pages(theirs: SellerAPI, http: httpx.AsyncClient) -> None:
    products = await msgspec.convert({**QUESTIONS["/v3/product/list"], "limit": 30}, PUBLISHED["/v3/product/list"]).paginate(theirs)
    postings = await msgspec.convert({**QUESTIONS["/v3/posting/fbo/list"], "limit": 90}, PUBLISHED["/v3/posting/fbo/list"]).paginate(theirs)
    truth = (await http.get(f"{str(http.base_url).removesuffix('/ozon/')}/sandbox/ozon/shops/{CLIENT_ID}")).json()

    assert len({product.product_id for product in products}) == len(products) == truth["active"]
    assert len({posting.posting_number for posting in postings}) == len(postings) > 100


async def test_the_published_client_understands_a_refusal(sandbox_url: str) -> None:
    client = SellerAPI("4322", KEY, base_url=f"{sandbox_url}/ozon", max_retries=0)

    with pytest.raises(OzonAPIError) as refusal:
        await methods.RolesByToken().emit(client)
    await client.close()

    assert (refusal.value.status_code, refusal.value.code) == (404, "5")
    assert refusal.value.trace_id
    assert "Invalid Api-Key" in str(refusal.value)


async def test_the_published_client_of_applications_gets_a_token(sandbox_url: str) -> None:
    client = ApplicationsAPI(str(CLIENT_ID), KEY, base_url=f"{sandbox_url}/ozon", max_retries=0)

    # It asks for one by itself before the first call of any method; we play none of those.
    token = await client._session.authorize()
    await client.close()

    async with httpx.AsyncClient(base_url=f"{sandbox_url}/ozon", verify=False) as http:
        assert (await http.post("/v1/roles", headers={"Authorization": f"Bearer {token}"})).status_code == 200
