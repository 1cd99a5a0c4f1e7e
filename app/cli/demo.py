"""The original flow, played as a bot would, over HTTP: `stock-tracker dev --once`."""

import queue
import secrets
import sys
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import uuid4

import httpx
from rich.console import Console
from rich.table import Table
from standardwebhooks.webhooks import Webhook

from app.sandbox.ozon.keys import issue_ozon_key
from app.sandbox.tokens import issue_token
from app.secret import Secret

EMAIL, PASSWORD = "tg12345@example.com", "a password that the bot made up"
WEBHOOK_WITHIN_S = 60.0
REAL_WEBHOOK_WITHIN_S = 600.0
PRODUCTS_SHOWN = 10

# What is not a terminal has no width; 120 fits what is printed.
console = Console(highlight=False, width=None if sys.stdout.isatty() else 120)


class StoryFailed(Exception):
    """A step did not go as it must. The text says which, and what came instead."""


def play(api: str, *, key: Secret | None, started_in_s: float) -> int:
    """Play the flow and print it. Gives 0 only if all of it happened.

    `key` is a seller's real one; without it the sandbox gives one.
    """
    console.print("\n[bold]Stock Tracker[/bold], as a Telegram bot uses it\n")
    _step(
        "everything started",
        started_in_s,
        "PostgreSQL, Redis, migrations, sandbox, API, worker, scheduler" if key is None else "all but a sandbox",
    )
    try:
        with Receiver() as receiver, httpx.Client(base_url=f"{api}/api/v1", trust_env=False, timeout=30.0) as bot:
            _tell(bot, receiver, key)
    except StoryFailed as failure:
        console.print(f"\n[red]✗ {failure}[/red]")
        return 1
    return 0


def _tell(bot: httpx.Client, receiver: "Receiver", key: Secret | None) -> None:
    with _timed() as took:
        registration = {"email": EMAIL, "password": PASSWORD, "company_name": "Ромашка", "marketplace_type": "wildberries"}
        answer = bot.post("/auth/register", json=registration)
        if answer.status_code == 409:
            answer = bot.post("/auth/login", json={"email": EMAIL, "password": PASSWORD})
        tokens = _expect(answer, 201, 200)
    bot.headers["Authorization"] = f"Bearer {tokens['access_token']}"
    _step("POST /auth/register", took(), f"{EMAIL} is a tenant now: {tokens['tenant']['id']}")

    with _timed() as took:
        endpoint = _expect(bot.post("/webhooks", json={"url": receiver.url, "event_types": ["sync.completed", "sync.failed"]}), 201)
    _step("POST /webhooks", took(), f"events go to {receiver.url}")

    with _timed() as took:
        stored = _expect(bot.patch("/tenants/me/credentials", json=_keys(key)), 200)
        given = [entry for entry in stored["credentials"] if entry["configured"]]
    waiting_since = time.monotonic()
    for entry in given:
        _step("PATCH /tenants/me/credentials", took(), f"{entry['provider']}: {entry['masked']} is {entry['status']}")
        if entry["status"] not in ("valid", "expiring"):
            raise StoryFailed(f"The key of {entry['provider']} is {entry['status']}, so no sync started.")

    messages = [_hear_of_sync(bot, receiver, endpoint["secret"], waiting_since, real=key is not None) for _ in given]

    with _timed() as took:
        listed = _expect(bot.get("/products", params={"limit": PRODUCTS_SHOWN}), 200)
    _step("GET /products", took(), f"the first {len(listed['items'])}")
    with _timed() as took:
        orders = _expect(bot.get("/orders", params={"limit": 1}), 200)["items"]
    newest = f"the newest: {orders[0]['lines'][0]['title']}, {orders[0]['status']}" if orders else "none"
    _step("GET /orders", took(), newest)
    if key is None and not (listed["items"] and orders):
        raise StoryFailed("The sandbox has products and orders, and some were not listed.")
    console.print(_table(listed["items"]))
    console.print("\n[bold]The bot writes to the seller:[/bold]")
    for message in messages:
        console.print(f"  {message}", soft_wrap=True)
    console.print()


