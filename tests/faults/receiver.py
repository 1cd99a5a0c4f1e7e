"""The bots' end of the webhooks: it verifies each signature, as a bot would, and remembers what came."""

import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from standardwebhooks import Webhook


class Receiver:
    """One server for all tenants; each has an address of its own in it. `heard` counts deliveries by tenant and event, `refused` says what did not verify."""

    def __init__(self) -> None:
        self.heard: Counter[tuple[str, str]] = Counter()
        self.refused: list[str] = []
        self._secrets: dict[str, str] = {}
        self._lock = threading.Lock()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                length = int(self.headers.get("Content-Length", "0"))
                body = self.rfile.read(length)
                if len(body) < length:
                    return  # its sender was killed in the middle
                headers = {name.lower(): value for name, value in self.headers.items()}
                self.send_response(204 if receiver._take(self.path.rpartition("/")[2], headers, body) else 401)
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
                """What matters is remembered."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, request: object, client_address: object) -> None:
                """A worker that is killed leaves its connection in the middle."""

        self._server = Server(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, name="receiver", daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def url(self, tenant_id: str) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/{tenant_id}"

    def expect(self, tenant_id: str, secret: str) -> None:
        """From now on the tenant's deliveries are signed with that secret."""
        self._secrets[tenant_id] = secret

    def _take(self, tenant_id: str, headers: dict[str, str], body: bytes) -> bool:
        event_id = headers.get("webhook-id", "")
        # The endpoint's secret may still be on its way to us, when its first event comes already.
        secret = self._secrets.get(tenant_id)
        if secret is None:
            return False
        try:
            Webhook(secret).verify(body, headers)
        except Exception as error:  # noqa: BLE001 - whatever the library says is why
            with self._lock:
                self.refused.append(f"{event_id} for {tenant_id}: {error!r}")
            return False
        with self._lock:
            self.heard[tenant_id, event_id] += 1
        return True
