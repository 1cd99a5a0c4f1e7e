"""A seller who uses the API as a bot would."""

from typing import Any, Self

import httpx

from benchmarks.shops import seller_token
from benchmarks.site import await_truth, free_port

SYNC_WITHIN_S = 240.0


class Seller:
    """Registered at the API of this URL, with a sandbox shop of so many products. Its access token lives for 15 minutes."""

    def __init__(self, api: str, products: int, number: int = 0) -> None:
        self.api = api
        self._key = seller_token(products, number)
        self._http = httpx.Client(base_url=f"{api}/api/v1", trust_env=False, timeout=30.0)
        registration = {
            "email": f"seller-{products}-{number}@example.com",
            "password": "a password of the benchmarks",
            "company_name": "Benchmark",
            "marketplace_type": "wildberries",
        }
        tokens = self._expect(self._http.post("/auth/register", json=registration))
        self.tenant_id: str = tokens["tenant"]["id"]
        self.access_token: str = tokens["access_token"]
        self._http.headers["Authorization"] = f"Bearer {self.access_token}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def give_key(self) -> None:
        """Which starts the first sync."""
        self._expect(self._http.patch("/tenants/me/credentials", json={"wildberries_api_key": self._key}))

    def ask_for(self, *stages: str) -> None:
        """A first sync of these stages alone; an unverified key starts none by itself."""
        self._expect(self._http.patch("/tenants/me/credentials", params={"verify": "false"}, json={"wildberries_api_key": self._key}))
        self.post("/sync", {"scopes": stages})

    def await_sync(self) -> None:
        """Wait until the first sync succeeded.

        Raises:
            TimeoutError: it did not.
        """
        await_truth(
            lambda: any(run["status"] == "succeeded" for run in self.get("/sync")["items"]), SYNC_WITHIN_S, "the first sync succeeds"
        )

    def get(self, path: str) -> Any:
        return self._expect(self._http.get(path))

    def post(self, path: str, body: object) -> Any:
        return self._expect(self._http.post(path, json=body))

    def _expect(self, answer: httpx.Response) -> Any:
        if not answer.is_success:
            raise RuntimeError(f"{answer.request.method} {answer.request.url.path} answered {answer.status_code}: {answer.text[:500]}")
        return answer.json()


def api_arguments() -> tuple[str, list[str]]:
    """Where an API will listen, and the command that starts it there."""
    port = free_port()
    return f"http://127.0.0.1:{port}", ["-m", "app.cli.main", "serve", "--port", str(port)]


def worker_arguments() -> list[str]:
    return ["-m", "app.cli.main", "worker"]
