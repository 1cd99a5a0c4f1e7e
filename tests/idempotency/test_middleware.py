"""The header as bots meet it: the first answer again, to the same caller, for the same request."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from app.credentials.service import verify_credentials
from app.database import database
from app.errors import TooManyRequests, Unavailable
from app.webhooks import service as webhook_service
from tests.application import Shop
from tests.auth.application import PASSWORD, Bot
from tests.idempotency.asking import HOOK, KEY, ask, changes_held_up, code, everything_kept_of, is_replay, kept, said, webhooks

pytestmark = pytest.mark.anyio


async def join(shop: Shop, role: str, email: str = "colleague@example.com") -> str:
    """The access token of one more member."""
    await shop.expect(201, "POST", "/tenants/me/users", json={"email": email, "password": PASSWORD, "role": role})
    return await sign_in(shop, email)


async def sign_in(shop: Shop, email: str) -> str:
    return (await shop.client.post("/auth/login", json={"email": email, "password": PASSWORD})).json()["access_token"]


async def test_the_same_request_again_gets_the_first_answer_and_does_nothing(shop: Shop) -> None:
    first = await ask(shop)

    again = await ask(shop)

    assert first.status_code == 201
    assert said(again) == said(first)
    assert (is_replay(first), is_replay(again)) == (False, True)
    assert again.headers["Cache-Control"] == first.headers["Cache-Control"] == "no-store"
    assert again.headers.keys() - first.headers.keys() == {"idempotency-replayed"}
    assert again.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert await webhooks(shop) == 1


@pytest.mark.parametrize(
    ("path", "body"), [("/webhooks", HOOK | {"description": "another"}), ("/sync", HOOK)], ids=["another body", "another address"]
)
async def test_another_request_with_the_key_is_refused(shop: Shop, path: str, body: object) -> None:
    first = await ask(shop)

    other = await ask(shop, path, body)

    assert code(other) == (409, "idempotency_key_reused")
    assert not is_replay(other)
    assert said(await ask(shop)) == said(first)


async def test_a_key_is_its_callers_own(shop: Shop, other_shop: Shop) -> None:
    colleague = await join(shop, "owner")

    mine, theirs, elsewhere = await ask(shop), await ask(shop, token=colleague), await ask(other_shop)

    assert {answer.status_code for answer in (mine, theirs, elsewhere)} == {201}
    assert len({answer.json()["secret"] for answer in (mine, theirs, elsewhere)}) == 3
    assert not any(is_replay(answer) for answer in (mine, theirs, elsewhere))


async def test_a_bot_gets_for_one_member_no_answer_of_another(shop: Shop) -> None:
    bot = await Bot.make(shop.client)
    seller = await bot.bring(12345)
    owner = Shop(shop.client, seller.tenant_id, shop.seller_id, seller.access_token)
    await owner.expect(201, "POST", "/tenants/me/users", json={"telegram_user_id": 777, "role": "owner"})
    colleague = (await bot.ask(777, tenant_id=str(seller.tenant_id))).json()["access_token"]

    for_the_one, for_the_other = await ask(owner), await ask(owner, token=colleague)

    assert (for_the_one.status_code, for_the_other.status_code) == (201, 201)
    assert for_the_one.json()["secret"] != for_the_other.json()["secret"]


async def test_who_renewed_the_tokens_is_the_same_caller(shop: Shop) -> None:
    first = await ask(shop)

    again = await ask(shop, token=await sign_in(shop, "tg12345@example.com"))

    assert said(again) == said(first)


async def test_who_may_no_longer_gets_no_former_answer(shop: Shop) -> None:
    colleague = await join(shop, "owner")
    assert (await ask(shop, token=colleague)).status_code == 201
    user = next(each for each in (await shop.expect(200, "GET", "/tenants/me/users"))["items"] if each["email"] == "colleague@example.com")
    await shop.expect(200, "PATCH", f"/tenants/me/users/{user['id']}", json={"role": "viewer"})

    with_the_former_token = await ask(shop, token=colleague)
    with_a_new_one = await ask(shop, token=await sign_in(shop, "colleague@example.com"))

    assert code(with_the_former_token) == (401, "not_authenticated")
    assert code(with_a_new_one) == (403, "forbidden")


async def test_what_is_no_key_is_refused_and_named(shop: Shop) -> None:
    for key in (b"", b"two words", b"tab\there", "ключ".encode(), b"\x7f", b"k" * 256, b"k" * 20_000):
        answer = await ask(shop, key=key)

        assert code(answer) == (422, "validation_failed"), key
        assert [error["field"] for error in answer.json()["errors"]] == ["Idempotency-Key"], key
    assert (await webhooks(shop), await kept(shop)) == (0, [])


async def test_two_keys_are_none(shop: Shop) -> None:
    headers = [("Authorization", f"Bearer {shop.access_token}"), ("Idempotency-Key", "a"), ("Idempotency-Key", "a")]

    answer = await shop.client.post("/webhooks", json=HOOK, headers=headers)

    assert code(answer) == (422, "validation_failed")


async def test_a_key_is_any_visible_text(shop: Shop) -> None:
    keys = ("k", "k" * 255, '"8e03978e"', "~!@#$%^&*()", "K")

    answers = [[await ask(shop, key=key) for _ in range(2)] for key in keys]

    assert all(said(again) == said(first) for first, again in answers)
    assert await webhooks(shop) == len(keys)


async def test_where_no_key_is_taken_it_does_nothing(shop: Shop) -> None:
    bot = await Bot.make(shop.client)
    by_service = {"Authorization": f"Bearer {bot.key.reveal()}", "Idempotency-Key": KEY}
    body = {"telegram_user_id": 1, "company_name": "Romashka", "marketplace_type": "ozon"}

    patched = [await ask(shop, "/tenants/me", {"name": name}, method="PATCH") for name in ("Romashka", "Vasilyok")]
    brought = [await shop.client.post("/auth/telegram", json=body, headers=by_service) for _ in range(2)]
    switched = [await ask(shop, "/auth/switch-tenant", {"tenant_id": str(shop.tenant_id)}) for _ in range(2)]

    assert [answer.json()["name"] for answer in patched] == ["Romashka", "Vasilyok"]
    assert [answer.status_code for answer in brought] == [201, 200]
    assert len({answer.json()["refresh_token"] for answer in switched}) == 2
    assert await kept(shop) == []


async def test_a_refusal_of_the_request_is_its_answer(shop: Shop) -> None:
    missing, wrong = await ask(shop, "/sync", {}, "a"), await ask(shop, "/webhooks", {"url": 5}, "b")
    (await shop.give_key()).raise_for_status()

    missing_again, wrong_again = await ask(shop, "/sync", {}, "a"), await ask(shop, "/webhooks", {"url": 5}, "b")

    assert (code(missing), code(wrong)) == ((409, "credentials_missing"), (422, "validation_failed"))
    assert (said(missing_again), said(wrong_again)) == (said(missing), said(wrong))
    assert is_replay(missing_again)
    assert is_replay(wrong_again)


async def test_what_may_succeed_later_is_tried_again(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    for done, (error, status) in enumerate(((Unavailable("Away."), 503), (TooManyRequests("Later."), 429), (KeyError("ours"), 500)), 1):

        async def fail(*_: object, error: Exception = error) -> None:
            raise error

        with monkeypatch.context() as broken:
            broken.setattr(webhook_service, "check_url", fail)
            failed = await ask(shop, key=str(status))
        at_last = await ask(shop, key=str(status))

        assert failed.status_code == status
        assert (at_last.status_code, is_replay(at_last)) == (201, False)
        assert await webhooks(shop) == done


async def test_what_a_bot_may_not_is_asked_anew(shop: Shop) -> None:
    seller = await (await Bot.make(shop.client)).bring()
    body = {"current_password": PASSWORD, "new_password": "another horse battery staple"}
    owner = Shop(shop.client, seller.tenant_id, shop.seller_id, seller.access_token)

    answers = [await ask(owner, "/auth/password", body) for _ in range(2)]

    assert [code(answer) for answer in answers] == [(403, "forbidden")] * 2
    assert not any(is_replay(answer) for answer in answers)


async def test_while_the_first_is_under_way_others_hear_so(shop: Shop) -> None:
    async with changes_held_up(shop) as held:
        first = await held.begin(ask(shop))
        second = await held.beside(ask(shop))
        different = await held.beside(ask(shop, body=HOOK | {"description": "another"}))

    assert code(second) == (409, "idempotency_request_in_progress")
    assert second.headers["Retry-After"] == "1"
    assert code(different) == (409, "idempotency_key_reused")
    assert (await first).status_code == 201
    assert said(await ask(shop)) == said(await first)


async def test_neither_what_was_asked_nor_the_answer_can_be_read_where_it_is_kept(shop: Shop) -> None:
    member = {"email": "marked@example.com", "password": "marked horse battery", "role": "viewer"}

    hook, _ = await ask(shop, key="a"), await ask(shop, "/tenants/me/users", member, "marked-key")

    everything = await everything_kept_of(shop.tenant_id)
    assert len(await kept(shop)) == 2
    for secret in (hook.json()["secret"], hook.json()["id"], "marked"):
        assert secret not in everything


async def test_a_request_without_a_key_costs_no_trip_to_the_database(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    trips = 0
    acquire: Callable[[], Any] = database.acquire

    async def count() -> Any:
        nonlocal trips
        trips += 1
        return await acquire()

    monkeypatch.setattr(database, "acquire", count)

    async def trips_of(asking: Any) -> int:
        nonlocal trips
        trips = 0
        assert (await asking).status_code == 201
        return trips

    await trips_of(shop.call("POST", "/webhooks", json=HOOK))  # which looks whether the session lives, once in a minute
    without, with_one = await trips_of(shop.call("POST", "/webhooks", json=HOOK)), await trips_of(ask(shop))

    assert (without, with_one) == (1, 3)


async def test_a_body_that_is_too_large_reserves_nothing(shop: Shop) -> None:
    answer = await ask(shop, body={"url": "x" * 1_100_000})

    assert code(answer) == (413, "body_too_large")
    assert await kept(shop) == []


async def test_what_is_done_is_told_though_it_could_not_be_kept(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (await shop.give_key()).raise_for_status()
    acquire: Callable[[], Any] = database.acquire
    verified = False

    async def fail_in_the_end() -> Any:
        if verified:
            raise Unavailable("The database does not answer.")
        return await acquire()

    async def verify(*arguments: Any) -> Any:
        nonlocal verified
        answer = await verify_credentials(*arguments)
        verified = True
        return answer

    with monkeypatch.context() as broken:
        broken.setattr(database, "acquire", fail_in_the_end)
        broken.setattr("app.credentials.controllers.service.verify_credentials", verify)
        answer: httpx.Response = await ask(shop, "/tenants/me/credentials/wildberries/verify", None)

    assert (answer.status_code, answer.json()["status"]) == (200, "valid")
    assert code(await ask(shop, "/tenants/me/credentials/wildberries/verify", None)) == (409, "idempotency_request_in_progress")
