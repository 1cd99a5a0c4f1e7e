"""A bot watches a sync from its start to its end, whatever becomes of the process that it watches through."""

import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import httpx
import msgspec
import pytest

from tests.cli.commands import free_port
from tests.stories.product import PATIENCE_S, ROOT, Product, SellersBot

PRODUCTS = 2000
WATCHERS = 50
STOP_WITHIN_S = 10


class Event(msgspec.Struct, frozen=True):
    name: str
    id: str
    data: dict[str, Any]


class Api:
    """One more API of the product, for a test to kill; of several processes, if it should be."""

    def __init__(self, product: Product, port: int, workers: int = 1) -> None:
        self.workers = workers
        self.url = f"http://127.0.0.1:{port}"
        self.environment = product.environment | {"API_PORT": str(port), "METRICS_ADDRESS": ""}
        # One for all readers: to make one takes longer than to read.
        self._http = httpx.Client(trust_env=False, timeout=20, limits=httpx.Limits(max_connections=None))
        self.process = self._start()

    def _start(self) -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-m", "app.cli.main", "serve", "--workers", str(self.workers)]
        process = subprocess.Popen(command, cwd=ROOT, env=self.environment)
        deadline = time.monotonic() + PATIENCE_S
        while not self._answers():
            assert process.poll() is None, "it could not start"
            assert time.monotonic() < deadline, "it does not answer"
            time.sleep(0.05)
        return process

    def _answers(self) -> bool:
        try:
            return self._http.get(f"{self.url}/health/ready").is_success
        except httpx.TransportError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def kill_and_restart(self) -> None:
        self.kill()
        self.process = self._start()

    def close(self) -> None:
        self.kill()
        self._http.close()

    def events(self, bot: SellersBot, run_id: str, last_event_id: str | None = None) -> Iterator[Event]:
        """What one connection brings, to its end."""
        headers = {"Authorization": bot.http.headers["Authorization"]} | ({"Last-Event-ID": last_event_id} if last_event_id else {})
        with self._http.stream("GET", f"{self.url}/api/v1/sync/{run_id}/events", headers=headers) as answer:
            if answer.status_code == 204:
                return
            assert answer.status_code == 200, answer.read()
            fields: dict[str, str] = {}
            for line in answer.iter_lines():
                if line:
                    name, _, value = line.partition(": ")
                    fields[name] = value
                    continue
                if "data" in fields:
                    yield Event(fields["event"], fields["id"], json.loads(fields["data"]))
                fields = {}


@pytest.fixture
def api(product: Product, request: pytest.FixtureRequest) -> Iterator[Api]:
    api = Api(product, free_port(), getattr(request, "param", 1))
    yield api
    api.close()


@contextmanager
def syncing_slowly(product: Product) -> Iterator[tuple[SellersBot, str]]:
    """A seller whose first sync takes some seconds, and its id."""
    bot = product.seller()
    with product.slow_marketplace(100):
        bot.give_key(products=PRODUCTS)
        yield bot, bot.wait_for_sync(lambda _: True)["id"]


def test_a_sync_is_watched_to_its_end_and_each_number_is_true(product: Product, api: Api):
    with syncing_slowly(product) as (bot, run_id):
        events = list(api.events(bot, run_id))

    *progress, finished = events
    assert {event.name for event in progress} == {"progress"}
    assert (finished.name, finished.data["status"]) == ("finished", "succeeded")
    assert finished.data == bot.expect(200, "GET", f"/sync/{run_id}")
    assert finished.data["stages"][0]["fetched"] == PRODUCTS == len(bot.products())
    revisions = [int(event.id) for event in events]
    assert revisions == sorted(set(revisions))
    assert_never_back(events)
    told = [event.data["progress"]["done"] for event in progress if event.data["progress"]["stage"] == "products"]
    assert len([done for done in told if 0 < done < PRODUCTS]) >= 3
    assert list(api.events(bot, run_id, finished.id)) == []


