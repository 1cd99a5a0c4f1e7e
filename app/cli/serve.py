"""The API as a process."""

import asyncio
import errno
import socket

import uvicorn
from uvicorn.supervisors import Multiprocess

from app.cli.connections import BoundedConnection
from app.cli.preflight import check_database
from app.errors import StartRefused
from app.observability.exposition import serving_metrics
from app.observability.logs import configure_logs
from app.settings import get_settings

# Answers that go on end by themselves at the signal (app/api/stop_signal.py). This is for readers that take nothing more, and for requests that wait for others:
# with what comes behind, the process is gone within 10 s.
STOP_TIMEOUT_S = 7


def serve_api(*, workers: int, host: str | None, port: int | None) -> None:
    """Serve until a signal comes.

    Raises:
        StartRefused: the settings, the database or the port are not as they must be.
    """
    settings = get_settings()
    configure_logs(settings)
    asyncio.run(check_database(settings))
    listener = listen(host or settings.api_host, settings.api_port if port is None else port)
    config = uvicorn.Config(
        "app.main:create_app",
        factory=True,
        loop="uvloop",
        http=BoundedConnection,
        workers=workers,
        log_config=None,
        access_log=False,
        server_header=False,
        # From these the caller's address and scheme are taken as they say (X-Forwarded-For, X-Forwarded-Proto); from others they are what they look like.
        forwarded_allow_ips=[str(network) for network in settings.trusted_proxies],
        timeout_graceful_shutdown=STOP_TIMEOUT_S,
        timeout_keep_alive=75,
    )
    with serving_metrics(settings, "api", processes=workers):
        if workers == 1:
            uvicorn.Server(config).run(sockets=[listener])
        else:
            Multiprocess(config, sockets=[listener]).run()


def listen(host: str, port: int) -> socket.socket:
    """A listening socket.

    Raises:
        StartRefused: the port is taken, or the address is not this machine's.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            raise StartRefused(
                f"API_PORT: port {port} on {host} is taken; stop what listens there, or choose another with --port."
            ) from None
        raise StartRefused(f"API_HOST: can't listen on {host}:{port}: {error.strerror}.") from None
    listener.set_inheritable(True)
    return listener
