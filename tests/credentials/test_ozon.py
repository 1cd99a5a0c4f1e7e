"""Keys of Ozon, alone and beside a Wildberries key, against a server that answers `/v1/roles` as Ozon does."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.observability.logs import configure_logs
from app.settings import Settings
from tests.application import Shop, everything_in_redis
from tests.credentials.keys import heard, told
from tests.credentials.ozon import ALL, CLIENT_ID, DOWN, KEY, NEW_KEY, WRONG_KEY, give, give_ozon, ozon, roles
from tests.marketplaces.scripted_server import Reply, ScriptedServer, json_reply

__all__ = ["ozon"]

pytestmark = pytest.mark.anyio

STORED = "SELECT wb_credentials_encrypted, ozon_credentials_encrypted FROM tenants WHERE id = $1"
SCHEDULED = "SELECT next_sync_at IS NOT NULL FROM tenants WHERE id = $1"
RUNS = "SELECT marketplace, status FROM sync_runs WHERE tenant_id = $1 ORDER BY marketplace"


async def give_both(shop: Shop, **wildberries: Any) -> httpx.Response:
    return await give(shop, wildberries_api_key=shop.key(**wildberries), ozon_client_id=CLIENT_ID, ozon_api_key=KEY)


async def test_a_key_is_shown_to_ozon_once_and_its_end_is_known_from_it(shop: Shop, ozon: ScriptedServer):
    answer = await give_ozon(shop)

    assert answer.status_code == 200
    known = await told(shop, "ozon")
    assert (known["status"], known["masked"], known["seller_id"], known["shared"]) == ("valid", "7c1…9fQ2", CLIENT_ID, False)
    assert set(known["scopes"]) == {"products", "prices", "stocks", "orders"}
    assert (known["missing_scopes"], known["advice"]) == ([], None)
    assert timedelta(days=89) < datetime.fromisoformat(known["expires_at"]) - datetime.now(UTC) < timedelta(days=90)
    [request] = ozon.requests
    assert (request.path, request.headers["client-id"], request.headers["api-key"]) == ("/v1/roles", CLIENT_ID, KEY)
    assert await shop.rows(RUNS) == [("ozon", "queued")]
    assert await shop.rows(SCHEDULED) == [(True,)]


async def test_a_role_that_lacks_methods_is_told_with_the_role_that_has_them(shop: Shop, ozon: ScriptedServer):
    ozon.replies = (roles("/v3/product", "/v5/product", "/v1/roles"),)

    await give_ozon(shop)

    known = await told(shop, "ozon")
    assert known["status"] == "valid"
    assert {"stocks", "orders"} <= set(known["missing_scopes"])
    assert known["advice"].endswith("отметьте в нём: «Admin read only».")


async def test_a_key_whose_end_is_near_is_expiring_and_works(shop: Shop, ozon: ScriptedServer):
    ozon.replies = (roles(*ALL, expires_in=timedelta(days=10)),)

    await give_ozon(shop)

    assert (await told(shop, "ozon"))["status"] == "expiring"
    assert await shop.rows(RUNS) == [("ozon", "queued")]


async def test_a_wrong_key_is_refused_by_its_name_and_not_stored(shop: Shop, ozon: ScriptedServer):
    ozon.replies = (WRONG_KEY,)

    answer = await give_ozon(shop)

    assert (answer.status_code, answer.json()["code"]) == (422, "credentials_rejected")
    assert [error["field"] for error in answer.json()["errors"]] == ["ozon_api_key"]
    assert KEY not in answer.text
    assert await shop.rows(STORED) == [(None, None)]


async def test_an_ozon_that_does_not_answer_does_not_keep_a_seller_from_giving_the_key(shop: Shop, ozon: ScriptedServer):
    ozon.replies = (DOWN,)

    answer = await give_ozon(shop)

    assert answer.status_code == 200
    known = await told(shop, "ozon")
    assert (known["status"], known["verified_at"], known["seller_id"]) == ("unverified", None, CLIENT_ID)
    assert await shop.rows(RUNS) == []
    assert await shop.rows(SCHEDULED) == [(True,)]


async def test_a_new_key_of_the_same_account_needs_no_client_id(shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)

    answer = await give(shop, ozon_api_key=NEW_KEY)

    assert answer.status_code == 200
    assert (ozon.requests[-1].headers["client-id"], ozon.requests[-1].headers["api-key"]) == (CLIENT_ID, NEW_KEY)
    assert (await told(shop, "ozon"))["masked"] == "9a2…aaaa"


async def test_a_token_of_an_application_serves_instead_of_the_pair(shop: Shop, ozon: ScriptedServer):
    answer = await give(shop, ozon_access_token="a-token-of-an-application")

    assert answer.status_code == 200
    assert ozon.requests[0].headers["authorization"] == "Bearer a-token-of-an-application"
    assert (await told(shop, "ozon"))["status"] == "valid"
    assert (await give(shop, ozon_api_key=NEW_KEY)).json()["errors"][0]["field"] == "ozon_client_id"


async def test_both_keys_are_given_at_once_and_each_begins_its_own_sync(shop: Shop, ozon: ScriptedServer):
    answer = await give_both(shop)

    assert [item["status"] for item in answer.json()["credentials"]] == ["valid", "valid", None]
    assert await shop.rows(RUNS) == [("ozon", "queued"), ("wildberries", "queued")]


async def test_a_rejected_key_keeps_the_good_one_beside_it_from_being_stored(shop: Shop, ozon: ScriptedServer):
    ozon.replies = (WRONG_KEY,)

    answer = await give_both(shop)

    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["ozon_api_key"]
    assert await shop.rows(STORED) == [(None, None)]
    assert await shop.rows(RUNS) == []


async def test_two_rejected_keys_are_both_named(shop: Shop, ozon: ScriptedServer, sandbox: httpx.AsyncClient):
    ozon.replies = (WRONG_KEY,)
    await sandbox.post("/faults", json={"kind": "unauthorized", "seller_id": str(shop.seller_id)})

    answer = await give_both(shop)

    assert sorted(error["field"] for error in answer.json()["errors"]) == ["ozon_api_key", "wildberries_api_key"]


async def test_what_one_key_says_of_itself_spares_the_other_from_being_asked_about(shop: Shop, ozon: ScriptedServer):
    answer = await give_both(shop, expires_at=datetime.now(UTC) - timedelta(hours=1))

    assert [error["field"] for error in answer.json()["errors"]] == ["wildberries_api_key"]
    assert ozon.requests == []


async def test_marketplaces_are_asked_side_by_side(shop: Shop, ozon: ScriptedServer, sandbox: httpx.AsyncClient):
    slow = roles(*ALL)
    ozon.replies = (Reply(slow.status, slow.body, after_s=1.5),)
    await sandbox.patch("", json={"delay_ms": 1500})

    began = datetime.now(UTC)
    answer = await give_both(shop)

    assert answer.status_code == 200
    assert datetime.now(UTC) - began < timedelta(seconds=2.7)


async def test_taking_one_key_back_leaves_the_others_schedule_and_sync(shop: Shop, ozon: ScriptedServer):
    await give_both(shop)

    await shop.expect(204, "DELETE", "/tenants/me/credentials/ozon")

    assert (await told(shop, "ozon"))["configured"] is False
    assert await shop.rows(RUNS) == [("ozon", "cancelled"), ("wildberries", "queued")]
    assert await shop.rows(SCHEDULED) == [(True,)]
    await shop.expect(204, "DELETE", "/tenants/me/credentials/wildberries")
    assert await shop.rows(SCHEDULED) == [(False,)]


async def test_a_key_that_was_revoked_stops_its_own_account_only(shop: Shop, ozon: ScriptedServer):
    await give_both(shop)
    ozon.replies = (json_reply({"code": 7, "message": "Api-key is deactivated, use another one or generate a new one"}, 403),)

    known = await shop.expect(200, "POST", "/tenants/me/credentials/ozon/verify")

    assert known["status"] == "invalid"
    assert (await told(shop))["status"] == "valid"
    assert await shop.rows(SCHEDULED) == [(True,)]
    [(name, data)] = await heard(shop)
    assert (name, data["provider"]) == ("credentials.invalid", "ozon")
    assert data["message"].startswith("Ozon больше не принимает ключ")


async def test_an_account_that_two_tenants_have_a_key_of_is_told_to_both(shop: Shop, other_shop: Shop, ozon: ScriptedServer):
    await give_ozon(shop)

    await give_ozon(other_shop, NEW_KEY)

    for each in (shop, other_shop):
        assert (await told(each, "ozon"))["shared"] is True
        assert [(name, data["provider"]) for name, data in await heard(each)] == [("credentials.shared", "ozon")]


async def test_a_key_is_in_no_answer_no_log_line_no_row_and_not_in_redis(shop: Shop, ozon: ScriptedServer, settings: Settings):
    logged = io.StringIO()
    configure_logs(type("Loud", (), {"log_level": "debug", "log_format": "json"})(), logged)
    echoes_the_key = json_reply({"code": 5, "message": f"Invalid Api-Key {KEY}, please check the key and try again"}, 404)
    answers = [await give_ozon(shop)]
    ozon.replies = (echoes_the_key,)
    answers.append(await shop.call("POST", "/tenants/me/credentials/ozon/verify"))
    answers.append(await give_ozon(shop))
    answers.append(await shop.call("GET", "/tenants/me/credentials"))
    configure_logs(settings)

    seen = logged.getvalue() + "".join(answer.text for answer in answers)
    for (table,) in await shop.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND $1::uuid IS NOT NULL"):
        seen += repr(await shop.rows(f"SELECT * FROM {table} WHERE $1::uuid IS NOT NULL"))
    seen += (await everything_in_redis()).decode(errors="replace")

    assert [answer.status_code for answer in answers] == [200, 200, 422, 200]
    assert "credentials.invalid" in seen
    assert KEY not in seen
