"""`stock-tracker tenants erase`, beside an application that serves."""

import subprocess

import httpx
import pytest

from app.database import system_scope
from app.tenant_data.erasure import begin_erasure
from tests.auth.application import Seller, client, redis, seller, settings
from tests.cli.commands import COMMAND, ROOT, run

__all__ = ["client", "redis", "seller", "settings"]

pytestmark = pytest.mark.anyio


async def test_it_asks_and_does_nothing_without_a_yes(seller: Seller, environment: dict[str, str]):
    asked = subprocess.run(  # noqa: ASYNC221 - nothing else goes on
        [*COMMAND, "tenants", "erase", "TG12345@example.com"],
        cwd=ROOT,
        env=environment,
        input="n\n",
        capture_output=True,
        text=True,
        check=False,
    )

    assert asked.returncode == 1
    assert f"{seller.tenant_id}  Romashka\ntg12345@example.com; products: 0, orders: 0\n" in asked.stdout
    assert "for good" in asked.stdout
    assert (await seller.get("/tenants/me")).status_code == 200


async def test_what_it_erases_is_gone_for_those_who_are_served(seller: Seller, client: httpx.AsyncClient, environment: dict[str, str]):
    # The application has seen the session alive.
    assert (await seller.get("/tenants/me")).status_code == 200

    erased, again = (run(environment, "tenants", "erase", str(seller.tenant_id), "--yes") for _ in range(2))

    assert (erased.returncode, erased.stdout.splitlines()[-1]) == (0, "Erased: 6 rows.")
    assert (again.returncode, again.stderr) == (2, f"stock-tracker: There is no tenant {seller.tenant_id}.\n")
    assert (await seller.get("/tenants/me")).status_code == 401
    async with system_scope() as connection:
        [entry] = await connection.fetch("SELECT actor, action, facts ->> 'rows' AS rows FROM audit_log")
    assert tuple(entry) == ("operator", "tenant.erased", "6")


async def test_one_that_was_begun_is_shown_as_such_and_carried_on_without_a_question(seller: Seller, environment: dict[str, str]):
    await begin_erasure(seller.tenant_id, "operator")

    shown = run(environment, "tenants", "show", str(seller.tenant_id))
    carried_on = run(environment, "tenants", "erase", str(seller.tenant_id))

    assert "being erased" in shown.stdout
    assert carried_on.returncode == 0, carried_on.stderr
    async with system_scope() as connection:
        assert await connection.fetchval("SELECT count(*) FROM tenants") == 0