def _keys(real: Secret | None) -> dict[str, str]:
    """What the seller hands over: the real key, or those of a shop in the sandbox at either marketplace."""
    if real:
        return {"wildberries_api_key": real.reveal()}
    client_id = secrets.randbelow(10**7) + 1
    ozon_key = issue_ozon_key(client_id, products=10)
    return {"wildberries_api_key": issue_token(uuid4(), products=25), "ozon_client_id": str(client_id), "ozon_api_key": ozon_key}


def _hear_of_sync(bot: httpx.Client, receiver: "Receiver", secret: str, waiting_since: float, *, real: bool) -> str:
    """Wait for the event of the next sync, and tell what its stages did. Gives the message for the seller."""
    event = receiver.next_event(secret, REAL_WEBHOOK_WITHIN_S if real else WEBHOOK_WITHIN_S)
    said = event["data"]
    _step("webhook received and verified", time.monotonic() - waiting_since, f"{event['type']} of {said['marketplace']}")
    if event["type"] != "sync.completed":
        raise StoryFailed(said["message"])
    sync = _expect(bot.get(f"/sync/{said['sync_id']}"), 200)
    for stage in sync["stages"]:
        counts = f"{stage['fetched']} fetched, {stage['created']} new, {stage['updated']} changed, in {stage['requests']} requests"
        _step(f"– {said['marketplace']}: {stage['name']}", stage["duration_s"], counts)
    # The sandbox has nothing to hide; a real key may lack a category.
    if sync["status"] != "succeeded" and not (real and sync["status"] == "partial"):
        raise StoryFailed(f"The sync is {sync['status']}.")
    return said["message"]


def _step(what: str, seconds: float, said: str) -> None:
    console.print(f"[green]✓[/green] {what:<32} {seconds * 1000:>7.0f} ms   [dim]{said}[/dim]", soft_wrap=True)


def _expect(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    if answer.status_code not in statuses:
        raise StoryFailed(f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def _table(products: list[dict[str, Any]]) -> Table:
    table = Table(title=f"\nThe first {len(products)} products", title_justify="left")
    table.add_column("Stock", justify="right", min_width=5)
    table.add_column("Price", justify="right", min_width=9)
    for heading in ("Article", "Title", "Brand"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for product in products:
        units = product["stock_total"]
        colour = "red" if units == 0 else "yellow" if units <= 5 else "green"
        price = f"{product['discounted_price']} ₽" if product["discounted_price"] else ""
        table.add_row(f"[{colour}]{units}[/{colour}]", price, product["article"], product["title"], product["brand"])
    return table


@contextmanager
def _timed() -> Generator[Any]:
    began = time.monotonic()
    ended: list[float] = []
    yield lambda: (ended[0] if ended else time.monotonic()) - began
    ended.append(time.monotonic())


class Receiver:
    """The bot's end of a webhook: a small HTTP server on a free port of this machine."""

    def __init__(self) -> None:
        received: queue.Queue[tuple[dict[str, str], bytes]] = queue.Queue()

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                received.put((dict(self.headers.items()), self.rfile.read(int(self.headers.get("Content-Length", "0")))))
                self.send_response(204)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
                """The story is told elsewhere."""

        self._received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/webhook"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def next_event(self, secret: str, within_s: float) -> dict[str, Any]:
        """The next event, its signature verified by the library that a bot would use.

        Raises:
            StoryFailed: none came, or its signature is wrong.
        """
        try:
            headers, body = self._received.get(timeout=within_s)
        except queue.Empty:
            raise StoryFailed(f"No webhook came within {within_s:.0f} s.") from None
        try:
            return Webhook(secret).verify(body, {name.lower(): value for name, value in headers.items()})
        except Exception as error:
            raise StoryFailed(f"The webhook's signature does not verify: {error}") from error
