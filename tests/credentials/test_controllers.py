"""A seller gives, looks at, checks and takes back a key."""

import io
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from app.observability.logs import configure_logs
from app.sandbox.control import environment as marketplaces_at
from app.sandbox.tokens import Category
from app.settings import Settings, get_settings
from tests.application import Shop, everything_in_redis
from tests.credentials.keys import change_key, told

pytestmark = pytest.mark.anyio

STORED = "SELECT wb_credentials_encrypted, next_sync_at FROM tenants WHERE id = $1"
FACTS = "SELECT status, masked, verified_at, updated_at FROM credentials WHERE tenant_id = $1"
RUNS = "SELECT status FROM sync_runs WHERE tenant_id = $1 ORDER BY id"
EVENTS = "SELECT type FROM events WHERE tenant_id = $1 AND type = 'credentials.invalid'"


async def everything(shop: Shop) -> list[Any]:
    return [await shop.rows(statement) for statement in (STORED, FACTS, RUNS, "SELECT action FROM audit_log WHERE tenant_id = $1")]


def wildberries(listed: list[dict[str, Any]]) -> dict[str, Any]:
    return next(item for item in listed if item["provider"] == "wildberries")


@pytest.fixture
def nobody_answers(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Point the marketplace's hosts at a closed port; call it to point them back."""
    with monkeypatch.context() as away:
        for name in marketplaces_at(""):
            away.setenv(name, "http://127.0.0.1:9")
        get_settings.cache_clear()

        def come_back() -> None:
            away.undo()
            get_settings.cache_clear()

        yield come_back


async def test_before_a_key_is_given_all_providers_are_listed_as_not_configured(shop: Shop):
    listed = await shop.expect(200, "GET", "/tenants/me/credentials")

    assert [(item["provider"], item["configured"], item["status"]) for item in listed] == [
        ("wildberries", False, None),
        ("ozon", False, None),
        ("google", False, None),
    ]


async def test_a_good_key_is_valid_shown_masked_and_starts_a_sync(shop: Shop):
    key = shop.key(products=5)

    answer = await shop.give_key(key)

    assert answer.status_code == 200
    assert answer.json()["message"] == "Credentials updated successfully"
    assert answer.headers["cache-control"] == "no-store"
    told = wildberries(answer.json()["credentials"])
    assert (told["configured"], told["status"], told["masked"]) == (True, "valid", f"{key[:3]}…{key[-4:]}")
    assert told["missing_scopes"] == []
    assert await shop.rows(RUNS) == [("queued",)]
    assert (await shop.rows(STORED))[0][1] is not None


async def test_a_second_good_key_starts_no_second_sync(shop: Shop):
    await shop.give_key()
    await shop.sync()

    await shop.give_key()

    assert await shop.rows(RUNS) == [("succeeded",)]


async def test_a_key_without_a_category_says_what_it_can_not_do(shop: Shop):
    answer = await shop.give_key(shop.key(categories=[Category.CONTENT]))

    told = wildberries(answer.json()["credentials"])
    assert "products" in told["scopes"]
    assert "stocks" in told["missing_scopes"]
    assert "остатки" in told["advice"]
    assert "Создайте новый и отметьте в нём: «" in told["advice"]


async def test_what_to_tick_is_said_in_the_tenants_language(shop: Shop):
    await shop.give_key(shop.key(categories=[Category.CONTENT]))

    await shop.expect(200, "PATCH", "/tenants/me", json={"language": "en"})

    advice = wildberries(await shop.expect(200, "GET", "/tenants/me/credentials"))["advice"]
    assert "does not allow" in advice
    assert "“Analytics”" in advice


async def test_a_key_that_ends_soon_is_expiring_and_works(shop: Shop):
    answer = await shop.give_key(shop.key(expires_at=datetime.now(UTC) + timedelta(days=3)))

    assert wildberries(answer.json()["credentials"])["status"] == "expiring"
    assert await shop.rows(RUNS) == [("queued",)]


@pytest.mark.parametrize("before", [False, True])
@pytest.mark.parametrize("kind", ["revoked", "expired", "test", "nonsense"])
async def test_a_rejected_key_changes_nothing(shop: Shop, sandbox: httpx.AsyncClient, kind: str, before: bool):
    if before:
        await shop.give_key()
        await shop.sync()
    was = await everything(shop)
    key = {
        "revoked": shop.key(),
        "expired": shop.key(expires_at=datetime.now(UTC) - timedelta(hours=1)),
        "test": shop.key(token_type="test"),
        "nonsense": "nonsense",
    }[kind]
    if kind == "revoked":
        await sandbox.post("/faults", json={"kind": "unauthorized", "seller_id": str(shop.seller_id)})

    answer = await shop.give_key(key)

    assert (answer.status_code, answer.json()["code"]) == (422, "credentials_rejected")
    assert [error["field"] for error in answer.json()["errors"]] == ["wildberries_api_key"]
    assert key not in answer.text
    assert await everything(shop) == was


@pytest.mark.parametrize("body", [{}, {"wildberries_api_key": ""}, {"wildberries_api_key": None}, {"wildberries_api_key": 5},
                                  {"wildberries_api_key": "x" * 8193}, {"wildberries_api_key": "nul \0"}, {"wildberries_key": "x"}])  # fmt: skip
async def test_a_body_without_a_usable_key_is_refused(shop: Shop, body: dict[str, Any]):
    was = await everything(shop)

    answer = await shop.call("PATCH", "/tenants/me/credentials", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert await everything(shop) == was


@pytest.mark.parametrize(("body", "field"), [
    ({"ozon_client_id": "1234567"}, "ozon_api_key"),
    ({"ozon_api_key": "a-key-of-ozon"}, "ozon_client_id"),
    ({"ozon_client_id": "0123", "ozon_api_key": "a-key-of-ozon"}, "ozon_client_id"),
    ({"ozon_client_id": "-5", "ozon_api_key": "a-key-of-ozon"}, "ozon_client_id"),
    ({"ozon_client_id": "1" * 20, "ozon_api_key": "a-key-of-ozon"}, "ozon_client_id"),
    ({"ozon_client_id": 1234567, "ozon_api_key": "a-key-of-ozon"}, "ozon_client_id"),
    ({"ozon_client_id": "1234567", "ozon_api_key": ""}, "ozon_api_key"),
    ({"wildberries_api_key": "good", "ozon_client_id": "1234567"}, "ozon_api_key"),
    ({"ozon_client_id": "1234567", "ozon_api_key": "a-key-of-ozon", "ozon_access_token": "a-token"}, "ozon_access_token"),
])  # fmt: skip
async def test_half_of_an_ozon_key_is_refused_by_the_name_of_what_is_missing(shop: Shop, body: dict[str, Any], field: str):
    if body.get("wildberries_api_key"):
        body = {**body, "wildberries_api_key": shop.key()}

    answer = await shop.call("PATCH", "/tenants/me/credentials", json=body)

    assert (answer.status_code, answer.json()["code"]) == (422, "validation_failed")
    assert [error["field"] for error in answer.json()["errors"]] == [field]
    assert (await shop.rows(STORED))[0][0] is None


async def test_unverified_keys_are_stored_on_request_and_checked_by_the_next_sync(shop: Shop, sandbox: httpx.AsyncClient):
    answer = await shop.give_key(verify=False)

    assert wildberries(answer.json()["credentials"])["status"] == "unverified"
    assert (await sandbox.get("/requests")).json() == {}
    assert await shop.rows(RUNS) == []
    await shop.sync()
    assert wildberries(await shop.expect(200, "GET", "/tenants/me/credentials"))["status"] == "valid"


async def test_an_unreachable_marketplace_does_not_keep_a_seller_from_giving_the_key(shop: Shop, nobody_answers: Any):
    answer = await shop.give_key()

    assert answer.status_code == 200
    told = wildberries(answer.json()["credentials"])
    assert (told["status"], told["verified_at"]) == ("unverified", None)
    assert await shop.rows(RUNS) == []
    assert (await shop.rows(STORED))[0][1] is not None
    nobody_answers()
    assert (await shop.sync())["status"] == "succeeded"
    told = wildberries(await shop.expect(200, "GET", "/tenants/me/credentials"))
    assert told["status"] == "valid"
    assert told["verified_at"] is not None


async def test_checking_a_good_key_says_when_it_was_checked(shop: Shop):
    await shop.give_key(verify=False)

    told = await shop.expect(200, "POST", "/tenants/me/credentials/wildberries/verify")

    assert (told["status"], told["configured"]) == ("valid", True)
    assert told["verified_at"] >= told["updated_at"]


async def test_checking_a_revoked_key_stops_the_schedule_and_tells_it_once(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key()
    await shop.sync()
    await sandbox.post("/faults", json={"kind": "unauthorized", "times": 2})

    first = await shop.expect(200, "POST", "/tenants/me/credentials/wildberries/verify")
    second = await shop.expect(200, "POST", "/tenants/me/credentials/wildberries/verify")

    assert (first["status"], second["status"]) == ("invalid", "invalid")
    assert (await shop.rows(STORED))[0][1] is None
    assert await shop.rows(EVENTS) == [("credentials.invalid",)]


async def test_a_key_that_is_accepted_again_goes_back_on_schedule(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key()
    await sandbox.post("/faults", json={"kind": "unauthorized"})
    await shop.call("POST", "/tenants/me/credentials/wildberries/verify")

    told = await shop.expect(200, "POST", "/tenants/me/credentials/wildberries/verify")

    assert told["status"] == "valid"
    assert (await shop.rows(STORED))[0][1] is not None


async def test_a_sync_that_goes_through_with_a_rejected_key_makes_it_valid_and_puts_it_back_on_schedule(
    shop: Shop, sandbox: httpx.AsyncClient
):
    await shop.give_key()
    await shop.sync()
    await sandbox.post("/faults", json={"kind": "unauthorized"})
    await shop.call("POST", "/tenants/me/credentials/wildberries/verify")

    await shop.sync()

    assert wildberries(await shop.expect(200, "GET", "/tenants/me/credentials"))["status"] == "valid"
    assert (await shop.rows(STORED))[0][1] is not None


async def test_a_sync_confirms_an_unverified_key_that_ends_soon_as_expiring(shop: Shop):
    await shop.give_key(shop.key(products=2, expires_at=datetime.now(UTC) + timedelta(days=3)), verify=False)

    await shop.sync()

    assert wildberries(await shop.expect(200, "GET", "/tenants/me/credentials"))["status"] == "expiring"


async def test_the_syncs_of_a_day_are_the_daily_check_of_a_wildberries_key(shop: Shop, sandbox: httpx.AsyncClient):
    await shop.give_key()
    await shop.sync()
    await change_key(shop, "verified_at = now() - interval '25 hours'")
    before = (await shop.rows(FACTS))[0][2]

    await shop.sync()

    assert (await shop.rows(FACTS))[0][2] > before + timedelta(hours=24)
    asked = (await sandbox.get("/requests", params={"seller_id": str(shop.seller_id)})).json()
    assert asked["GET /ping"] == {"200": 1}


async def test_an_unverified_key_that_is_found_good_starts_a_sync(shop: Shop):
    await shop.give_key(verify=False)

    await shop.expect(200, "POST", "/tenants/me/credentials/wildberries/verify")

    assert await shop.rows(RUNS) == [("queued",)]


async def test_a_check_that_nobody_answers_changes_nothing(shop: Shop, nobody_answers: Any):
    await shop.give_key()
    was = await everything(shop)

    answer = await shop.call("POST", "/tenants/me/credentials/wildberries/verify")

    assert answer.status_code in (502, 503), answer.text
    assert answer.json()["code"] == "marketplace_unavailable"
    assert await everything(shop) == was


@pytest.mark.parametrize("provider", ["wildberries", "ozon", "google"])
@pytest.mark.parametrize(("method", "path"), [("POST", "/verify"), ("DELETE", "")])
async def test_a_key_that_is_not_there_can_be_neither_checked_nor_taken_back(shop: Shop, provider: str, method: str, path: str):
    answer = await shop.call(method, f"/tenants/me/credentials/{provider}{path}")

    assert (answer.status_code, answer.json()["code"]) == (409, "credentials_missing")
    assert provider in answer.json()["detail"]


async def test_an_unknown_provider_is_no_server_error(shop: Shop):
    answer = await shop.call("POST", "/tenants/me/credentials/ebay/verify")

    assert answer.status_code in (404, 422), answer.text


async def test_taking_a_key_back_ends_its_sync_and_its_schedule(shop: Shop):
    await shop.give_key()

    await shop.expect(204, "DELETE", "/tenants/me/credentials/wildberries")

    assert await shop.rows(STORED) == [(None, None)]
    assert await shop.rows(FACTS) == []
    assert await shop.rows(RUNS) == [("cancelled",)]
    assert (await shop.call("DELETE", "/tenants/me/credentials/wildberries")).status_code == 409
    assert (await shop.call("POST", "/sync", json={})).json()["code"] == "credentials_missing"


async def test_a_key_stays_with_its_tenant(shop: Shop, other_shop: Shop):
    await shop.give_key()

    listed = await other_shop.expect(200, "GET", "/tenants/me/credentials")

    assert not any(item["configured"] for item in listed)


async def test_a_key_is_in_no_answer_no_log_line_no_row_and_not_in_redis(shop: Shop, settings: Settings, sandbox: httpx.AsyncClient):
    logged = io.StringIO()
    configure_logs(type("Loud", (), {"log_level": "debug", "log_format": "json"})(), logged)
    key = shop.key(products=5)
    answers = [await shop.give_key(key), await shop.call("GET", "/tenants/me/credentials")]
    run = await shop.sync()
    await sandbox.post("/faults", json={"kind": "unauthorized"})
    answers.append(await shop.call("POST", "/tenants/me/credentials/wildberries/verify"))
    await sandbox.post("/faults", json={"kind": "unauthorized"})
    answers.append(await shop.give_key(key))
    configure_logs(settings)

    seen = logged.getvalue() + repr(run) + "".join(answer.text for answer in answers)
    tables = await shop.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND $1::uuid IS NOT NULL")
    for (table,) in tables:
        seen += repr(await shop.rows(f"SELECT * FROM {table} WHERE $1::uuid IS NOT NULL"))
    seen += (await everything_in_redis()).decode(errors="replace")

    assert "run.finished" in seen
    assert len(tables) > 10
    for secret in (key, key.split(".")[1], key.split(".")[2]):
        assert secret not in seen


@pytest.mark.parametrize(
    ("token_type", "least", "words"),
    [
        ("personal", 30, "обновляет отчёты раз в 30 минут"),
        ("base", 180, "С ключом этого типа Wildberries отдаёт часть данных раз в 180 минут"),
    ],
)
async def test_a_key_says_how_often_a_sync_is_of_use_with_it_and_why_not_more_often(shop: Shop, token_type: str, least: int, words: str):
    await shop.give_key(shop.key(products=5, token_type=token_type))

    at_ease = await told(shop)
    await shop.expect(200, "PATCH", "/tenants/me", json={"sync_interval_minutes": 5})
    in_a_hurry = await told(shop)
    await shop.expect(200, "PATCH", "/tenants/me", json={"sync_interval_minutes": 1440})
    idle = await told(shop)

    assert {at_ease["least_sync_interval_minutes"], in_a_hurry["least_sync_interval_minutes"]} == {least}
    assert (at_ease["sync_interval_note"] is None) is (least == 30)
    assert words in in_a_hurry["sync_interval_note"]
    assert idle["sync_interval_note"] is None
    assert (await shop.expect(200, "GET", "/tenants/me"))["effective_sync_interval_minutes"] == 1440


async def test_a_better_key_is_used_more_often_at_once(shop: Shop):
    await shop.give_key(shop.key(products=5, token_type="base"))
    await shop.expect(200, "PATCH", "/tenants/me", json={"language": "en"})
    slow, why = await shop.expect(200, "GET", "/tenants/me"), (await told(shop))["sync_interval_note"]

    await shop.give_key(shop.key(products=5, token_type="service"))

    quick = await shop.expect(200, "GET", "/tenants/me")
    assert (slow["effective_sync_interval_minutes"], quick["effective_sync_interval_minutes"]) == (180, 30)
    assert why == "With a key of this type Wildberries gives some of the data once in 180 minutes, so there is nothing to load more often."
    assert datetime.fromisoformat(quick["next_sync_at"]) <= datetime.now(UTC) + timedelta(minutes=30)
