"""The flow that everything is for, and what may come between."""

import os
import subprocess
import sys
from uuid import UUID

import pytest

from app.cli.demo import Receiver
from tests.stories.product import ROOT, Product

pytestmark = pytest.mark.anyio

ACTIVE = ("queued", "running")


def test_a_key_brings_products_stock_and_a_verified_webhook(product: Product):
    bot = product.seller()
    with Receiver() as receiver:
        secret = bot.hear(receiver, "sync.completed")

        stored = bot.give_key(products=120)
        event = receiver.next_event(secret, 30)

    assert stored["message"] == "Credentials updated successfully"
    items = bot.products()
    assert len({item["external_id"] for item in items}) == len(items) == 120 == event["data"]["counts"]["products"]["total"]
    assert sum(item["stock_total"] for item in items) == event["data"]["counts"]["stocks"]["total_units"] == bot.units_in_the_shop()
    detail = bot.expect(200, "GET", f"/products/{items[0]['id']}")
    assert sum(shelf["quantity"] for shelf in detail["stocks"]) == detail["stock_total"]
    run = bot.latest_sync()
    assert (run["status"], run["trigger"]) == ("succeeded", "credentials")
    assert [stage["name"] for stage in run["stages"]] == ["products", "prices", "stocks", "orders"]


def test_a_second_sync_finds_what_changed_and_nothing_else(product: Product):
    bot = product.seller()
    bot.give_key(products=60)
    bot.wait_for_sync()
    before = {item["external_id"]: item for item in bot.products()}
    changed = next(iter(before))
    product.sandbox("PATCH", f"/shops/{bot.seller_id}/products/{changed}", title="Совсем другое название")

    bot.expect(202, "POST", "/sync", json={})
    run = bot.wait_for_sync(lambda run: run["trigger"] == "manual" and run["status"] not in ACTIVE)

    products = run["stages"][0]
    assert (products["created"], products["updated"]) == (0, 1)
    after = {item["external_id"]: item for item in bot.products()}
    assert after[changed]["title"] == "Совсем другое название"
    assert {key: item["title"] for key, item in after.items() if key != changed} == {
        key: item["title"] for key, item in before.items() if key != changed
    }


def test_asking_again_joins_the_run_that_is_active(product: Product):
    bot = product.seller()
    bot.give_key(products=20)
    bot.wait_for_sync()
    with product.slow_marketplace(300):
        first = bot.expect(202, "POST", "/sync", json={})

        second = bot.expect(200, "POST", "/sync", json={})

        assert second["id"] == first["id"]
        bot.wait_for_sync()


async def test_a_killed_workers_run_is_finished_by_another(product: Product, rows):
    bot = product.seller()
    with Receiver() as receiver:
        secret = bot.hear(receiver, "sync.completed", "sync.failed")
        with product.slow_marketplace(60):
            bot.give_key(products=5000)
            half_way = bot.wait_for_sync(lambda run: 500 <= run["progress"]["done"] < 4500)
            product.kill_workers()
            run_id = UUID(half_way["id"])
            # The lease would run out by itself within a minute.
            await rows("UPDATE sync_runs SET lease_until = now() - interval '1 s' WHERE id = $1 AND status = 'running'", run_id)
            product.start_worker()
            event = receiver.next_event(secret, 60)

    run = bot.wait_for_sync()
    assert (run["id"], run["status"]) == (half_way["id"], "succeeded")
    assert run["stages"][0]["created"] == run["stages"][0]["fetched"] == 5000
    assert event["data"]["counts"]["products"] == {"created": 5000, "updated": 0, "archived": 0, "total": 5000}
    [[distinct, total]] = await rows("SELECT count(DISTINCT external_id), count(*) FROM products WHERE tenant_id = $1", UUID(bot.tenant_id))
    assert (distinct, total) == (5000, 5000)
    [[events]] = await rows("SELECT count(*) FROM events WHERE tenant_id = $1 AND type LIKE 'sync.%'", UUID(bot.tenant_id))
    assert events == 1
    [[attempts, crashes]] = await rows("SELECT attempt, crashes FROM sync_runs WHERE id = $1", run_id)
    assert (attempts, crashes) == (2, 1)
    assert event["data"]["counts"]["stocks"]["total_units"] == bot.units_in_the_shop()


async def test_a_stopping_worker_gives_its_run_back_at_once(product: Product, rows):
    bot = product.seller()
    with product.slow_marketplace(60):
        bot.give_key(products=3000)
        running = bot.wait_for_sync(lambda run: run["progress"]["done"] >= 300)

        codes = product.stop_workers()

        assert codes == [0] * len(codes)
        given_back = bot.latest_sync()
        assert given_back["status"] == "queued"
        assert given_back["stages"][0]["fetched"] >= running["progress"]["done"]
        product.start_worker()
        run = bot.wait_for_sync()
    assert run["status"] == "succeeded"
    [[crashes]] = await rows("SELECT crashes FROM sync_runs WHERE id = $1", UUID(run["id"]))
    assert crashes == 0
    assert len(bot.products()) == 3000


def test_two_workers_carry_out_each_run_once(product: Product):
    product.start_worker()
    bots = [product.seller() for _ in range(6)]

    for bot in bots:
        bot.give_key(products=200)

    for bot in bots:
        run = bot.wait_for_sync()
        assert (run["status"], run["stages"][0]["created"]) == ("succeeded", 200)
        assert len(bot.expect(200, "GET", "/sync")["items"]) == 1


def test_a_key_that_is_revoked_fails_the_run_once_and_pauses_the_schedule(product: Product):
    bot = product.seller()
    bot.give_key(products=20)
    bot.wait_for_sync()
    with Receiver() as receiver:
        secret = bot.hear(receiver, "credentials.invalid")
        product.sandbox("POST", "/faults", kind="unauthorized", times=5, seller_id=str(bot.seller_id))

        bot.expect(202, "POST", "/sync", json={})
        event = receiver.next_event(secret, 30)

    run = bot.wait_for_sync()
    assert (run["status"], run["error"]["code"]) == ("failed", "credentials_rejected")
    assert event["type"] == "credentials.invalid"
    [wildberries, *_] = bot.expect(200, "GET", "/tenants/me/credentials")
    assert wildberries["status"] == "invalid"
    assert bot.expect(200, "GET", "/tenants/me")["next_sync_at"] is None
    assert len(bot.products()) == 20
    product.sandbox("DELETE", "/faults")


def test_a_token_without_the_stock_category_copies_products_and_says_what_is_missing(product: Product):
    from app.sandbox.tokens import Category

    bot = product.seller()

    stored = bot.give_key(products=20, categories=[Category.CONTENT])
    run = bot.wait_for_sync()

    assert "stocks" in stored["credentials"][0]["missing_scopes"]
    assert run["status"] == "partial"
    assert [stage["status"] for stage in run["stages"]] == ["succeeded", "skipped", "skipped", "skipped"]
    assert {stage["error"]["code"] for stage in run["stages"][1:]} == {"scope_missing"}


def test_the_demo_tells_the_whole_story_and_leaves_nothing_behind(tmp_path):
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}

    done = subprocess.run(
        [sys.executable, "-m", "app.cli.main", "dev", "--once"],
        cwd=ROOT, env=environment | {"DATA_DIR": str(tmp_path / "data")}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    assert "webhook received and verified" in done.stdout
    assert "wildberries: orders" in done.stdout
    assert "ozon: orders" in done.stdout
    assert "The first 10 products" in done.stdout
    assert list((tmp_path / "data").iterdir()) == []
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in left
