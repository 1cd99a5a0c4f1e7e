"""A seller gives a key on a one-time page."""

import asyncio
import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import httpx
import pytest

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.credentials import links, service
from app.credentials.connect.words import EN, LANGUAGES, RU, WORDS
from app.credentials.links import MOST_ATTEMPTS, MOST_OPEN
from app.credentials.retention import remove_old_links
from app.credentials.store import get_google_credentials, get_ozon_credentials, get_wildberries_credentials
from app.credentials.tables import Provider
from app.database import system_scope
from app.errors import Unavailable
from app.ids import new_id
from app.observability.logs import configure_logs
from app.sandbox.control import environment as marketplaces_at
from app.sandbox.ozon.keys import issue_ozon_key
from app.sandbox.tokens import Category
from app.settings import Settings, get_settings
from tests.application import Shop, everything_in_redis
from tests.credentials.google import EMAIL, SHEET, as_text
from tests.credentials.keys import told

pytestmark = pytest.mark.anyio

LINKS = "SELECT used_at IS NOT NULL, created_by, on_behalf_of FROM credential_links WHERE tenant_id = $1 ORDER BY created_at"
NOTED = "SELECT actor, on_behalf_of, action, facts FROM audit_log WHERE tenant_id = $1 AND action LIKE 'credentials.%' ORDER BY id"


async def link(shop: Shop, provider: str = "wildberries") -> str:
    """The path of a new one."""
    made = await shop.expect(201, "POST", "/tenants/me/credentials/links", json={"provider": provider})
    return httpx.URL(made["url"]).path


async def look(shop: Shop, path: str, method: str = "GET", **arguments: Any) -> httpx.Response:
    return await shop.client.request(method, f"http://test{path}", **arguments)


async def give(shop: Shop, path: str, headers: dict[str, str] | None = None, **fields: str) -> httpx.Response:
    return await shop.client.post(f"http://test{path}", data=fields, headers=headers)


