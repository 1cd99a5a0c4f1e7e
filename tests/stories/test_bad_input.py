"""What a caller may get wrong, over real HTTP: a clear problem document, and nothing changed."""

import time
from uuid import UUID, uuid4

import httpx
import jwt
import pytest

from app.sandbox.tokens import issue_token
from tests.stories.product import Product

pytestmark = pytest.mark.anyio

REGISTRATION = {"email": "someone@example.com", "password": "long enough", "company_name": "Romashka", "marketplace_type": "wildberries"}
JSON = {"Content-Type": "application/json"}


def problem(answer: httpx.Response, status: int, code: str) -> dict:
    """The document, which never shows what is inside."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert document["code"] == code
    assert document["type"] == f"/errors/{code}"
    assert document["status"] == status
    assert document["request_id"] == answer.headers["x-request-id"]
    assert document["instance"] == answer.request.url.path
    assert not any(word in answer.text for word in ("Traceback", "asyncpg", "SELECT", 'File "'))
    return document


@pytest.fixture
def anybody(product: Product):
    with httpx.Client(base_url=f"{product.parts.api}/api/v1", trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "malformed_body"),
        (b"\xff\xfe{}", 400, "malformed_body"),
        (b'{"email": NaN}', 400, "malformed_body"),
        (b"[" * 40 + b"]" * 40, 400, "malformed_body"),
        (b"", 422, "validation_failed"),
        (b'"text"', 422, "validation_failed"),
    ],
)
def test_a_body_that_is_no_json_object(anybody, body, status, code):
    problem(anybody.post("/auth/register", content=body, headers=JSON), status, code)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"surprise": 1}, "surprise"),
        ({"email": "no address"}, "email"),
        ({"email": "a" * 250 + "@example.com"}, "email"),
        ({"email": 5}, "email"),
        ({"password": "short"}, "password"),
        ({"password": "x" * 129}, "password"),
        ({"company_name": "x" * 201}, "company_name"),
        ({"company_name": "nul \u0000 inside"}, "company_name"),
        ({"company_name": None}, "company_name"),
        ({"marketplace_type": "ebay"}, "marketplace_type"),
    ],
)
def test_a_wrong_field_is_named(anybody, change, field):
    document = problem(anybody.post("/auth/register", json=REGISTRATION | change), 422, "validation_failed")

    assert [error["field"] for error in document["errors"]] == [field]


def test_half_a_surrogate_pair_is_no_text(anybody):
    body = b'{"email":"a@example.com","password":"long enough","company_name":"\\ud800","marketplace_type":"wildberries"}'

    document = problem(anybody.post("/auth/register", content=body, headers=JSON), 422, "validation_failed")

    assert document["errors"][0]["field"] == "company_name"


def test_wrong_types_sizes_and_addresses_of_requests(anybody):
    problem(anybody.post("/auth/register", content=b"email=a", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")
    problem(anybody.post("/auth/register", json=REGISTRATION | {"company_name": "x" * 70_000}), 413, "body_too_large")
    problem(anybody.get("/nowhere"), 404, "not_found")
    answer = anybody.delete("/auth/register")
    problem(answer, 405, "method_not_allowed")
    assert "POST" in answer.headers["allow"]


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer garbled", "Basic dXNlcjpwYXNz", "Bearer a.b.c"])
def test_without_a_good_token_nothing_is_told(anybody, header):
    answer = anybody.get("/auth/me", headers={"Authorization": header} if header is not None else {})

    problem(answer, 401, "not_authenticated")
    assert "www-authenticate" in answer.headers


def test_tokens_that_are_expired_altered_or_signed_by_nobody(product: Product, anybody):
    bot = product.seller()
    token = bot.http.headers["Authorization"].removeprefix("Bearer ")
    claims = jwt.decode(token, options={"verify_signature": False})
    secret = (
        (product.parts.data_dir / "jwt.secret").read_text()
        if "JWT_SECRET" not in product.environment
        else product.environment["JWT_SECRET"]
    )
    expired = jwt.encode(claims | {"exp": int(time.time()) - 60}, secret, "HS256")
    forged = [
        expired,
        jwt.encode(claims, "another secret of more than thirty-two bytes", "HS256"),
        jwt.encode(claims, "", "none"),
        jwt.encode(claims | {"aud": "somebody else"}, secret, "HS256"),
    ]
    assert anybody.get("/auth/me", headers={"Authorization": f"Bearer {jwt.encode(claims, secret, 'HS256')}"}).status_code == 200

    for wrong in forged:
        answer = anybody.get("/auth/me", headers={"Authorization": f"Bearer {wrong}"})
        assert answer.status_code == 401, answer.text


def test_what_belongs_to_another_tenant_is_as_absent_as_what_does_not_exist(product: Product):
    acme, rival = product.seller(), product.seller()
    acme.give_key(products=5)
    run = acme.wait_for_sync()
    item = acme.products()[0]
    webhook = acme.expect(201, "POST", "/webhooks", json={"url": "http://127.0.0.1:9/"})

    for path in ("/sync/{}", "/products/{}", "/webhooks/{}", "/webhooks/{}/deliveries"):
        theirs = {"sync": run["id"], "products": item["id"], "webhooks": webhook["id"]}[path.split("/")[1]]
        for identifier in (theirs, uuid4()):
            problem(rival.http.get(path.format(identifier)), 404, "not_found")
    problem(rival.http.delete(f"/webhooks/{webhook['id']}"), 404, "not_found")
    problem(rival.http.post(f"/webhooks/{webhook['id']}/test"), 404, "not_found")
    assert rival.products() == []
    assert rival.expect(200, "GET", "/sync")["items"] == []
    assert acme.expect(200, "GET", f"/webhooks/{webhook['id']}")["enabled"] is True


@pytest.mark.parametrize("path", ["/products?limit=0", "/products?limit=501", "/products?limit=ten", "/products?surprise=1", "/products?cursor=x",
                                  "/products?sort=price", "/sync?status=odd", "/sync?since=2026-11-22T10:00:00", "/products?limit=1&limit=2"])  # fmt: skip
def test_a_wrong_query_is_named(product: Product, path):
    bot = product.seller()

    document = problem(bot.http.get(path), 422, "validation_failed")

    assert document["errors"][0]["field"] == path.split("?")[1].split("=")[0]


def test_a_cursor_belongs_to_its_query(product: Product):
    bot = product.seller()
    bot.give_key(products=30)
    bot.wait_for_sync()
    cursor = bot.expect(200, "GET", "/products?limit=10&sort=title")["next_cursor"]

    problem(bot.http.get("/products", params={"sort": "stock", "cursor": cursor}), 422, "validation_failed")

    assert len(bot.expect(200, "GET", f"/products?sort=title&limit=500&cursor={cursor}")["items"]) == 20


@pytest.mark.parametrize("key", ["nonsense", "", "expired", "test"])
async def test_a_rejected_key_changes_nothing(product: Product, rows, key):
    bot = product.seller()
    made = {"expired": {"expires_at": _an_hour_ago()}, "test": {"token_type": "test"}}.get(key)
    if key == "test":
        product.sandbox("POST", "/faults", kind="unauthorized", times=1, seller_id=str(bot.seller_id))
    value = issue_token(bot.seller_id, **made) if made else key

    answer = bot.http.patch("/tenants/me/credentials", json={"wildberries_api_key": value})

    problem(answer, 422, "credentials_rejected" if key else "validation_failed")
    tenant = UUID(bot.tenant_id)
    [[sealed, next_sync_at]] = await rows("SELECT wb_credentials_encrypted, next_sync_at FROM tenants WHERE id = $1", tenant)
    assert (sealed, next_sync_at) == (None, None)
    assert await rows("SELECT 1 FROM credentials WHERE tenant_id = $1", tenant) == []
    assert await rows("SELECT 1 FROM sync_runs WHERE tenant_id = $1", tenant) == []


async def test_an_unreachable_marketplace_stores_the_key_as_unverified_and_the_next_sync_checks_it(product: Product, rows):
    bot = product.seller()
    product.sandbox("POST", "/faults", kind="disconnect", times=20, seller_id=str(bot.seller_id))

    stored = bot.give_key(products=10)

    assert stored["credentials"][0]["status"] == "unverified"
    assert bot.latest_sync() is None
    assert bot.expect(200, "GET", "/tenants/me")["next_sync_at"] is not None
    product.sandbox("DELETE", "/faults")
    bot.expect(202, "POST", "/sync", json={})
    bot.wait_for_sync()
    assert bot.expect(200, "GET", "/tenants/me/credentials")[0]["status"] == "valid"


async def test_a_key_is_nowhere_to_be_read(product: Product, rows):
    bot = product.seller()
    key = issue_token(bot.seller_id, products=5)
    answer = bot.expect(200, "PATCH", "/tenants/me/credentials", json={"wildberries_api_key": key})
    run = bot.wait_for_sync()
    seen = [answer, run, bot.expect(200, "GET", "/tenants/me/credentials"), bot.expect(200, "GET", "/tenants/me")]
    for table in ("tenants", "credentials", "sync_runs", "sync_logs", "checkpoints", "events", "audit_log"):
        column = "id" if table == "tenants" else "tenant_id"
        seen += [dict(row) for row in await rows(f"SELECT * FROM {table} WHERE {column} = $1", UUID(bot.tenant_id))]

    assert key not in repr(seen)
    assert key.split(".")[2] not in repr(seen)


def _an_hour_ago():
    from datetime import UTC, datetime, timedelta

    return datetime.now(UTC) - timedelta(hours=1)
