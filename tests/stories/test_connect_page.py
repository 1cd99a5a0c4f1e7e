"""A seller with a browser, and no script: from the bot's link to a connected shop."""

import secrets
from pathlib import Path

import httpx
import pytest

from app.sandbox.ozon.keys import issue_ozon_key
from tests.browser import CHROMIUM, browsing
from tests.stories.product import Product

pytestmark = [pytest.mark.anyio, pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")]


async def test_a_seller_connects_a_shop_in_a_real_browser_in_which_no_script_runs(product: Product, tmp_path: Path):
    client_id = secrets.randbelow(10**7) + 1
    async with httpx.AsyncClient(base_url=f"{product.parts.api}/api/v1", trust_env=False) as bot:
        signed_in = await bot.post(
            "/auth/register",
            json={
                "email": f"tg{client_id}@example.com",
                "password": "a long password",
                "company_name": "Ромашка",
                "marketplace_type": "ozon",
            },
        )
        bot.headers["Authorization"] = f"Bearer {signed_in.json()['access_token']}"
        link = (await bot.post("/tenants/me/credentials/links", json={"provider": "ozon"})).json()["url"]

        async with browsing() as tab:
            await tab.size(360, 740)
            await tab.open(link)
            seen, content = await tab.widths()
            form = await tab.html()
            await tab.type("#ozon_client_id", str(client_id))
            await tab.type("#ozon_api_key", "this key is wrong")
            await tab.click("button")
            rejected = await tab.html()
            await tab.click("nav a")
            english = await tab.html()
            await tab.type("#ozon_client_id", str(client_id))
            await tab.type("#ozon_api_key", issue_ozon_key(client_id, products=3))
            await tab.click("button")
            accepted = await tab.html()

        listed = (await bot.get("/tenants/me/credentials")).json()

    assert content <= seen, "the page is wider than a phone"
    assert "Подключить магазин Ozon" in form
    assert "Ключ не подошёл" in rejected
    assert "this key is wrong" not in rejected
    assert "Connect an Ozon shop" in english
    assert "the shop is connected" in accepted
    assert [each["status"] for each in listed if each["provider"] == "ozon"] == ["valid"]
    assert {address.partition("?")[0] for address in tab.requested} == {link}
    assert [complaint for complaint in tab.complaints if "422" not in complaint] == []
