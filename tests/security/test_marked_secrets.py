"""design: security, "Secrets": marked ones go in wherever a secret can, on good days of the marketplaces and on bad ones, and are looked for wherever anything comes out."""

from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from io import BytesIO
from typing import Any, get_args
from urllib.parse import urlencode
from uuid import UUID
from zipfile import ZipFile

import httpx
import pytest

from app.auth.service_keys import create_service_key, rotate_service_key
from app.database import system_scope
from app.marketplaces.contract import Marketplace
from app.sandbox.faults import FaultKind
from app.sandbox.ozon.keys import issue_ozon_key
from app.sandbox.tokens import issue_token
from app.settings import Settings, get_settings
from app.sync.runner import Runner
from app.webhooks.sender import close_sender, open_sender
from tests.application import Shop, everything_in_redis
from tests.auth.test_init_data import TOKEN, signed
from tests.credentials.google import SHEET, as_text, private_key

pytestmark = pytest.mark.anyio

PASSWORD, NEW_PASSWORD, WRONG_PASSWORD = "Marked-First-Password", "Marked-Second-Password", "Marked-Wrong-Password"
MALFORMED = "Marked.Malformed.Token-of-Wildberries"
FOREIGN_OZON_KEY = "aaaabbbb-marked-4222-8333-ozonmarked00"
OZON_CLIENT = 424242

# Which faults are worth their time here: each makes the marketplace say something else. The slow ones only say it later.
FAULTS = [kind for kind in get_args(FaultKind) if kind not in ("slow", "trickle")]

TABLES = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' AND table_type = 'BASE TABLE'"


class Hunt:
    """What went in and what came out."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self.client = client
        self.secrets: set[str] = set()
        self.heard: list[str] = []
        self.token = ""

    def mark(self, secret: str) -> str:
        """Known from now on. Of a token of several parts the last one says that it is this one."""
        self.secrets.add(secret.rpartition(".")[2])
        return secret

    async def call(
        self, method: str, path: str, *, shows_once: tuple[str, ...] = (), idempotency_key: str = "", **arguments: Any
    ) -> httpx.Response:
        """Whatever the answer is. What it shows for the only time is a secret of its own, and is cut out of it."""
        headers = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        headers |= {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        answer = await self.client.request(method, path, headers=headers, **arguments)
        text = answer.text
        for name in shows_once:
            if answer.is_success:
                text = text.replace(self.mark(answer.json()[name]), "…")
        self.heard += [text, str(answer.headers)]
        return answer

    async def sign_in(self, path: str, **body: Any) -> dict[str, Any]:
        self.token = ""
        answer = await self.call("POST", path, json=body, shows_once=("access_token", "refresh_token"))
        assert answer.is_success, answer.text
        self.token = answer.json()["access_token"]
        return answer.json()


async def dumped() -> list[str]:
    async with system_scope() as connection:
        rows: list[str] = []
        for [table] in await connection.fetch(TABLES):
            rows += [f"{table}: {row[0]}" for row in await connection.fetch(f"SELECT whole::text FROM {table} AS whole")]
    return rows


@pytest.fixture
async def sender(settings: Settings) -> AsyncIterator[None]:
    open_sender(settings)
    yield
    await close_sender()


@contextmanager
def nowhere_in(hunt: Hunt) -> Iterator[list[str]]:
    """Collect what came out; then no mark may be in it, and there must have been something to look at."""
    seen: list[str] = []
    yield seen
    assert len(hunt.secrets) > 20
    assert sum(map(len, seen)) > 10_000
    found = {
        (secret, text[max(0, text.find(secret) - 200) : text.find(secret) + 200])
        for secret in hunt.secrets
        for text in seen
        if secret in text
    }
    assert not found


async def bots_and_pages(hunt: Hunt) -> None:
    """A service key that is used, mistaken and replaced; and a page on which keys are given, wrong ones too, in ways that it doesn't know."""
    sellers_token, key = hunt.token, await create_service_key("marked-bot")
    for given in (key, await rotate_service_key("marked-bot", timedelta(hours=1))):
        hunt.mark(given.reveal().replace("_", "."))
        hunt.token = given.reveal()
        body = {"telegram_user_id": 77, "company_name": "Marked too", "marketplace_type": "ozon"}
        signed_in = await hunt.call("POST", "/auth/telegram", json=body, shows_once=("access_token", "refresh_token"))
        assert signed_in.is_success, signed_in.text
        await hunt.call("POST", "/auth/telegram", json={**body, "service_key": given.reveal()})
        await hunt.call("GET", "/products")
        hunt.token = given.reveal() + "0"
        await hunt.call("POST", "/auth/telegram", json=body)
    hunt.token = sellers_token
    made = await hunt.call(
        "POST", "/tenants/me/credentials/links", json={"provider": "google"}, shows_once=("url",), idempotency_key="page"
    )
    page = made.json()["url"]
    hunt.mark(page.rpartition("/")[2])
    account = as_text()
    hunt.mark(private_key().splitlines()[5])
    for method in ("GET", "PUT", "DELETE", "POST"):
        await hunt.call(method, page)
    for text in (account[:-2], account):
        await hunt.call("POST", page, data={"google_credentials_json": text, "google_sheet_id": SHEET})
        await hunt.call("PATCH", "/tenants/me/credentials", json={"google_credentials_json": text, "google_sheet_id": SHEET})


