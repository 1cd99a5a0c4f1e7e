"""Query parameters: known, once, of the right type and within their bounds, or named."""

from typing import Annotated, Any, Literal
from uuid import UUID

import pytest
from litestar import get, post
from litestar.di import NamedDependency, Provide
from litestar.params import FromPath, FromQuery, HeaderParameter, QueryParameter
from msgspec import Meta

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit
from app.api.parameters import parameters_of
from app.api.structs import Instant
from tests.api.application import ClientFor, make_app

pytestmark = pytest.mark.anyio

Page = tuple[int, str | None]


async def provide_page(limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[Cursor | None] = None) -> Page:
    return limit, cursor


@get("/shops/{shop_id:uuid}/products", dependencies={"page": Provide(provide_page)})
async def list_products(
    shop_id: FromPath[UUID],
    page: NamedDependency[Page],
    kind: FromQuery[list[Literal["sold", "kept"]] | None] = None,
    since: Annotated[Instant | None, QueryParameter(name="from")] = None,
    archived: FromQuery[bool] = False,
    if_none_match: Annotated[str | None, HeaderParameter(name="If-None-Match")] = None,
) -> dict[str, Any]:
    return {"page": page, "kind": kind, "from": since, "archived": archived}


@get("/search")
async def search(q: FromQuery[Annotated[str, Meta(min_length=1, max_length=5)]]) -> dict[str, str]:
    return {"q": q}


@post("/logout", status_code=204)
async def logout() -> None:
    return None


PRODUCTS = "/shops/019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e/products"


async def faults(client_for: ClientFor, address: str) -> dict[str, str]:
    async with client_for(list_products, search, logout) as client:
        answer = await client.get(address)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    return {error["field"]: error["message"] for error in answer.json().get("errors", [])}


async def test_parameters_of_the_handler_and_of_its_dependencies_arrive_typed(client_for: ClientFor) -> None:
    async with client_for(list_products) as client:
        answer = await client.get(f"{PRODUCTS}?limit=7&kind=sold&kind=kept&from=2026-11-22T10:00:00Z&archived=true")

    assert answer.json() == {"page": [7, None], "kind": ["sold", "kept"], "from": "2026-11-22T10:00:00Z", "archived": True}


async def test_defaults_stand_where_nothing_is_given(client_for: ClientFor) -> None:
    async with client_for(list_products) as client:
        answer = await client.get(PRODUCTS)

    assert answer.json() == {"page": [100, None], "kind": None, "from": None, "archived": False}


@pytest.mark.parametrize("limit", ["0", "501", "-1", "99999999999999999999", "ten", "1.5", ""])
async def test_a_limit_is_a_whole_number_from_1_to_500(client_for: ClientFor, limit: str) -> None:
    assert set(await faults(client_for, f"{PRODUCTS}?limit={limit}")) == {"limit"}


async def test_an_unknown_parameter_is_named(client_for: ClientFor) -> None:
    assert await faults(client_for, f"{PRODUCTS}?limti=7") == {"limti": "Unknown field"}


async def test_a_name_of_the_code_is_no_name_of_the_query(client_for: ClientFor) -> None:
    assert await faults(client_for, f"{PRODUCTS}?since=2026-11-22T10:00:00Z") == {"since": "Unknown field"}


async def test_a_handler_without_parameters_takes_none(client_for: ClientFor) -> None:
    async with client_for(logout) as client:
        answer = await client.post("/logout?everywhere=1")

    assert answer.json()["errors"] == [{"field": "everywhere", "message": "Unknown field"}]


async def test_a_parameter_given_twice_is_named(client_for: ClientFor) -> None:
    assert await faults(client_for, f"{PRODUCTS}?limit=1&limit=2") == {"limit": "Given more than once"}


async def test_a_missing_parameter_is_named(client_for: ClientFor) -> None:
    assert await faults(client_for, "/search") == {"q": "Required"}


async def test_a_text_longer_than_its_bound_is_named(client_for: ClientFor) -> None:
    assert set(await faults(client_for, "/search?q=123456")) == {"q"}


async def test_all_faults_of_a_query_are_told_at_once(client_for: ClientFor) -> None:
    told = await faults(client_for, f"{PRODUCTS}?limit=0&kind=lost&from=yesterday&archived=perhaps&x=1")

    assert set(told) == {"limit", "kind[0]", "from", "archived", "x"}


async def test_a_time_without_an_offset_is_named(client_for: ClientFor) -> None:
    assert set(await faults(client_for, f"{PRODUCTS}?from=2026-11-22T10:00:00")) == {"from"}


async def test_a_nul_character_is_named(client_for: ClientFor) -> None:
    assert set(await faults(client_for, "/search?q=%00")) == {"q"}


@pytest.mark.parametrize("query", ["q=%ff", "q=%ed%a0%80", "&".join(f"q{number}=1" for number in range(200))])
async def test_a_query_that_is_no_utf_8_or_endless_is_refused(client_for: ClientFor, query: str) -> None:
    await faults(client_for, f"/search?{query}")


async def test_an_identifier_in_the_path_that_is_none_is_an_unknown_address(client_for: ClientFor) -> None:
    async with client_for(list_products) as client:
        answer = await client.get("/shops/7/products")

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_a_wrong_header_is_named(client_for: ClientFor) -> None:
    @get("/keyed")
    async def keyed(key: Annotated[int, HeaderParameter(name="X-Key")]) -> int:
        return key

    async with client_for(keyed) as client:
        missing = await client.get("/keyed")
        wrong = await client.get("/keyed", headers={"X-Key": "a"})

    assert missing.json()["errors"] == [{"field": "X-Key", "message": "Required"}]
    assert (wrong.status_code, len(wrong.json()["errors"])) == (422, 1)


def test_the_list_of_parameters_has_those_of_dependencies_too() -> None:
    app = make_app([list_products])
    handler = next(route for route in app.routes if route.path.endswith("/products")).route_handlers[0]  # type: ignore[union-attr]  # an HTTP route

    listed = {(parameter.location, parameter.name, parameter.required) for parameter in parameters_of(handler)}

    assert listed == {
        ("path", "shop_id", True),
        ("query", "limit", False),
        ("query", "cursor", False),
        ("query", "kind", False),
        ("query", "from", False),
        ("query", "archived", False),
        ("header", "If-None-Match", False),
    }


def test_a_bound_where_litestar_alone_would_enforce_it_is_a_mistake_of_ours() -> None:
    @get("/bounded")
    async def bounded(limit: Annotated[int, QueryParameter(ge=1)] = 1) -> int:
        return limit

    app = make_app([bounded])
    handler = next(route for route in app.routes if route.path == "/bounded").route_handlers[0]  # type: ignore[union-attr]  # an HTTP route

    with pytest.raises(TypeError, match=r"msgspec\.Meta"):
        parameters_of(handler)
