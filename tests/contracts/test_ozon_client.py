"""The client speaks as Ozon describes: every request it makes is held against the official description, as far as that has the method, and all of them, with
the fields that it reads, against models that others generated from a newer one (`ozon-sdk`)."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import msgspec
import pytest
from ozon_sdk.seller_api.basic import methods as published

from app.marketplaces.contract import Fulfilment
from app.marketplaces.exchange import make_http_client
from app.marketplaces.ozon import wire
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.ozon.methods import (
    FBO_POSTINGS,
    FBO_STOCKS,
    FBS_POSTINGS,
    FBS_STOCKS,
    METHODS,
    OZON_WAREHOUSES,
    PRICES,
    PRODUCT_INFO,
    PRODUCT_LIST,
    ROLES,
    Method,
)
from app.marketplaces.transport import Transport
from tests.contracts.ozon_specification import ozon_specification
from tests.marketplaces.ozon import examples
from tests.marketplaces.ozon.conftest import KEY, NOW, known
from tests.marketplaces.scripted_server import Received, ScriptedServer, json_reply, scripted_server

pytestmark = pytest.mark.anyio

# Added after the state of the description that we have.
NEWER = (FBO_STOCKS, FBS_POSTINGS, FBO_POSTINGS)

PUBLISHED: dict[str, Any] = {
    method.__path__: method for method in vars(published).values() if isinstance(method, type) and hasattr(method, "__path__")
}


@pytest.fixture
async def requests() -> AsyncIterator[dict[str, list[Received]]]:
    """All that a first and a second sync ask, by path."""
    listed, end = json_reply(examples.product_list(1, last_id="a")), json_reply(examples.product_list())
    async with scripted_server() as server, make_http_client() as http:
        client = OzonClient(KEY, Transport(http), server.url, now=lambda: NOW)
        server.replies = [json_reply(examples.ROLES), listed, json_reply(examples.infos(1)), end, end]
        await client.verify()
        await client.fetch_products()
        _script(server, json_reply({"items": [examples.PRICED], "cursor": "a"}), json_reply({"items": []}))
        async for _ in client.price_pages():
            pass
        more = json_reply(examples.rows(examples.FBO_ROW, cursor="a", has_next=True))
        rest = json_reply(examples.rows())
        _script(server, json_reply(examples.WAREHOUSES), more, rest, more, rest)
        for fulfilment in Fulfilment:
            async for _ in client.stock_pages(fulfilment, known(("1000001", "900000001"))):
                pass
        cursor = b""
        more = json_reply(examples.postings(examples.FBS_POSTING, cursor="a", has_next=True))
        rest = json_reply(examples.NO_POSTINGS)
        _script(server, more, rest, more, rest, more, rest, more, rest)
        for _ in range(2):
            async for page in client.order_pages(cursor):
                cursor = page.cursor
        made: dict[str, list[Received]] = {}
        for request in server.requests:
            made.setdefault(request.path, []).append(request)
        yield made


def _script(server: ScriptedServer, *replies: Any) -> None:
    server.replies = [*server.replies[: len(server.requests)], *replies]


async def test_every_method_of_the_table_is_called_and_no_other(requests: dict[str, list[Received]]) -> None:
    assert requests.keys() == {method.path for method in METHODS}
    assert {method.path: len(requests[method.path]) for method in METHODS if method is not ROLES and method is not OZON_WAREHOUSES} == {
        PRODUCT_LIST.path: 3,
        PRODUCT_INFO.path: 1,
        PRICES.path: 2,
        FBO_STOCKS.path: 2,
        FBS_STOCKS.path: 2,
        FBS_POSTINGS.path: 4,
        FBO_POSTINGS.path: 4,
    }


async def test_every_request_is_as_described(requests: dict[str, list[Received]]) -> None:
    specification = ozon_specification()

    for method in METHODS:
        if method in NEWER:
            continue
        for request in requests[method.path]:
            specification.check_request(request.method, request.path, query=request.query, body=request.body)
            assert request.headers["content-type"] == "application/json"


async def test_every_request_is_as_the_published_models_have_it(requests: dict[str, list[Received]]) -> None:
    for made in requests.values():
        for request in made:
            model = PUBLISHED[request.path]
            message = msgspec.json.decode(request.body or b"{}")
            assert request.method == model.__http_method__
            msgspec.json.decode(request.body or b"{}", type=model)
            assert list(_unknown_fields(message, msgspec.inspect.type_info(model), "$")) == []


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (ROLES, wire.RolesAnswer),
        (PRODUCT_LIST, wire.ProductListAnswer[wire.ListedProduct]),
        (PRODUCT_INFO, wire.Listed[wire.ProductInfo]),
        (PRICES, wire.Listed[wire.PricedProduct]),
        (FBO_STOCKS, wire.StockRows[wire.StockRow]),
        (FBS_STOCKS, wire.StockRows[wire.StockRow]),
        (OZON_WAREHOUSES, wire.OzonWarehouses[wire.OzonWarehouse]),
        (FBS_POSTINGS, wire.Postings[wire.Posting]),
        (FBO_POSTINGS, wire.Postings[wire.Posting]),
    ],
    ids=lambda value: getattr(value, "path", ""),
)
def test_no_field_that_we_read_is_unknown_to_the_published_models(method: Method, answer: Any) -> None:
    theirs = _fields(msgspec.inspect.type_info(PUBLISHED[method.path].__returns__))
    ours = _fields(msgspec.inspect.type_info(answer))

    # Messages that are told by different methods share a struct; each field is known to at least one of them.
    assert {field for field in ours if field not in theirs} == SHARED.get(method, set())


SHARED: dict[Method, set[str]] = {
    PRODUCT_LIST: {"result.has_next"},
    PRODUCT_INFO: {"has_next", "cursor"},
    PRICES: {"has_next"},
    FBO_STOCKS: {"products.free_stock", "products.warehouse_name"},
    OZON_WAREHOUSES: {"has_next", "cursor"},
    FBS_POSTINGS: {"postings.created_at", "postings.analytics_data.warehouse_name"},
    FBO_POSTINGS: {
        "postings.delivery_method",
        "postings.delivery_method.warehouse",
        "postings.analytics_data.region",
        "postings.analytics_data.warehouse",
    },
}


@pytest.mark.parametrize("method", NEWER, ids=lambda method: method.path)
def test_what_the_description_lacks_it_still_lacks(method: Method) -> None:
    specification = ozon_specification()

    with pytest.raises(AssertionError, match="does not know"):
        specification.check_request("POST", method.path, body=b"{}")


def _unknown_fields(message: Any, described: msgspec.inspect.Type, where: str) -> Iterator[str]:
    for part in _parts(described):
        if isinstance(part, msgspec.inspect.ListType) and isinstance(message, list):
            for element in message:
                yield from _unknown_fields(element, part.item_type, f"{where}[]")
        elif isinstance(part, msgspec.inspect.StructType) and isinstance(message, dict):
            known_fields = {field.encode_name: field.type for field in part.fields}
            for name, value in message.items():
                if name in known_fields:
                    yield from _unknown_fields(value, known_fields[name], f"{where}.{name}")
                else:
                    yield f"{where}.{name}"


def _fields(described: msgspec.inspect.Type, where: str = "") -> set[str]:
    """The paths of all fields of a message, through lists."""
    found: set[str] = set()
    for part in _parts(described):
        if isinstance(part, msgspec.inspect.ListType):
            found |= _fields(part.item_type, where)
        elif isinstance(part, msgspec.inspect.StructType):
            for field in part.fields:
                name = f"{where}.{field.encode_name}" if where else field.encode_name
                found |= {name} | _fields(field.type, name)
    return found


def _parts(described: msgspec.inspect.Type) -> tuple[msgspec.inspect.Type, ...]:
    return described.types if isinstance(described, msgspec.inspect.UnionType) else (described,)
