"""A revoked session is dead, whatever Redis knows, forgets, or can't be asked."""

from collections.abc import AsyncGenerator, Iterator
from contextlib import asynccontextmanager
from uuid import UUID

import httpx
import pytest

from app.api.roles import Caller, Role
from app.auth import liveness
from app.auth.liveness import LIVE_S, REVOKED_S, announce_revocation, has_untold, is_live, wait_until_told
from app.database import Connection, system_scope, tenant_scope
from app.ids import new_id
from app.rate_limits import sliding_window
from app.redis import get_redis, start_redis, stop_redis
from tests.auth.application import Seller, forget_sessions
from tests.redis_server import RedisServer

pytestmark = pytest.mark.anyio


@pytest.fixture
def server() -> Iterator[RedisServer]:
    """It keeps what it knows over a restart."""
    with RedisServer(durable=True) as server:
        yield server


@pytest.fixture
async def seller(client: httpx.AsyncClient, server: RedisServer) -> Seller:
    """A seller whose session is known to a Redis of this test's own, and not yet to have been used."""
    seller = await Seller.register(client)
    await stop_redis()
    start_redis(server.url)
    return seller


async def _status(seller: Seller) -> int:
    return (await seller.get("/auth/me")).status_code


def _caller(seller: Seller) -> Caller:
    return Caller(seller.user_id, seller.tenant_id, seller.session_id, Role.OWNER)


async def _known(session_id: UUID) -> tuple[bytes | None, int]:
    name = f"session:{session_id}"
    return await get_redis().get(name), await get_redis().ttl(name)


async def test_a_session_in_use_is_known_as_live_for_a_minute(seller: Seller) -> None:
    assert await _known(seller.session_id) == (None, -2)

    assert await _status(seller) == 200

    value, seconds = await _known(seller.session_id)
    assert value == b"live"
    assert 0 < seconds <= LIVE_S


async def test_a_known_session_is_not_looked_up_in_the_database(seller: Seller) -> None:
    await is_live(_caller(seller))
    async with system_scope() as connection:
        await connection.execute("UPDATE login_sessions SET revoked_at = now()")

    known = await is_live(_caller(seller))
    await get_redis().flushdb()
    forgotten = await is_live(_caller(seller))

    assert known
    assert not forgotten
    assert (await _known(seller.session_id))[0] == b"revoked"


async def test_a_revocation_is_remembered_for_longer_than_an_access_token_lives(seller: Seller) -> None:
    await _status(seller)

    await seller.logout()

    value, seconds = await _known(seller.session_id)
    assert value == b"revoked"
    assert 15 * 60 + 30 < seconds <= REVOKED_S
    assert await _status(seller) == 401


async def test_losing_all_of_redis_brings_no_revoked_token_back(seller: Seller) -> None:
    await _status(seller)
    await seller.logout()

    await get_redis().flushall()

    assert await _status(seller) == 401
    assert await _status(seller) == 401


async def test_with_redis_stopped_tokens_work_until_their_session_is_ended(seller: Seller, server: RedisServer) -> None:
    await _status(seller)
    server.kill()

    before = await _status(seller)
    logout = await seller.logout()
    after = await _status(seller)

    assert (before, logout.status_code, after) == (200, 204, 401)
    server.start()
    await forget_sessions()


async def test_with_redis_hanging_only_the_first_request_waits_for_it(seller: Seller, server: RedisServer) -> None:
    await _status(seller)
    server.freeze()

    statuses = [await _status(seller) for _ in range(3)]
    waits_until = sliding_window._away_until
    statuses.append(await _status(seller))

    assert statuses == [200] * 4
    assert sliding_window._away_until == waits_until > 0
    server.thaw()


async def test_a_redis_that_comes_back_with_an_old_opinion_is_not_believed_and_told(seller: Seller, server: RedisServer) -> None:
    await _status(seller)
    server.kill()
    await seller.logout()

    server.start()
    believed = await _status(seller)
    was_untold = has_untold()
    await wait_until_told()

    assert believed == 401
    assert (await _known(seller.session_id))[0] == b"revoked"
    assert (was_untold, has_untold()) == (True, False)
    assert await _status(seller) == 401


@pytest.mark.parametrize("asked_meanwhile", [True, False])
async def test_what_another_process_ended_while_redis_was_away_is_ended_here_too(
    seller: Seller, server: RedisServer, asked_meanwhile: bool
) -> None:
    await _status(seller)
    server.kill()
    if asked_meanwhile:
        await _status(seller)
    async with system_scope() as connection:
        await connection.execute("UPDATE login_sessions SET revoked_at = now()")

    server.start()
    assert (await _known(seller.session_id))[0] == b"live"
    sliding_window._away_until = 0.0
    await is_live(Caller(seller.user_id, seller.tenant_id, new_id(), Role.OWNER))

    assert await _status(seller) == 401
    assert (await _known(seller.session_id))[0] == b"revoked"


async def test_who_looked_before_a_revocation_and_writes_after_it_changes_nothing(seller: Seller, monkeypatch: pytest.MonkeyPatch) -> None:
    @asynccontextmanager
    async def revoked_meanwhile(tenant_id: UUID) -> AsyncGenerator[Connection]:
        async with tenant_scope(tenant_id) as connection:
            yield connection
        await announce_revocation(seller.session_id)

    with monkeypatch.context() as patched:
        patched.setattr(liveness, "tenant_scope", revoked_meanwhile)
        assert await is_live(_caller(seller))

    assert (await _known(seller.session_id))[0] == b"revoked"
    assert not await is_live(_caller(seller))


async def test_a_session_that_ran_out_is_not_live(seller: Seller) -> None:
    async with system_scope() as connection:
        await connection.execute("UPDATE login_sessions SET expires_at = now()")

    assert not await is_live(_caller(seller))


async def test_a_session_of_another_tenant_is_none(seller: Seller) -> None:
    forged = Caller(seller.user_id, UUID(int=1), seller.session_id, Role.OWNER)

    assert not await is_live(forged)
