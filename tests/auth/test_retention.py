"""Login sessions that are over go after a while."""

from datetime import UTC, datetime, timedelta

import pytest

from app.auth.retention import remove_old_sessions
from app.auth.sessions import Device, open_session
from app.auth.tables import User
from app.database import system_scope
from app.ids import new_id
from app.settings import get_settings
from tests.ages import grow_older, id_of_age, walk_through
from tests.factories import create_tenant

pytestmark = pytest.mark.anyio


async def sign_in() -> None:
    tenant_id, user_id = await create_tenant(), new_id()
    async with system_scope() as connection:
        await User(id=user_id, email=f"{user_id}@example.com", password_hash="x", created_at=datetime.now(UTC)).save()
        await open_session(connection, user_id, tenant_id, Device(None, None), get_settings().jwt_secrets)
    await grow_older("UPDATE login_sessions SET id = $1, created_at = now() - interval '200 days'", id_of_age(timedelta(days=200)))


async def sessions() -> int:
    async with system_scope() as connection:
        return await connection.fetchval("SELECT count(*) FROM login_sessions")


@pytest.mark.parametrize(
    ("change", "stays"),
    [
        ("expires_at = now() - interval '31 days'", False),
        ("expires_at = now() - interval '29 days'", True),
        ("revoked_at = now() - interval '31 days'", False),
        ("revoked_at = now() - interval '29 days'", True),
        ("expires_at = now() + interval '3 days'", True),
    ],
)
async def test_a_session_goes_a_month_after_its_end_and_stays_however_old_while_it_is_used(clean_database, change: str, stays: bool):
    await sign_in()
    await grow_older(f"UPDATE login_sessions SET {change}")

    await walk_through(remove_old_sessions)

    assert bool(await sessions()) is stays
