"""What a caller may do. A door that doesn't say for whom it is, is closed."""

from typing import Any

import pytest
from litestar import Litestar, get

from app.api.roles import Role
from app.auth.guards import refuse_handlers_that_name_nobody
from app.database import system_scope
from tests.auth.application import PASSWORD, Seller

pytestmark = pytest.mark.anyio


@pytest.fixture
async def viewer(seller: Seller) -> Seller:
    async with system_scope() as connection:
        await connection.execute("UPDATE memberships SET role = 'viewer' WHERE user_id = $1", seller.user_id)
    answer = await seller.client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})
    return Seller.of(seller.client, seller.email, answer.json())


async def test_an_owner_may_do_all(seller: Seller) -> None:
    assert (await seller.get("/viewers")).status_code == 200
    assert (await seller.get("/owners")).status_code == 200


async def test_a_viewer_may_only_look(viewer: Seller) -> None:
    look, act = await viewer.get("/viewers"), await viewer.get("/owners")

    assert look.status_code == 200
    assert act.status_code == 403
    assert act.json()["code"] == "forbidden"
    assert "owner" in act.json()["detail"]


@pytest.mark.parametrize("path", ["/closed", "/misspelt"])
async def test_a_door_that_names_no_role_is_closed_to_all(seller: Seller, path: str) -> None:
    known, unknown = await seller.get(path), await seller.client.get(path)

    assert known.status_code == 403
    assert known.json()["code"] == "forbidden"
    assert unknown.status_code == 401


async def test_what_does_not_exist_needs_no_token_to_be_absent(seller: Seller) -> None:
    assert (await seller.client.get("/nowhere")).status_code == 404
    assert (await seller.client.delete("/viewers")).status_code == 405


@pytest.mark.parametrize(
    "opt", [{}, {"role": "owner"}, {"public": 1}, {"public": True, "role": Role.VIEWER}, {"service": True, "public": True}]
)
def test_an_application_with_a_door_that_names_nobody_or_several_is_not_made(opt: dict[str, Any]) -> None:
    @get("/left-open", opt=opt)
    async def left_open() -> None: ...

    with pytest.raises(TypeError, match="/left-open has to name one"):
        refuse_handlers_that_name_nobody(Litestar([left_open], openapi_config=None, logging_config=None))


@pytest.mark.parametrize("opt", [{"role": Role.VIEWER}, {"public": True}, {"service": True}])
def test_one_word_about_whom_a_door_is_for_is_enough(opt: dict[str, Any]) -> None:
    @get("/named", opt=opt)
    async def named() -> None: ...

    refuse_handlers_that_name_nobody(Litestar([named], openapi_config=None, logging_config=None))
