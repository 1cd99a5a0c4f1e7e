"""The original flow, played as a bot would, over HTTP: `stock-tracker dev --once`."""

import queue
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
        secret = key or Secret(issue_token(uuid4(), products=25))
        stored = _expect(bot.patch("/tenants/me/credentials", json={"wildberries_api_key": secret.reveal()}), 200)
        entry = next(item for item in stored["credentials"] if item["provider"] == "wildberries")
    waiting_since = time.monotonic()
    _step("PATCH /tenants/me/credentials", took(), f"{stored['message']}: {entry['masked']} is {entry['status']}")
    if entry["status"] not in ("valid", "expiring"):
        raise StoryFailed(f"The key is {entry['status']}, so no sync started.")

    event = receiver.next_event(endpoint["secret"], WEBHOOK_WITHIN_S if key is None else REAL_WEBHOOK_WITHIN_S)
    _step("webhook received and verified", time.monotonic() - waiting_since, f"{event['type']}, event {event['sequence']} of this tenant")
    if event["type"] != "sync.completed":
        raise StoryFailed(event["data"]["message"])

    sync = _expect(bot.get(f"/sync/{event['data']['sync_id']}"), 200)
    for stage in sync["stages"]:
        _step(
            f"– stage {stage['name']}",
            stage["duration_s"],
            f"{stage['fetched']} fetched, {stage['created']} new, in {stage['requests']} requests",
        )
    if sync["status"] not in ("succeeded", "partial"):
        raise StoryFailed(f"The sync is {sync['status']} although its event says otherwise.")

    with _timed() as took:
        listed = _expect(bot.get("/products", params={"limit": PRODUCTS_SHOWN}), 200)
    total = event["data"]["counts"]["products"]["total"]
    _step("GET /products", took(), f"{len(listed['items'])} of {total}")
    if key is None and not listed["items"]:
        raise StoryFailed("The sandbox has products and none was listed.")
    console.print(_table(listed["items"], total))
    console.print(f"\n[bold]The bot writes to the seller:[/bold]\n  {event['data']['message']}\n", soft_wrap=True)


def _step(what: str, seconds: float, said: str) -> None:
    console.print(f"[green]✓[/green] {what:<32} {seconds * 1000:>7.0f} ms   [dim]{said}[/dim]", soft_wrap=True)


def _expect(answer: httpx.Response, *statuses: int) -> dict[str, Any]:
    if answer.status_code not in statuses:
        raise StoryFailed(f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:500]}")
    return answer.json()


def _table(products: list[dict[str, Any]], total: int) -> Table:
    table = Table(title=f"\nProducts, {len(products)} of {total}", title_justify="left")
    table.add_column("Stock", justify="right", min_width=5)
    for heading in ("Article", "Title", "Brand"):
        table.add_column(heading, overflow="ellipsis", no_wrap=True)
    for product in products:
        units = product["stock_total"]
        colour = "red" if units == 0 else "yellow" if units <= 5 else "green"
        table.add_row(f"[{colour}]{units}[/{colour}]", product["article"], product["title"], product["brand"])
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
