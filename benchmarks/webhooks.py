"""From the end of a run to the seller's bot."""

import asyncio
import queue
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from datetime import datetime
from typing import cast

import msgspec
import uvloop

from benchmarks.figures import Figure
from benchmarks.plan import Plan
from benchmarks.seller import Seller, api_arguments, worker_arguments
from benchmarks.site import Site, await_answer

PRODUCTS = 25
RUNS = 40
WARM_RUNS = 5
RECEIVED_WITHIN_S = 30.0

SCHEDULER = ["-m", "app.cli.main", "scheduler"]

ANSWER = b"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n"


class Data(msgspec.Struct):
    sync_id: str


class Event(msgspec.Struct):
    data: Data


class Received(msgspec.Struct):
    """A webhook, and when its last byte came, in seconds since 1970."""

    body: bytes
    at_s: float


def measure(site: Site, _: Plan, tell: Callable[[str], None]) -> dict[str, list[Figure]]:
    """One run after the other of a small shop, nothing else going on. The floor is one POST on an open connection, from another process."""
    ours: list[float] = []
    with site.new_database() as url, _receiver() as (receiver, received):
        database = {"DATABASE_URL": url}
        api, arguments = api_arguments()
        with site.process(arguments, database), site.process(worker_arguments(), database), site.process(SCHEDULER, database):
            await_answer(f"{api}/health/ready")
            with Seller(api, PRODUCTS) as seller:
                seller.post("/webhooks", {"url": f"{receiver}/webhook", "event_types": ["sync.completed"]})
                seller.give_key()
                for number in range(RUNS + WARM_RUNS):
                    if number:
                        seller.post("/sync", {})
                    webhook = received.get(timeout=RECEIVED_WITHIN_S)
                    run = seller.get(f"/sync/{msgspec.json.decode(webhook.body, type=Event).data.sync_id}")
                    if number >= WARM_RUNS:
                        ours.append((webhook.at_s - datetime.fromisoformat(run["finished_at"]).timestamp()) * 1000)
        site.run("benchmarks.floors.webhook", {}, receiver, str(RUNS + WARM_RUNS))
        floor = [(one.at_s - float(one.body)) * 1000 for one in (received.get(timeout=RECEIVED_WITHIN_S) for _ in range(RUNS + WARM_RUNS))]
    ours.sort()
    tell(f"{RUNS} webhooks: {ours[0]:.1f} ms at best, {ours[len(ours) // 2]:.1f} ms p50, {ours[-1]:.1f} ms at worst")
    return {"webhooks": [Figure(work="run finished → webhook received: p50", unit="ms", ours=ours, floor=floor[WARM_RUNS:], aim=15)]}


class Bot(asyncio.Protocol):
    """Takes POST requests with a Content-Length, and answers 204."""

    def __init__(self, received: "queue.Queue[Received]") -> None:
        self._received = received
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but its class

    def data_received(self, data: bytes) -> None:
        at_s = time.time()
        self._data += data
        head, end, body = self._data.partition(b"\r\n\r\n")
        if not end or len(body) < int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]):
            return
        self._data = b""
        self._transport.write(ANSWER)
        self._received.put(Received(body, at_s))


@contextmanager
def _receiver() -> Generator[tuple[str, "queue.Queue[Received]"]]:
    """The bot's server, in a thread; gives its URL and what came."""
    received: queue.Queue[Received] = queue.Queue()
    listening: queue.Queue[str] = queue.Queue()
    loop = uvloop.new_event_loop()

    def run() -> None:
        server = loop.run_until_complete(loop.create_server(lambda: Bot(received), "127.0.0.1", 0))
        listening.put(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        loop.run_forever()
        server.close()
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield listening.get(timeout=RECEIVED_WITHIN_S), received
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
