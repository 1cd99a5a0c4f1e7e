"""The whole product as processes, and sellers who use it over HTTP."""

import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import httpx

from app.cli.demo import Receiver
from app.cli.dev import Parts
from app.sandbox.tokens import issue_token

ROOT = Path(__file__).parents[2]
PATIENCE_S = 40.0


class Product:
    """API, scheduler, sandbox and one worker; tests may start more workers and kill them."""

    def __init__(self, data_dir: Path, environment: Mapping[str, str]) -> None:
        self.parts = Parts(data_dir, environment, port=0, real=False, log_level="warning")
        self.workers: list[subprocess.Popen[bytes]] = []
        self._bots: list[SellersBot] = []

    def __enter__(self) -> Self:
        try:
            self.parts.start()
        except BaseException:
            self.parts.stop()
            raise
        self.workers.append(self.parts.children["worker"])
        return self

    def __exit__(self, *_: object) -> None:
        for bot in self._bots:
            bot.http.close()
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.parts.stop()

    @property
    def environment(self) -> dict[str, str]:
        return self.parts.environment

    def start_worker(self, **more: str) -> "subprocess.Popen[bytes]":
        """One more, with these settings changed. Its metrics have a free port, so that it stands in nobody's way."""
        environment = self.environment | {"METRICS_ADDRESS": "127.0.0.1:0"} | more
        worker = subprocess.Popen([sys.executable, "-m", "app.cli.main", "worker"], cwd=ROOT, env=environment)
        self.workers.append(worker)
        return worker

    def kill_workers(self) -> None:
        """As a crash or the kernel would."""
        for worker in self.workers:
            worker.kill()
            worker.wait()
        self.workers.clear()

    def stop_workers(self) -> list[int]:
        """As an operator would; gives their exit codes."""
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        codes = [worker.wait(15) for worker in self.workers]
        self.workers.clear()
        return codes

    def ensure_worker(self) -> None:
        if not any(worker.poll() is None for worker in self.workers):
            self.start_worker()

    def sandbox(self, method: str, path: str = "", **changes: Any) -> Any:
        answer = httpx.request(method, f"{self.parts.sandbox}/sandbox{path}", json=changes or None, trust_env=False)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    @contextmanager
    def slow_marketplace(self, delay_ms: int) -> Iterator[None]:
        self.sandbox("PATCH", delay_ms=delay_ms)
        try:
            yield
        finally:
            self.sandbox("PATCH", delay_ms=0)

    def seller(self) -> "SellersBot":
        self._bots.append(SellersBot(self))
        return self._bots[-1]


class SellersBot:
    """A bot with one seller, registered a moment ago."""

    def __init__(self, product: Product) -> None:
        self.product = product
        self.seller_id = uuid4()
        self.http = httpx.Client(base_url=f"{product.parts.api}/api/v1", trust_env=False, timeout=20)
        email = f"tg{secrets.randbelow(10**12)}@example.com"
        registration = {"email": email, "password": "long enough", "company_name": "Romashka", "marketplace_type": "wildberries"}
        answer = self.expect(201, "POST", "/auth/register", json=registration)
        self.tenant_id = answer["tenant"]["id"]
        self.http.headers["Authorization"] = f"Bearer {answer['access_token']}"

    def expect(self, status: int, method: str, path: str, **arguments: Any) -> Any:
        answer = self.http.request(method, path, **arguments)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def give_key(self, *, products: int = 25, **token: Any) -> Any:
        key = issue_token(self.seller_id, products=products, **token)
        return self.expect(200, "PATCH", "/tenants/me/credentials", json={"wildberries_api_key": key})

    def hear(self, receiver: Receiver, *event_types: str) -> str:
        """Let events go to the receiver; gives the secret."""
        return self.expect(201, "POST", "/webhooks", json={"url": receiver.url, "event_types": list(event_types)})["secret"]

    def latest_sync(self) -> Any:
        items = self.expect(200, "GET", "/sync")["items"]
        return items[0] if items else None

    def wait_for_sync(self, condition: Callable[[Any], bool] = lambda run: run["status"] not in ("queued", "running")) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while True:
            run = self.latest_sync()
            if run is not None and condition(run):
                return run
            assert time.monotonic() < deadline, f"still {run}"
            time.sleep(0.05)

    def units_in_the_shop(self) -> int:
        """The truth, from the sandbox."""
        totals = self.product.sandbox("GET", f"/shops/{self.seller_id}")
        return totals["marketplace_quantity"] + totals["seller_quantity"]

    def products(self) -> list[Any]:
        """All of them, by cursor."""
        items: list[Any] = []
        cursor = None
        while True:
            page = self.expect(200, "GET", "/products", params={"limit": 500} | ({"cursor": cursor} if cursor else {}))
            items += page["items"]
            cursor = page["next_cursor"]
            if cursor is None:
                return items
