"""A seller's company: looked at, and changed within bounds."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.audit.tables import AuditEntry
from app.cache import get_cache
from app.database import system_scope
from app.ids import new_id
from app.marketplaces.contract import Marketplace
from app.runs.pauses import pause_syncs, resume_syncs
from app.tenants.rhythm import SEALED_KEY
from tests.auth.application import PASSWORD, Seller

pytestmark = pytest.mark.anyio

FRESH = {
    "name": "Romashka",
    "marketplace_type": "wildberries",
    "language": "ru",
    "time_zone": "Europe/Moscow",
    "google_sheet_id": None,
    "sync_enabled": True,
    "sync_interval_minutes": 30,
    "effective_sync_interval_minutes": 30,
    "sync_paused": False,
    "low_stock_threshold": 5,
    "digest_hour": None,
    "next_sync_at": None,
}


async def _set_next_sync(seller: Seller, at: datetime | None, interval_minutes: int = 60) -> None:
    async with system_scope() as connection:
        await connection.execute(
            "UPDATE tenants SET next_sync_at = $2, sync_interval_minutes = $3 WHERE id = $1", seller.tenant_id, at, interval_minutes
        )


def _in_minutes(answer: dict[str, Any]) -> float:
    return (datetime.fromisoformat(answer["next_sync_at"]) - datetime.now(UTC)) / timedelta(minutes=1)


async def test_a_fresh_tenant_has_the_usual_settings_and_no_turn_yet(seller: Seller) -> None:
    answer = await seller.get("/tenants/me")

    body = answer.json()
    assert answer.status_code == 200
    assert body.pop("id") == str(seller.tenant_id)
    assert body.pop("created_at") == body.pop("updated_at")
    assert body == FRESH


async def test_times_are_in_utc(seller: Seller) -> None:
    body = (await seller.get("/tenants/me")).json()

    assert body["created_at"].endswith("Z")
    assert abs(datetime.fromisoformat(body["created_at"]) - datetime.now(UTC)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    "change",
    [
        {"name": "ООО «Ромашка»"},
        {"language": "en"},
        {"time_zone": "Asia/Vladivostok"},
        {"sync_enabled": False},
        {"sync_interval_minutes": 5},
        {"sync_interval_minutes": 1440},
        {"low_stock_threshold": 0},
        {"low_stock_threshold": 1_000_000},
        {"digest_hour": 0},
        {"digest_hour": 23},
        {"name": "Both", "digest_hour": 9},
    ],
)
async def test_a_change_touches_what_it_names_and_nothing_else(seller: Seller, change: dict[str, Any]) -> None:
    before = (await seller.get("/tenants/me")).json()

    answer = await seller.patch("/tenants/me", change)

    after = answer.json()
    assert answer.status_code == 200
    assert after.pop("updated_at") > before.pop("updated_at")
    # Without a key nothing raises it.
    effective = change.get("sync_interval_minutes", before["effective_sync_interval_minutes"])
    assert after == {**before, **change, "effective_sync_interval_minutes": effective}
    assert (await seller.get("/tenants/me")).json().items() >= change.items()


async def test_the_digest_can_be_switched_off(seller: Seller) -> None:
    await seller.patch("/tenants/me", {"digest_hour": 9})

    answer = await seller.patch("/tenants/me", {"digest_hour": None})

    assert answer.json()["digest_hour"] is None


@pytest.mark.parametrize(
    "change",
    [
        {"name": None},
        {"name": ""},
        {"name": " "},
        {"name": "x" * 201},
        {"name": "a\0b"},
        {"language": "de"},
        {"language": None},
        {"time_zone": "Moscow"},
        {"time_zone": "europe/moscow"},
        {"time_zone": "../../etc/passwd"},
        {"time_zone": "Europe"},
        {"time_zone": "UTC+3"},
        {"time_zone": ""},
        {"time_zone": None},
        {"sync_enabled": 1},
        {"sync_enabled": None},
        {"sync_interval_minutes": 4},
        {"sync_interval_minutes": 1441},
        {"sync_interval_minutes": 30.5},
        {"sync_interval_minutes": "30"},
        {"sync_interval_minutes": None},
        {"low_stock_threshold": -1},
        {"low_stock_threshold": 1_000_001},
        {"low_stock_threshold": None},
        {"digest_hour": 24},
        {"digest_hour": -1},
        {"digest_hour": True},
        {"id": "019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e"},
        {"marketplace_type": "ozon"},
        {"next_sync_at": None},
        {"wb_credentials_encrypted": "x"},
    ],
)
async def test_a_wrong_field_is_named_and_nothing_changes(seller: Seller, change: dict[str, Any]) -> None:
    before = (await seller.get("/tenants/me")).json()

    answer = await seller.patch("/tenants/me", {"name": "Other", **change})

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"
    assert [error["field"] for error in answer.json()["errors"]] == list(change)
    assert (await seller.get("/tenants/me")).json() == before


async def test_a_change_of_nothing_is_a_mistake(seller: Seller) -> None:
    answer = await seller.patch("/tenants/me", {})

    assert answer.status_code == 422
    assert answer.json()["code"] == "validation_failed"


@pytest.mark.parametrize("body", [[], None, "name", [{"name": "x"}]])
async def test_a_body_that_is_no_object_is_refused(seller: Seller, body: object) -> None:
    assert (await seller.patch("/tenants/me", body)).status_code == 422


async def test_a_tenant_sees_and_changes_only_itself(seller: Seller, rival: Seller) -> None:
    await seller.patch("/tenants/me", {"name": "Mine"})

    assert (await seller.get("/tenants/me")).json()["name"] == "Mine"
    assert (await rival.get("/tenants/me")).json()["name"] == "Romashka"
    assert (await rival.get("/tenants/me")).json()["id"] == str(rival.tenant_id)


async def test_a_viewer_looks_and_changes_nothing(seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("UPDATE memberships SET role = 'viewer'")
    answer = await seller.client.post("/auth/login", json={"email": seller.email, "password": PASSWORD})
    viewer = Seller.of(seller.client, seller.email, answer.json())

    assert (await viewer.get("/tenants/me")).status_code == 200
    assert (await viewer.patch("/tenants/me", {"name": "Taken over"})).status_code == 403
    assert (await viewer.get("/tenants/me")).json()["name"] == "Romashka"


async def test_without_a_token_there_is_no_tenant(seller: Seller) -> None:
    assert (await seller.client.get("/tenants/me")).status_code == 401
    assert (await seller.client.patch("/tenants/me", json={"name": "x"})).status_code == 401


async def test_a_shorter_interval_brings_the_next_sync_nearer(seller: Seller) -> None:
    await _set_next_sync(seller, datetime.now(UTC) + timedelta(minutes=50))

    answer = await seller.patch("/tenants/me", {"sync_interval_minutes": 10})

    assert 9 < _in_minutes(answer.json()) <= 10


async def test_a_longer_interval_leaves_the_next_sync_where_it_is(seller: Seller) -> None:
    planned = datetime.now(UTC) + timedelta(minutes=50)
    await _set_next_sync(seller, planned)

    answer = await seller.patch("/tenants/me", {"sync_interval_minutes": 1440})

    assert datetime.fromisoformat(answer.json()["next_sync_at"]) == planned


async def test_a_sync_that_is_switched_on_again_is_due_at_once_if_it_missed_its_turn(seller: Seller) -> None:
    await seller.patch("/tenants/me", {"sync_enabled": False})
    await _set_next_sync(seller, datetime.now(UTC) - timedelta(days=3))
    assert (await seller.get("/tenants/me")).json()["next_sync_at"] is None

    answer = await seller.patch("/tenants/me", {"sync_enabled": True})

    assert abs(_in_minutes(answer.json())) < 1


@pytest.mark.parametrize("change", [{"sync_interval_minutes": 5}, {"sync_enabled": True}])
async def test_without_a_key_no_change_makes_a_turn(seller: Seller, change: dict[str, Any]) -> None:
    answer = await seller.patch("/tenants/me", change)

    assert answer.json()["next_sync_at"] is None
    async with system_scope() as connection:
        assert await connection.fetchval("SELECT next_sync_at FROM tenants") is None


async def test_a_name_leaves_the_schedule_alone(seller: Seller) -> None:
    planned = datetime.now(UTC) + timedelta(days=2)
    await _set_next_sync(seller, planned)

    answer = await seller.patch("/tenants/me", {"name": "Other"})

    assert datetime.fromisoformat(answer.json()["next_sync_at"]) == planned


async def test_the_log_tells_who_changed_what(seller: Seller) -> None:
    await seller.patch("/tenants/me", {"name": "Other", "digest_hour": None})

    async with system_scope():
        (entry,) = await AuditEntry.select().where(AuditEntry.action == "tenant.updated").output(load_json=True)
    assert entry["actor"] == f"user:{seller.user_id}"
    assert entry["facts"] == {"name": "Other", "digest_hour": None}


async def test_answers_that_were_kept_for_the_tenant_are_forgotten(seller: Seller, rival: Seller) -> None:
    await get_cache().set(seller.tenant_id, "products:list", b"old")
    await get_cache().set(rival.tenant_id, "products:list", b"theirs")

    await seller.patch("/tenants/me", {"low_stock_threshold": 9})

    assert await get_cache().get(seller.tenant_id, "products:list") is None
    assert await get_cache().get(rival.tenant_id, "products:list") == b"theirs"


async def _give_key(seller: Seller, marketplace: Marketplace, least_minutes: int | None, status: str = "valid") -> None:
    """A key in the tenant's row, and what is known of it."""
    async with system_scope() as connection:
        await connection.execute(f"UPDATE tenants SET {SEALED_KEY[marketplace]} = 'sealed' WHERE id = $1", seller.tenant_id)
        await connection.execute(
            "INSERT INTO credentials (id, tenant_id, provider, status, masked, scopes, missing_scopes, shared, least_interval_minutes, updated_at) "
            "VALUES ($1, $2, $3, $4, '***', '{}', '{}', false, $5, now())",
            new_id(), seller.tenant_id, marketplace, status, least_minutes,
        )  # fmt: skip