def test_an_api_process_that_is_killed_loses_the_reader_nothing(product: Product, api: Api):
    seen: list[Event] = []
    with syncing_slowly(product) as (bot, run_id):
        with pytest.raises(httpx.TransportError):
            for event in api.events(bot, run_id):
                seen.append(event)
                if len(seen) == 3:
                    api.kill()
        api.kill_and_restart()
        after = list(api.events(bot, run_id, seen[-1].id))

    assert int(after[0].id) > int(seen[-1].id)
    assert (after[-1].name, after[-1].data["status"]) == ("finished", "succeeded")
    assert_never_back([*seen, *after])
    assert list(api.events(bot, run_id, after[-1].id)) == []


def test_a_finish_that_came_while_no_process_was_there_is_told_by_the_next(product: Product, api: Api):
    with syncing_slowly(product) as (bot, run_id):
        first = next(api.events(bot, run_id))
        api.kill()
        bot.wait_for_sync()
        api.kill_and_restart()

    [finished] = api.events(bot, run_id, first.id)
    assert (finished.name, finished.data["status"]) == ("finished", "succeeded")


def test_a_sync_that_is_cancelled_is_told_to_its_watchers_and_stops(product: Product, api: Api):
    with syncing_slowly(product) as (bot, run_id):
        events: list[Event] = []
        for event in api.events(bot, run_id):
            events.append(event)
            if event.data["progress"]["done"] >= 300 and event.name == "progress":
                bot.http.post(f"/sync/{run_id}/cancel")

        assert [(event.name, event.data["status"]) for event in events[-1:]] == [("finished", "cancelled")]
        reached = events[-1].data["stages"][0]["fetched"]
    assert 300 <= reached < PRODUCTS
    # What was stored stays, and nothing comes any more.
    assert len(bot.products()) == reached
    bot.expect(202, "POST", "/sync", json={})
    again = bot.wait_for_sync(lambda run: run["id"] != run_id and run["status"] not in ("queued", "running"))
    assert again["status"] == "succeeded"
    assert len(bot.products()) == PRODUCTS


@pytest.mark.parametrize(
    ("number", "api"), [(signal.SIGTERM, 2), (signal.SIGINT, 1)], ids=["SIGTERM to two", "SIGINT to one"], indirect=["api"]
)
def test_processes_with_fifty_watchers_stop_at_once_and_let_each_go_in_good_order(product: Product, api: Api, number: signal.Signals):
    bots = [product.seller() for _ in range(3)]
    with product.slow_marketplace(5000), ThreadPoolExecutor(WATCHERS) as readers:
        for bot in bots:
            bot.give_key(products=50)
        runs = [(bot, bot.wait_for_sync(lambda _: True)["id"]) for bot in bots]
        begun = threading.Barrier(WATCHERS + 1, timeout=PATIENCE_S)

        def watch(place: int) -> list[str]:
            bot, run_id = runs[place % len(runs)]
            stream = api.events(bot, run_id)
            names = [next(stream).name]
            begun.wait()
            return [*names, *(event.name for event in stream)]

        watching = [readers.submit(watch, place) for place in range(WATCHERS)]
        begun.wait()
        before = time.monotonic()
        api.process.send_signal(number)
        api.process.wait(STOP_WITHIN_S)
        took_s = time.monotonic() - before
        # A torn connection would be an error here.
        heard = [reader.result() for reader in watching]

    assert took_s < STOP_WITHIN_S / 2
    assert all(set(names) == {"progress"} for names in heard)
    for bot, run_id in runs:
        bot.expect(202, "POST", f"/sync/{run_id}/cancel")


def assert_never_back(events: list[Event]) -> None:
    """Within a stage it only goes on."""
    done: dict[str, int] = {}
    for event in events:
        for stage in event.data["stages"]:
            assert stage["fetched"] >= done.get(stage["name"], 0), stage
            done[stage["name"]] = stage["fetched"]
    present: dict[str, int] = {}
    for event in events:
        progress = event.data["progress"]
        if progress["stage"]:
            assert progress["done"] >= present.get(progress["stage"], 0), progress
            present[progress["stage"]] = progress["done"]