class Markup(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


async def test_a_link_is_a_secret_address_that_ends_after_15_minutes(shop: Shop):
    answer = await shop.call("POST", "/tenants/me/credentials/links", json={"provider": "wildberries"})

    assert (answer.status_code, answer.headers["cache-control"]) == (201, "no-store")
    assert re.fullmatch(r"http://test/connect/[\w-]{43}", answer.json()["url"])
    assert await shop.rows("SELECT expires_at = created_at + interval '15 minutes' FROM credential_links WHERE tenant_id = $1") == [(True,)]
    token = answer.json()["url"].rpartition("/")[2]
    assert await shop.rows("SELECT token_hash FROM credential_links WHERE tenant_id = $1") == [(hashlib.sha256(token.encode()).digest(),)]


async def test_behind_a_proxy_the_address_is_the_public_one(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PUBLIC_URL", "https://stock.example.com")
    get_settings.cache_clear()

    made = await shop.expect(201, "POST", "/tenants/me/credentials/links", json={"provider": "ozon"})

    assert made["url"].startswith("https://stock.example.com/connect/")


@pytest.mark.parametrize("body", [{}, {"provider": "ebay"}, {"provider": None}, {"provider": "ozon", "more": 1}])
async def test_a_link_for_nobody_is_refused(shop: Shop, body: dict[str, Any]):
    answer = await shop.call("POST", "/tenants/me/credentials/links", json=body)

    assert (answer.status_code, await shop.rows(LINKS)) == (422, [])


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize("provider", list(Provider))
async def test_the_form_says_where_the_key_is_made_in_both_languages(shop: Shop, provider: Provider, language: Any):
    path = await link(shop, provider)

    page = await look(shop, f"{path}?lang={language}")

    words, markup = WORDS[language], Markup(page.text)
    assert page.status_code == 200
    assert ("html", {"lang": language}) in markup.tags
    for text in (words.title[provider], *words.steps[provider], *words.boxes[provider], words.submit):
        assert text in markup.text
    fields = [attributes for tag, attributes in markup.tags if tag in ("input", "textarea")]
    assert [field["name"] for field in fields] == [field.name for field in words.fields[provider]]
    assert all(field["autocomplete"] == "off" for field in fields)


async def test_the_tenants_language_comes_first_and_the_other_is_a_link_away(shop: Shop):
    path = await link(shop)

    page = await look(shop, path, headers={"Accept-Language": "en"})

    assert RU.title[Provider.WILDBERRIES] in page.text
    assert ("a", {"href": "?lang=en", "hreflang": "en", "lang": "en"}) in Markup(page.text).tags


async def test_nothing_on_the_page_is_from_elsewhere_and_nothing_runs(shop: Shop):
    page = await look(shop, await link(shop))

    style = re.findall(r"<style>(.*?)</style>", page.text, re.DOTALL)[0]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.split(" ", 1) for part in page.headers["content-security-policy"].split("; "))
    assert policy == {
        "default-src": "'none'", "style-src": f"'sha256-{digest}'", "form-action": "'self'", "frame-ancestors": "'none'", "base-uri": "'none'",
    }  # fmt: skip
    tags = Markup(page.text).tags
    assert not {tag for tag, _ in tags} & {"script", "img", "link", "iframe", "object", "base"}
    assert not [name for _, attributes in tags for name in attributes if name.startswith("on") or name in ("src", "style")]
    assert not re.findall(r"url\(|@import|https?://", style)
    assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")
    assert page.headers["x-robots-tag"].startswith("noindex")
    assert page.headers["content-type"] == "text/html; charset=utf-8"


async def test_a_good_key_is_stored_as_its_owner_would_and_the_link_is_used_up(shop: Shop):
    path, key = await link(shop), shop.key(products=5)

    page = await give(shop, path, wildberries_api_key=f"  {key}\r\n")

    assert page.status_code == 200, page.text
    assert RU.accepted_title in page.text
    assert (await get_wildberries_credentials(shop.tenant_id)).api_key.reveal() == key
    assert (await told(shop))["status"] == "valid"
    [(used, created_by, _)] = await shop.rows(LINKS)
    assert used
    noted = await shop.rows(NOTED)
    assert {actor for actor, *_ in noted} == {created_by}
    assert [action for _, _, action, _ in noted] == ["credentials.link_created", "credentials.link_used", "credentials.updated"]
    assert await shop.rows("SELECT trigger FROM sync_runs WHERE tenant_id = $1") == [("credentials",)]


async def test_looking_does_not_use_it_up(shop: Shop):
    path = await link(shop)

    seen = [
        (await look(shop, path, method, headers={"User-Agent": "TelegramBot (like TwitterBot)"})).status_code
        for method in ("HEAD", "GET", "HEAD", "GET")
    ]

    assert seen == [200, 200, 200, 200]
    assert (await give(shop, path, wildberries_api_key=shop.key())).status_code == 200


async def test_a_link_that_does_not_work_looks_the_same_whatever_the_reason(shop: Shop):
    used, over, taken, unknown = await link(shop), await link(shop), await link(shop), f"/connect/{'A' * 43}"
    await give(shop, used, wildberries_api_key=shop.key())
    async with system_scope() as connection:
        ends = "UPDATE credential_links SET expires_at = now() - interval '1 second' WHERE token_hash = $1"
        await connection.execute(ends, hashlib.sha256(over.rpartition("/")[2].encode()).digest())
        await connection.execute(
            "DELETE FROM credential_links WHERE token_hash = $1", hashlib.sha256(taken.rpartition("/")[2].encode()).digest()
        )

    for path in (used, over, taken, unknown, "/connect/nonsense", "/connect/%D1%8F%00", f"/connect/{'x' * 3000}"):
        pages = [await look(shop, path), await give(shop, path, wildberries_api_key=shop.key())]

        assert [page.status_code for page in pages] == [404, 404], path
        assert len({page.text for page in pages}) == 1
        assert RU.gone_title in pages[0].text
        assert (await look(shop, path, "HEAD")).status_code == 404
    assert EN.gone_title in (await look(shop, unknown, headers={"Accept-Language": "en-GB,en;q=0.9"})).text


async def test_a_rejected_key_says_why_and_may_be_tried_again(shop: Shop):
    path = await link(shop)

    rejected = await give(shop, path, wildberries_api_key="this is a marked secret")
    english = await give(shop, f"{path}?lang=en", wildberries_api_key=shop.key(token_type="test"))
    accepted = await give(shop, path, wildberries_api_key=shop.key())

    assert (rejected.status_code, english.status_code, accepted.status_code) == (422, 422, 200)
    assert "Это не может быть ключом Wildberries" in rejected.text
    assert EN.rejected_title in english.text
    assert "marked" not in rejected.text


async def test_keys_can_not_be_tried_for_ever(shop: Shop):
    path = await link(shop)

    tried = [(await give(shop, path, wildberries_api_key="not a key")).status_code for _ in range(MOST_ATTEMPTS + 1)]

    assert tried == [422] * MOST_ATTEMPTS + [404]
    assert (await look(shop, path)).status_code == 404
    assert await shop.rows(LINKS) == []


async def test_of_two_keys_sent_at_once_one_is_stored(shop: Shop):
    path, keys = await link(shop), [shop.key(products=1), shop.key(products=2)]

    pages = await asyncio.gather(*(give(shop, path, wildberries_api_key=key) for key in keys))

    assert sorted(page.status_code for page in pages) == [200, 404]
    winner = next(key for key, page in zip(keys, pages, strict=True) if page.status_code == 200)
    assert (await get_wildberries_credentials(shop.tenant_id)).api_key.reveal() == winner
    assert [action for _, _, action, _ in await shop.rows(NOTED)].count("credentials.updated") == 1


async def test_without_redis_a_key_is_taken_all_the_same(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    class Away:
        async def incr(self, name: str) -> int:
            raise ConnectionError("nobody answers")

    path = await link(shop)
    monkeypatch.setattr(links, "get_redis", Away)

    page = await give(shop, path, wildberries_api_key=shop.key())

    assert page.status_code == 200


async def test_where_the_database_is_away_the_page_says_so_and_the_link_stays(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("The database does not answer.")

    path = await link(shop)
    with monkeypatch.context() as broken:
        broken.setattr(service, "update_credentials", away)
        page = await give(shop, path, wildberries_api_key=shop.key())

    assert (page.status_code, RU.failed_title in page.text) == (503, True)
    assert (await give(shop, path, wildberries_api_key=shop.key())).status_code == 200


async def test_links_that_ended_long_ago_are_removed(shop: Shop):
    kept, old = await link(shop), await link(shop)
    ended = "UPDATE credential_links SET id = $2, expires_at = now() - interval '25 hours' WHERE token_hash = $1"
    async with system_scope() as connection:
        await connection.execute(ended, hashlib.sha256(old.rpartition("/")[2].encode()).digest(), UUID(int=1))
        batch = await remove_old_links(connection, None)

    assert batch.removed == 1
    assert (await look(shop, kept)).status_code == 200


async def test_a_key_that_lacks_a_category_is_stored_and_what_is_missing_is_said(shop: Shop):
    page = await give(shop, await link(shop), wildberries_api_key=shop.key(categories=[Category.CONTENT]))

    assert page.status_code == 200
    assert "Ключ Wildberries не позволяет загружать" in page.text


async def test_where_the_marketplace_is_away_the_key_is_kept_unverified(shop: Shop, settings: Settings, monkeypatch: pytest.MonkeyPatch):
    path = await link(shop)
    for name in marketplaces_at(""):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    get_settings.cache_clear()

    page = await give(shop, path, wildberries_api_key=shop.key())

    assert RU.unverified_title in page.text
    assert (await told(shop))["status"] == "unverified"
    assert [used for used, *_ in await shop.rows(LINKS)] == [True]


async def test_an_ozon_shop_is_connected_by_number_and_key(shop: Shop):
    path = await link(shop, "ozon")

    half = await give(shop, path, ozon_client_id="123 45", ozon_api_key="")
    wrong = await give(shop, path, ozon_client_id='12"><b>5', ozon_api_key="a marked secret")
    page = await give(shop, path, ozon_client_id=" 1234567 ", ozon_api_key=issue_ozon_key(1234567, products=3))

    assert (half.status_code, wrong.status_code, page.status_code) == (422, 422, 200), page.text
    assert 'value="123 45"' in half.text
    assert RU.empty in half.text
    assert RU.fields[Provider.OZON][0].wrong in wrong.text
    assert "<b>5" not in wrong.text
    assert "marked" not in wrong.text
    assert (await get_ozon_credentials(shop.tenant_id)).client_id == "1234567"
    assert "1234567" in page.text


async def test_a_spreadsheet_is_connected_by_address_and_file(shop: Shop):
    path = await link(shop, "google")

    wrong = await give(shop, path, google_sheet_id="https://example.com/", google_credentials_json=as_text())
    rejected = await give(shop, path, google_sheet_id=SHEET, google_credentials_json=as_text(type="authorized_user"))
    page = await give(
        shop, path, google_sheet_id=f"https://docs.google.com/spreadsheets/d/{SHEET}/edit#gid=0", google_credentials_json=as_text()
    )

    assert (wrong.status_code, rejected.status_code, page.status_code) == (422, 422, 200), page.text
    assert RU.fields[Provider.GOOGLE][0].wrong in wrong.text
    assert "service_account" in rejected.text
    stored = await get_google_credentials(shop.tenant_id)
    assert (stored.sheet_id, stored.account.client_email) == (SHEET, EMAIL)
    assert "PRIVATE KEY" not in page.text + wrong.text + rejected.text


async def test_markup_in_a_companys_name_stays_text(shop: Shop):
    name = """<script>alert(1)</script>"'&$style ${body}"""
    await shop.expect(200, "PATCH", "/tenants/me", json={"name": name})
    path = await link(shop)

    pages = [
        await look(shop, path),
        await give(shop, path, wildberries_api_key="nonsense"),
        await give(shop, path, wildberries_api_key=shop.key()),
    ]

    for page in pages:
        markup = Markup(page.text)
        assert "script" not in {tag for tag, _ in markup.tags}
        assert name in markup.text


@pytest.mark.parametrize(("headers", "status"), [
    ({"Origin": "https://evil.example"}, 404),
    ({"Origin": "nonsense"}, 404),
    ({"Origin": ""}, 404),
    ({"Origin": "https://test"}, 200),
    ({"Sec-Fetch-Site": "cross-site", "Origin": "null"}, 404),
    ({"Sec-Fetch-Site": "same-site"}, 404),
    ({"Origin": "null", "Sec-Fetch-Site": "same-origin"}, 200),
    ({"Origin": "http://test"}, 200),
    ({}, 200),
])  # fmt: skip
async def test_a_form_that_another_site_sends_is_not_taken(shop: Shop, headers: dict[str, str], status: int):
    path = await link(shop)

    page = await give(shop, path, headers, wildberries_api_key=shop.key())

    assert page.status_code == status
    assert (await told(shop))["configured"] is (status == 200)


@pytest.mark.parametrize("body", [
    b"", b"nonsense", b"wildberries_api_key", b"wildberries_api_key=%FF%FE", "wildberries_api_key=ключ".encode(), b"a=1&" * 500, b"\0\0\0",
    b"ozon_api_key=x&ozon_client_id=5", urlencode({"wildberries_api_key": "\0"}).encode(),
])  # fmt: skip
async def test_a_body_that_no_form_sends_is_an_empty_form(shop: Shop, body: bytes):
    path = await link(shop)

    page = await look(shop, path, "POST", content=body, headers={"Content-Type": "application/x-www-form-urlencoded"})

    assert (page.status_code, RU.empty in page.text) == (422, True)


async def test_a_body_that_is_too_large_is_refused_with_a_page(shop: Shop):
    path = await link(shop)

    page = await give(shop, path, wildberries_api_key="x" * MAX_AUTH_BODY_BYTES)

    assert (page.status_code, page.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert (await look(shop, path)).status_code == 200


async def test_of_many_links_the_newest_are_open(shop: Shop):
    paths = [await link(shop) for _ in range(MOST_OPEN + 2)]

    seen = [(await look(shop, path)).status_code for path in paths]

    assert seen == [404, 404] + [200] * MOST_OPEN


async def test_a_link_ends_with_what_its_maker_may_do(shop: Shop, other_shop: Shop):
    path = await link(shop)

    for change, back in (
        ("role = 'viewer'", "role = 'owner'"),
        (f"tenant_id = '{other_shop.tenant_id}'", f"tenant_id = '{shop.tenant_id}'"),
    ):
        async with system_scope() as connection:
            user = await connection.fetchval("SELECT user_id FROM memberships WHERE tenant_id = $1", shop.tenant_id)
            await connection.execute(f"UPDATE memberships SET {change} WHERE user_id = $1", user)
        assert (await look(shop, path)).status_code == 404
        async with system_scope() as connection:
            await connection.execute(f"UPDATE memberships SET {back} WHERE user_id = $1", user)
        assert (await look(shop, path)).status_code == 200


async def test_a_link_that_a_bot_made_ends_with_the_bots_own_link(shop: Shop):
    path, key_id = await link(shop), new_id()
    async with system_scope() as connection:
        await connection.execute(
            "INSERT INTO service_keys (id, name, secret_hash, created_at) VALUES ($1, $2, '', now())", key_id, f"bot {key_id}"
        )
        await connection.execute(
            "INSERT INTO service_links (id, service_key_id, tenant_id, linked_by, created_at) VALUES ($1, $2, $3, 'system', now())",
            new_id(), key_id, shop.tenant_id,
        )  # fmt: skip
        await connection.execute(
            "UPDATE credential_links SET on_behalf_of = created_by, created_by = $2 WHERE tenant_id = $1",
            shop.tenant_id,
            f"service:{key_id}",
        )
    linked = (await look(shop, path)).status_code
    async with system_scope() as connection:
        await connection.execute("UPDATE service_keys SET revoked_at = now() WHERE id = $1", key_id)
    revoked = (await look(shop, path)).status_code
    async with system_scope() as connection:
        await connection.execute("UPDATE service_keys SET revoked_at = NULL WHERE id = $1", key_id)
    await give(shop, path, wildberries_api_key=shop.key())

    assert (linked, revoked) == (200, 404)
    noted = {(actor, subject) for actor, subject, action, _ in await shop.rows(NOTED) if action != "credentials.link_created"}
    [(_, _, owner)] = await shop.rows(LINKS)
    assert noted == {(f"service:{key_id}", owner)}
    async with system_scope() as connection:
        await connection.execute("DELETE FROM service_links WHERE service_key_id = $1", key_id)
        await connection.execute("DELETE FROM service_keys WHERE id = $1", key_id)


async def test_neither_the_token_nor_the_key_stands_anywhere_else(shop: Shop, settings: Settings):
    logged = io.StringIO()
    configure_logs(type("Loud", (), {"log_level": "debug", "log_format": "json"})(), logged)
    path, key = await link(shop), shop.key(products=5)
    token = path.rpartition("/")[2]
    pages = [
        await look(shop, path),
        await give(shop, path, wildberries_api_key="nonsense"),
        await give(shop, path, wildberries_api_key=key),
    ]
    pages.append(await look(shop, path))
    pages.append(await look(shop, f"{path}/"))
    pages.append(await look(shop, path, "PUT"))
    configure_logs(settings)

    seen = logged.getvalue() + (await everything_in_redis()).decode(errors="replace")
    for (table,) in await shop.rows("SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND $1::uuid IS NOT NULL"):
        seen += repr(await shop.rows(f"SELECT * FROM {table} WHERE $1::uuid IS NOT NULL"))
    for secret in (token, key):
        assert secret not in seen
    assert all(key not in page.text for page in pages)
    assert [json.loads(line)["path"] for line in logged.getvalue().splitlines() if '"request"' in line].count("/connect/{token}") >= 3


async def test_an_address_that_gives_keys_again_and_again_is_told_to_wait_and_may_still_look(shop: Shop, monkeypatch: pytest.MonkeyPatch):
    path = await link(shop)
    monkeypatch.setenv("RATE_LIMIT_AUTH_PER_MINUTE", "2")
    get_settings.cache_clear()

    answers = [await give(shop, path, wildberries_api_key="no key") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [422, 422, 429]
    assert int(answers[2].headers["retry-after"]) > 0
    assert (await look(shop, path)).status_code == 200


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_a_method_that_the_page_has_not_repeats_no_token(shop: Shop, method: str):
    path = await link(shop)

    answer = await look(shop, path, method)

    assert answer.status_code == 405
    assert path.removeprefix("/connect/") not in answer.text


@pytest.mark.parametrize("provider", [Provider.WILDBERRIES, Provider.OZON])
def test_the_guide_names_the_cabinets_menus_as_the_page_does(provider: Provider):
    guide = (Path(__file__).parents[2] / "docs/marketplaces.md").read_text()

    for words in (RU, EN):
        [step] = [step for step in words.steps[provider] if "→" in step]
        menus = re.findall(r"[«“](.+?)[»”]", step)
        assert len(menus) == 2
        assert f"*{' → '.join(menus)}*" in guide
