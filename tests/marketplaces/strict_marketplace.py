"""A marketplace of one bucket, which counts by the tokens in it: a second opinion on budgets that are kept as instants.

It speaks of its limits as Wildberries does. A path with `refuse` in it is answered by 400.
"""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StrictMarketplace:
    """`arrivals`: when each call came, in seconds, what it cost, by whom it was sent, and the status of the answer."""

    def __init__(self, interval_s: float, burst: int, refusal_cost: int = 1) -> None:
        self.url = ""
        self.interval_s = interval_s
        self.burst = burst
        self.refusal_cost = refusal_cost
        self.arrivals: list[tuple[float, int, str, int]] = []
        self._lock = threading.Lock()
        self._tokens = float(burst)
        self._counted_at = time.monotonic()

    def receive(self, path: str, sender: str) -> tuple[int, dict[str, str]]:
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self.burst, self._tokens + (now - self._counted_at) / self.interval_s)
            self._counted_at = now
            if self._tokens < 1.0:
                self.arrivals.append((now, 0, sender, 429))
                retry_s = (1.0 - self._tokens) * self.interval_s
                return 429, {"X-Ratelimit-Retry": str(math.ceil(retry_s)), "X-Ratelimit-Limit": str(self.burst)}
            status, cost = (400, self.refusal_cost) if "refuse" in path else (200, 1)
            self._tokens = max(self._tokens - cost, 0.0)
            self.arrivals.append((now, cost, sender, status))
            return status, {"X-RateLimit-Remaining": str(int(self._tokens))}

    def statuses(self, sender: str = "") -> list[int]:
        return [status for _, _, by, status in self.arrivals if by == sender]

    def share_used(self) -> float:
        """Of what the bucket gives while it is never full: from when its first burst was used to the last call."""
        later = self.arrivals[self.burst :]
        return sum(cost for _, cost, _, _ in later[:-1]) * self.interval_s / (later[-1][0] - later[0][0])


@contextmanager
def strict_marketplace(interval_s: float, burst: int, refusal_cost: int = 1) -> Iterator[StrictMarketplace]:
    marketplace = StrictMarketplace(interval_s, burst, refusal_cost)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            status, headers = marketplace.receive(self.path, self.headers.get("X-Sender", ""))
            self.send_response(status)
            for name, value in {**headers, "Content-Length": "2", "Content-Type": "application/json"}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Not on the test's terminal."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    marketplace.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield marketplace
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
