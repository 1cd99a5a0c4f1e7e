"""The sandbox: marketplaces to develop, test and measure against. Production never imports it.

An ASGI application without a framework, since whoever measures the product wants the other side to cost next to nothing.
"""

import asyncio
import os
import socket
import threading
from collections.abc import Callable, Generator, MutableMapping
from contextlib import contextmanager, suppress
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.errors import StartRefused
from app.sandbox.clock import Clock
from app.sandbox.control import Control
from app.sandbox.messages import Answer, Receive, Send, receive_request, send_answer
from app.sandbox.ozon.catalogues import Catalogues
from app.sandbox.ozon.gateway import Ozon
from app.sandbox.state import Behaviour, State
from app.sandbox.wildberries.gateway import Wildberries

_NOTHING_HERE = Answer(404, b'{"error":"The marketplaces are below /wildberries and /ozon, the controls below /sandbox."}')


class Sandbox:
    """The application. `state`, and `catalogues`, the shops as Ozon sees them, are for whoever runs it in the same process; all others use
    `/sandbox`."""

    def __init__(self, state: State) -> None:
        self.state = state
        self.catalogues = Catalogues(state)
        self._control = Control(state, self.catalogues)
        self._wildberries = Wildberries(state)
        self._ozon = Ozon(state, self.catalogues)

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> object:
        request = await receive_request(scope, receive)
        delay_ms = 0
        if request.path.startswith("/wildberries/"):
            answer, delay_ms = self._wildberries.answer(request)
        elif request.path.startswith("/ozon/"):
            answer, delay_ms = self._ozon.answer(request)
        elif request.path == "/sandbox" or request.path.startswith("/sandbox/"):
            answer = self._control.answer(request)
        else:
            answer = _NOTHING_HERE
        if delay_ms:
            await asyncio.sleep(delay_ms / 1000)
        return await send_answer(answer, send, scope["state"]["connection"])


class _Connection(HttpToolsProtocol):
    """Shows the application its connection, since only there it can be reset."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app_state = {"connection": transport}


def create_sandbox(*, limits: bool = True, default_products: int = 25, delay_ms: int = 0, clock: Clock | None = None) -> Sandbox:
    """A sandbox without shops; each opens when its seller's token is first used."""
    behaviour = Behaviour(limits=limits, default_products=default_products, delay_ms=delay_ms)
    return Sandbox(State(behaviour, clock or Clock()))


def run(host: str, port: int, sandbox: Sandbox | None = None, *, on_listening: Callable[[str], object] | None = None) -> None:
    """Serve until SIGINT or SIGTERM. `on_listening` is told the URL once connections are accepted; port 0 takes a free one.

    Raises:
        StartRefused: the address can't be had.
    """
    with _listen(host, port) as listener:
        if on_listening is not None:
            on_listening(_url(listener))
        # uvicorn ends in good order at SIGINT and then raises it again.
        with suppress(KeyboardInterrupt):
            _server(sandbox or create_sandbox()).run(sockets=[listener])


@contextmanager
def serve_in_thread(sandbox: Sandbox | None = None, *, host: str = "127.0.0.1", port: int = 0) -> Generator[str]:
    """Serve from a thread of this process while the context lasts; gives the URL. Connections are accepted from the start.

    Raises:
        StartRefused: the address can't be had.
    """
    with _listen(host, port) as listener:
        server = _server(sandbox or create_sandbox())
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="sandbox", daemon=True)
        thread.start()
        try:
            yield _url(listener)
        finally:
            server.should_exit = True
            thread.join()


def _listen(host: str, port: int) -> socket.socket:
    """A listening socket: whoever connects before the server runs is served when it does."""
    try:
        return socket.create_server((host, port), backlog=1024)
    except OSError as error:
        raise StartRefused(f"The sandbox can't listen on {host}:{port}: {os.strerror(error.errno) if error.errno else error}.") from error


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{host}:{port}"


def _server(sandbox: Sandbox) -> uvicorn.Server:
    config = uvicorn.Config(
        sandbox,  # pyright: ignore[reportArgumentType]  it returns a value to break a connection, see send_answer
        lifespan="off",
        http=_Connection,
        access_log=False,
        log_config=None,
        # Below this, uvicorn reports the connections that we break on purpose.
        log_level="critical",
        server_header=False,
        # As long as real gateways keep an idle connection, so that clients meet no closed ones after a short pause.
        timeout_keep_alive=75,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)
