"""An export has every row that is the tenant's to take, no secret, and nothing of anybody else; whoever reads it, and however slowly."""

import asyncio
import io
import json
import socket
import zipfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any
from uuid import UUID

import httpx
import pytest
import uvicorn

from app.api import streams
from app.cli.serve import listen
from app.database import database, system_scope, tenant_scope
from app.ids import new_id
from app.main import create_app
from app.settings import Settings
from app.tenant_data import export
from app.tenant_data.erasure import begin_erasure
from app.tenant_data.export import SETTINGS, page_of
from app.tenant_data.kinds import KINDS, LEFT_OUT
from tests.application import Shop
from tests.tenant_data.everything import TABLES_OF_TENANTS, rows_of, use_everything

pytestmark = pytest.mark.anyio

COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = $1"

IDS = "SELECT id::text FROM products WHERE tenant_id = $1 UNION ALL SELECT id::text FROM orders WHERE tenant_id = $1"

SMALL_BUFFER = 4096
LAST_CHUNK = b"\r\n0\r\n\r\n"

# Random, so that they stay large in the zip.
MANY_PRODUCTS = """
    INSERT INTO products (id, tenant_id, marketplace, external_id, article, title, brand, category, digest, created_at, updated_at)
    SELECT gen_random_uuid(), $1, 'wildberries', n, 'A', (SELECT string_agg(md5(n::text || m || random()), '') FROM generate_series(1, 15) AS m),
           'B', 'C', '', now(), now()
      FROM generate_series(1, 3000) AS n
"""


def unpacked(answer: httpx.Response) -> dict[str, Any]:
    """Each file by its name; of those with JSON lines, the lines."""
    assert answer.status_code == 200, answer.text
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    assert archive.testzip() is None
    texts = {name: archive.read(name).decode() for name in archive.namelist()}
    return {name: [json.loads(line) for line in text.split("\n")[:-1]] if name.endswith(".jsonl") else text for name, text in texts.items()}


async def test_every_column_of_every_table_of_tenants_is_exported_or_left_out_by_name(clean_database: str):
    # A file's own columns and those inside its lines; `attempts` is a column of one table and a list in its file.
    named: dict[str, tuple[list[str], list[str]]] = {kind.table: ([*kind.columns], [*kind.left_out]) for kind in KINDS}
    named |= {within.table: ([*within.columns], [*within.left_out]) for kind in KINDS for within in kind.within}
    async with system_scope() as connection:
        tables = {row[0] for row in await connection.fetch(TABLES_OF_TENANTS)} | {"tenants", "users"}
        columns = {table: sorted(row[0] for row in await connection.fetch(COLUMNS, table)) for table in named}

    assert {*named, *LEFT_OUT} == tables
    assert {table: sorted([*given, *left_out]) for table, (given, left_out) in named.items()} == columns


def test_no_secret_hash_or_sealed_text_is_among_the_exported_columns():
    given = {column for kind in KINDS for columns in (kind.columns, *(within.columns for within in kind.within)) for column in columns}
    suspicious = {column for column in given for word in ("secret", "hash", "encrypted", "token", "password", "masked") if word in column}

    assert suspicious == {"token_type"}


async def test_it_has_every_row_of_the_tenant_and_no_byte_of_another(shop: Shop, other_shop: Shop, sender: None):
    secrets = await use_everything(shop, "acme7f3a")
    (await other_shop.give_key()).raise_for_status()
    await other_shop.sync()
    rivals = {str(other_shop.tenant_id), "rival@example.com", *(row[0] for row in await other_shop.rows(IDS))}
    assert len(rivals) > 100
    answer = await shop.call("GET", "/tenants/me/export")

    files, rows = unpacked(answer), await rows_of(shop.tenant_id)

    expected = {f"{kind.file}.jsonl": len(rows[kind.table]) for kind in KINDS}
    assert {name: len(lines) for name, lines in files.items() if name != "README.txt"} == expected
    assert 0 not in expected.values()
    assert sum(len(order["lines"]) for order in files["orders.jsonl"]) == len(rows["order_lines"])
    assert sum(len(delivery["attempts"]) for delivery in files["webhook_deliveries.jsonl"]) == len(rows["webhook_attempts"])
    assert {member["user"]["email"] for member in files["members.jsonl"]} == {"tg12345@example.com", "acme7f3a-viewer@example.com", None}
    text = json.dumps(files, ensure_ascii=False)
    # What the tenant may see of itself: its id and name, and the numbers of its accounts.
    told = {str(shop.tenant_id), "acme7f3a", str(int(b"acme7f3a".hex()[:12], 16))}
    assert {secret for secret in secrets - told if secret in text} == set()
    assert {mark for mark in rivals if mark in text} == set()
    assert "$argon2" not in text


