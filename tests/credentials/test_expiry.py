"""Keys that end: who is warned, when, and how often."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.credentials import expiry
from app.credentials.expiry import look_at_expiries
from tests.application import Shop
from tests.credentials.keys import change_key, heard, told

pytestmark = pytest.mark.anyio

SCHEDULED = "SELECT next_sync_at IS NOT NULL FROM tenants WHERE id = $1"


async def ends_in(shop: Shop, interval: str) -> None:
    await change_key(shop, f"expires_at = now() + interval '{interval}'")


@pytest.mark.parametrize(
    ("interval", "days_left"), [("30 days", 30), ("29 days 1 hour", 30), ("8 days", 8), ("7 days", 7), ("2 days", 2), ("23 hours", 1)]
)
async def test_a_key_that_ends_soon_is_warned_of_once(shop: Shop, interval: str, days_left: int):
    await shop.give_key()
    await ends_in(shop, interval)

    looks = [await look_at_expiries() for _ in range(3)]

    assert looks == [1, 0, 0]
    [(name, data)] = await heard(shop)
    assert (name, data["provider"], data["days_left"]) == ("credentials.expiring", "wildberries", days_left)
    assert f"осталось дней: {days_left}" in data["message"]
    assert (await told(shop))["status"] == "expiring"


async def test_a_key_is_warned_of_thirty_seven_and_one_day_before_it_ends_and_then_called_ended(shop: Shop):
    await shop.give_key()

    for interval in ("31 days", "30 days", "20 days", "7 days", "3 days", "1 day", "1 hour", "-1 second", "-2 days"):
        await ends_in(shop, interval)
        await look_at_expiries()

    assert [(name, data.get("days_left")) for name, data in await heard(shop)] == [
        ("credentials.expiring", 30),
        ("credentials.expiring", 7),
        ("credentials.expiring", 1),
        ("credentials.invalid", None),
    ]


async def test_a_key_that_has_ended_is_invalid_told_once_and_no_longer_synced(shop: Shop):
    await shop.give_key()
    await ends_in(shop, "-1 second")

    looks = [await look_at_expiries() for _ in range(2)]

    assert looks == [1, 0]
    [(name, data)] = await heard(shop)
    assert name == "credentials.invalid"
    assert "истёк" in data["message"]
    assert (await told(shop))["status"] == "invalid"
    assert await shop.rows(SCHEDULED) == [(False,)]
    assert ("credentials.invalid",) in await shop.rows("SELECT action FROM audit_log WHERE tenant_id = $1")


async def test_a_new_key_is_warned_of_anew(shop: Shop):
    await shop.give_key(shop.key(expires_at=datetime.now(UTC) + timedelta(days=5)))
    await look_at_expiries()

    await shop.give_key(shop.key(expires_at=datetime.now(UTC) + timedelta(days=6)))
    await look_at_expiries()

    assert [data["days_left"] for _, data in await heard(shop)] == [5, 6]


async def test_a_check_of_the_same_key_repeats_no_warning(shop: Shop):
    await shop.give_key(shop.key(expires_at=datetime.now(UTC) + timedelta(days=5)))
    await look_at_expiries()

    await shop.expect(200, "POST", "/tenants/me/credentials/wildberries/verify")

    assert await look_at_expiries() == 0


async def test_a_key_that_nobody_could_check_stays_unverified_and_is_warned_of(shop: Shop):
    await shop.give_key(shop.key(expires_at=datetime.now(UTC) + timedelta(days=5)), verify=False)

    await look_at_expiries()

    assert [name for name, _ in await heard(shop)] == ["credentials.expiring"]
    assert (await told(shop))["status"] == "unverified"


async def test_who_chose_english_is_warned_in_english_by_the_date_of_the_tenants_time_zone(shop: Shop):
    await shop.expect(200, "PATCH", "/tenants/me", json={"language": "en", "time_zone": "Asia/Vladivostok"})
    await shop.give_key()
    await change_key(shop, "expires_at = (current_date + 5 + time '20:00') AT TIME ZONE 'UTC'")

    await look_at_expiries()

    [(_, data)] = await heard(shop)
    in_vladivostok = (datetime.fromisoformat(data["expires_at"]) + timedelta(hours=10)).date()
    assert f"The key for Wildberries ends on {in_vladivostok}" in data["message"]


async def test_many_schedulers_at_once_tell_each_seller_once(shop: Shop, other_shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(expiry, "BATCH", 1)
    for each in (shop, other_shop):
        await each.give_key()
        await ends_in(each, "5 days")

    await asyncio.gather(*(look_at_expiries() for _ in range(8)))
    while await look_at_expiries():
        pass

    assert [len(await heard(each)) for each in (shop, other_shop)] == [1, 1]