async def passwords_and_launches(hunt: Hunt, monkeypatch: pytest.MonkeyPatch) -> None:
    """A password that is changed, one that is given to a member, and launches of a Mini App, before and after the bot's token is there."""
    change = {"current_password": PASSWORD, "new_password": hunt.mark(NEW_PASSWORD)}
    for _ in range(2):
        await hunt.call("POST", "/auth/password", json=change, idempotency_key="change")
    member = {"email": "member@example.com", "password": hunt.mark("Marked-Members-Password"), "role": "viewer"}
    for body in (member, member, {**member, "role": "king"}):
        await hunt.call("POST", "/tenants/me/users", json=body, idempotency_key="member")
    launch = signed()
    hunt.mark(launch["hash"])
    hunt.mark(launch["signature"])
    for name, value in (("TELEGRAM_BOT_ID", ""), ("TELEGRAM_BOT_TOKEN", TOKEN.reveal())):
        monkeypatch.setenv(name, value)
        get_settings.cache_clear()
        await hunt.call("POST", "/auth/telegram/web-app", json={"init_data": urlencode(launch)})
    hunt.mark(TOKEN.reveal().partition(":")[2])


async def all_data(hunt: Hunt) -> None:
    """What an owner takes along."""
    export = await hunt.client.get("/tenants/me/export", headers={"Authorization": f"Bearer {hunt.token}"})
    with ZipFile(BytesIO(export.content)) as archive:
        hunt.heard += [archive.read(name).decode() for name in archive.namelist()]
    await hunt.call("GET", "/tenants/me/audit-log?limit=500")


async def test_no_marked_secret_comes_out_of_an_answer_a_log_an_event_redis_or_the_database(
    client: httpx.AsyncClient, sandbox: httpx.AsyncClient, sender: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hunt = Hunt(client)
    seller = {"email": "marked@example.com", "password": hunt.mark(PASSWORD)}
    await hunt.sign_in("/auth/register", **seller, company_name="Marked", marketplace_type="wildberries")
    tenant_id = UUID((await hunt.call("GET", "/tenants/me")).json()["id"])
    shop = Shop(client, tenant_id, UUID(int=7), hunt.token)

    await hunt.call("POST", "/auth/login", json={**seller, "password": hunt.mark(WRONG_PASSWORD)})
    await hunt.call("POST", "/auth/login", json={**seller, "password": [PASSWORD]})
    signed_in = await hunt.sign_in("/auth/login", **seller)
    await hunt.call(
        "POST", "/auth/refresh", json={"refresh_token": signed_in["refresh_token"]}, shows_once=("access_token", "refresh_token")
    )
    await hunt.call("POST", "/auth/refresh", json={"refresh_token": signed_in["refresh_token"] + "x"})

    keys = (
        {"wildberries_api_key": hunt.mark(MALFORMED)},
        {"wildberries_api_key": hunt.mark(issue_token(shop.seller_id, products=3))},
        {"ozon_client_id": str(OZON_CLIENT), "ozon_api_key": hunt.mark(FOREIGN_OZON_KEY)},
        {"ozon_client_id": str(OZON_CLIENT), "ozon_api_key": hunt.mark(issue_ozon_key(OZON_CLIENT, products=3))},
        {"ozon_access_token": hunt.mark("Marked-OAuth-Token-of-Ozon")},
    )
    for body in keys:
        await hunt.call("PATCH", "/tenants/me/credentials", json=body)
        await hunt.call("PATCH", "/tenants/me/credentials", json={**body, "unknown": next(iter(body.values()))})
    for kind in FAULTS:
        await sandbox.delete("/faults")
        await sandbox.post("/faults", json={"kind": kind, "times": 2, "retry_s": 1})
        for marketplace in Marketplace:
            await hunt.call("POST", f"/tenants/me/credentials/{marketplace}/verify")
    hook = await hunt.call("POST", "/webhooks", json={"url": "http://127.0.0.1:9/hook"}, shows_once=("secret",))
    assert hook.status_code == 201
    await hunt.call("POST", f"/webhooks/{hook.json()['id']}/test")
    for kind in ("html", "undocumented", "malformed_item", "unauthorized"):
        await sandbox.delete("/faults")
        await sandbox.post("/faults", json={"kind": kind, "times": 4})
        for marketplace in Marketplace:
            run = (await hunt.call("POST", "/sync", json={"marketplace": marketplace})).json()
            if "id" in run:
                await Runner("test").carry_out_run(UUID(run["id"]))
                await hunt.call("GET", f"/sync/{run['id']}")
    for path in (
        "/sync",
        "/products",
        "/orders",
        "/changes",
        "/tenants/me/credentials",
        f"/webhooks/{hook.json()['id']}/deliveries",
        "/auth/me",
    ):
        assert (await hunt.call("GET", path)).status_code == 200, path

    await bots_and_pages(hunt)
    await passwords_and_launches(hunt, monkeypatch)
    await all_data(hunt)

    with nowhere_in(hunt) as seen:
        captured = capsys.readouterr()
        seen += [*hunt.heard, captured.out, captured.err, repr(await everything_in_redis()), *await dumped()]