async def test_what_is_in_it_is_as_the_api_tells_it(shop: Shop):
    (await shop.give_key()).raise_for_status()
    await shop.sync()

    files = unpacked(await shop.call("GET", "/tenants/me/export"))

    [told, *_] = (await shop.expect(200, "GET", "/products"))["items"]
    [product] = [each for each in files["products.jsonl"] if each["id"] == told["id"]]
    assert {name: product[name] for name in ("article", "title", "price", "currency", "barcodes", "stock_total")} == {
        name: told[name] for name in ("article", "title", "price", "currency", "barcodes", "stock_total")
    }
    assert files["tenant.jsonl"][0]["name"] == "Romashka"
    assert files["events.jsonl"][0]["body"]["type"] == files["events.jsonl"][0]["type"]
    assert files["audit_log.jsonl"][-1]["action"] == "tenant.exported"
    assert "no snapshot" in files["README.txt"]
    assert [name for name in files if name not in files["README.txt"] and name != "README.txt"] == []


@pytest.mark.parametrize("size", [1, 7])
async def test_the_pages_of_a_file_are_the_file(shop: Shop, monkeypatch: pytest.MonkeyPatch, size: int):
    (await shop.give_key()).raise_for_status()
    await shop.sync()
    async with tenant_scope(shop.tenant_id) as connection:
        # Two products with a past; and orders of one instant, which the id has to tell apart.
        await connection.execute(
            "INSERT INTO stock_history SELECT tenant_id, id, now() + interval '1 s' * n, n, n FROM (SELECT * FROM products LIMIT 2) AS two, "
            "generate_series(1, 9) AS n"
        )
        await connection.execute("DELETE FROM orders WHERE id NOT IN (SELECT id FROM orders LIMIT 20)")
        await connection.execute("UPDATE orders SET ordered_at = now() WHERE id IN (SELECT id FROM orders LIMIT 10)")
    whole = unpacked(await shop.call("GET", "/tenants/me/export"))

    monkeypatch.setattr(export, "KINDS", tuple(kind._replace(page=size) for kind in KINDS))
    paged = unpacked(await shop.call("GET", "/tenants/me/export"))

    # The first export stands in the log of the second one; each says when it was made.
    assert len(whole.pop("audit_log.jsonl")) + 1 == len(paged.pop("audit_log.jsonl"))
    del whole["README.txt"], paged["README.txt"]
    assert paged == whole


async def test_the_file_has_a_name_and_no_cache_keeps_it(shop: Shop):
    await shop.expect(200, "PATCH", "/tenants/me", json={"name": 'ООО "Ромашка" /../'})

    headers = (await shop.call("GET", "/tenants/me/export")).headers

    assert (headers["content-type"], headers["cache-control"]) == ("application/zip", "no-store")
    disposition = headers["content-disposition"]
    assert disposition.startswith(f'attachment; filename="stock-tracker-{shop.tenant_id}-20')
    assert "; filename*=UTF-8''stock-tracker-%D0%9E%D0%9E%D0%9E-%D0%A0%D0%BE%D0%BC%D0%B0%D1%88%D0%BA%D0%B0-20" in disposition


async def test_no_page_looks_at_a_whole_table(clean_database: str):
    somewhere = {"id": new_id(), "sequence": 7}
    plans: dict[str, list[str]] = {}
    async with tenant_scope(new_id()) as connection:
        moment = await connection.fetchval("SELECT now()")
        await connection.execute(SETTINGS)
        for kind in KINDS:
            position = [somewhere.get(name, moment) for name in (("id",) if kind.below else ()) + kind.order]
            for first, after in ((True, []), (False, position)):
                plan = await connection.fetch(f"EXPLAIN (COSTS OFF) {page_of(kind, first=first)}", new_id(), 500, *after)
                plans[f"{kind.file} {first}"] = [line[0] for line in plan]

    assert {name: lines for name, lines in plans.items() if any("Seq Scan" in line for line in lines)} == {}
    assert all(any("Index" in line for line in lines) for lines in plans.values())