WB, OZON = Marketplace.WILDBERRIES, Marketplace.OZON


@pytest.mark.parametrize(
    ("keys", "wish", "effective"),
    [([(WB, 30)], 5, 30), ([(WB, 180)], 30, 180), ([(WB, 180)], 1440, 1440), ([(WB, 30), (OZON, 5)], 5, 5), ([(WB, 180), (OZON, 5)], 60, 60),
     ([(WB, 180), (OZON, 5, "invalid")], 60, 180), ([(WB, None)], 5, 30), ([(OZON, None)], 5, 5)],
    ids=["refresh", "base token", "a slow wish", "two keys", "base token and ozon", "one key is rejected", "old wildberries key", "old ozon key"],
)  # fmt: skip
async def test_an_interval_that_no_key_can_use_is_kept_as_a_wish_and_the_answer_says_what_is_done(
    seller: Seller, keys: list[tuple[Any, ...]], wish: int, effective: int
) -> None:
    for key in keys:
        await _give_key(seller, *key)

    answer = await seller.patch("/tenants/me", {"sync_interval_minutes": wish})

    assert answer.status_code == 200
    assert (answer.json()["sync_interval_minutes"], answer.json()["effective_sync_interval_minutes"]) == (wish, effective)


async def test_a_shorter_wish_brings_the_next_turn_no_nearer_than_the_keys_can_use(seller: Seller) -> None:
    await _give_key(seller, WB, 180)
    await _set_next_sync(seller, datetime.now(UTC) + timedelta(hours=20), 1440)

    answer = await seller.patch("/tenants/me", {"sync_interval_minutes": 5})

    assert 179 < _in_minutes(answer.json()) <= 180


@pytest.mark.parametrize(
    ("own", "marketplace", "paused"),
    [(True, None, True), (True, WB, True), (True, OZON, False), (False, None, True), (False, WB, True), (False, OZON, False)],
    ids=["its own", "its own account", "an account that it has not", "all", "its marketplace", "the other marketplace"],
)  # fmt: skip
async def test_a_tenant_is_told_that_its_syncs_are_held_up(
    seller: Seller, own: bool, marketplace: Marketplace | None, paused: bool
) -> None:
    await _give_key(seller, WB, 30)
    tenant_id = seller.tenant_id if own else None

    await pause_syncs(tenant_id, marketplace)
    during = (await seller.get("/tenants/me")).json()["sync_paused"]
    await resume_syncs(tenant_id, marketplace)
    after = (await seller.get("/tenants/me")).json()["sync_paused"]

    assert (during, after) == (paused, False)