@asynccontextmanager
async def served(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """The application behind a real server that keeps little of what a reader has not taken."""
    listener = listen("127.0.0.1", 0)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SMALL_BUFFER)
    server = uvicorn.Server(uvicorn.Config(create_app(settings), lifespan="off", log_config=None, access_log=False))
    serving = asyncio.create_task(server._serve([listener]))
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/api/v1"
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=20) as client:
        yield client
    server.should_exit = True
    await serving


@pytest.fixture
async def large_shop(settings: Settings, redis: None) -> AsyncIterator[Shop]:
    async with served(settings) as client:
        shop = await Shop.register(client, "tg12345@example.com")
        async with tenant_scope(shop.tenant_id) as connection:
            await connection.execute(MANY_PRODUCTS, shop.tenant_id)
        yield shop


@contextmanager
def reader(shop: Shop) -> Iterator[socket.socket]:
    """Asks for an export, and takes nothing so far."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, SMALL_BUFFER)
        url = shop.client.base_url
        connection.connect((url.host, url.port))
        connection.setblocking(False)
        connection.send(
            f"GET /api/v1/tenants/me/export HTTP/1.1\r\nHost: test\r\nAuthorization: Bearer {shop.access_token}\r\n\r\n".encode()
        )
        yield connection


async def rest_of(connection: socket.socket) -> bytes:
    """What comes up to the end of the answer or of the connection."""
    loop, taken = asyncio.get_running_loop(), b""
    async with asyncio.timeout(15):
        while not taken.endswith(LAST_CHUNK) and (piece := await loop.sock_recv(connection, 65536)):
            taken += piece
    return taken


async def running(tenant_id: UUID, *, wanted: bool) -> None:
    """Wait until an export is under way, or none is."""
    async with asyncio.timeout(10):
        while (tenant_id in export._running) is not wanted:
            await asyncio.sleep(0.005)


async def stuck(shop: Shop) -> None:
    """Wait until the export waits for its reader: it asks the database for nothing more."""
    await running(shop.tenant_id, wanted=True)
    assert database.pool is not None
    quiet = 0
    async with asyncio.timeout(10):
        while quiet < 20:
            await asyncio.sleep(0.005)
            quiet = quiet + 1 if database.pool.get_idle_size() == database.pool.get_size() else 0


async def test_a_reader_that_takes_nothing_holds_no_connection_and_no_other_export_begins(large_shop: Shop):
    with reader(large_shop) as connection:
        await stuck(large_shop)
        second = await large_shop.call("GET", "/tenants/me/export")
        taken = await rest_of(connection)

    assert (second.status_code, second.json()["code"]) == (409, "export_running")
    assert taken.endswith(LAST_CHUNK)


async def test_a_reader_that_goes_away_leaves_nothing_behind(large_shop: Shop):
    with reader(large_shop):
        await stuck(large_shop)

    await running(large_shop.tenant_id, wanted=False)
    assert (await large_shop.call("GET", "/tenants/me/export")).status_code == 200


async def test_a_reader_that_takes_nothing_for_a_minute_is_given_up(large_shop: Shop, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(streams, "STALLED_S", 0.2)

    with reader(large_shop) as connection:
        await running(large_shop.tenant_id, wanted=True)
        await running(large_shop.tenant_id, wanted=False)

        assert not (await rest_of(connection)).endswith(LAST_CHUNK)


async def test_what_is_left_of_a_tenant_that_is_being_erased_does_not_pass_for_all(large_shop: Shop):
    with reader(large_shop) as connection:
        await stuck(large_shop)

        await begin_erasure(large_shop.tenant_id, "operator")

        assert not (await rest_of(connection)).endswith(LAST_CHUNK)
    await running(large_shop.tenant_id, wanted=False)
