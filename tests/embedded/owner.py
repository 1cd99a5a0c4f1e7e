"""An owner of an embedded server as a process of its own, to be ended in every way."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from app.embedded.lifetime import Account, package_folder
from app.embedded.postgres import Postgres
from app.embedded.redis import Redis
from app.errors import StartRefused

ROOT = Path(__file__).parents[2]
SERVERS = {"postgres": Postgres, "redis": Redis}


ENVIRONMENT = {**os.environ, "PYTHONPATH": str(package_folder("msgspec").parent)}
"""Another installation of the same Python finds our packages, too."""


def python_of(account: Account) -> str | None:
    """A Python of our version that this user may run, and that can read this checkout."""
    for python in (sys.executable, shutil.which("python{}.{}".format(*sys.version_info), path="/usr/local/bin:/usr/bin")):
        with suppress(OSError, subprocess.CalledProcessError):
            if python:
                command = [python, "-B", "-c", "import tests.embedded.owner"]
                subprocess.run(command, cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True, **account)
                return python
    return None


class Owner:
    """Starts the server on entry, or has `refused` say why not. It then waits, and `exit()` makes it end without a stop."""

    def __init__(self, server: str, folder: Path, account: Account | None = None) -> None:
        self.process = subprocess.Popen(
            [python_of(account) if account else sys.executable, "-B", "-m", "tests.embedded.owner", server, folder],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **(account or {}),
        )
        self.pid = self.process.pid
        self.url = self.refused = ""

    def __enter__(self) -> Self:
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        # What it logs comes first.
        said = next((line for line in self.process.stdout if line.startswith("{")), None)
        assert said, self.process.stderr.read()
        answer = json.loads(said)
        self.url, self.refused = answer["url"], answer["refused"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.process.kill()
        self.process.communicate()

    def exit(self) -> None:
        self.process.communicate("")


def main(server: str, folder: str) -> None:
    owned = SERVERS[server](Path(folder))
    url = refused = ""
    try:
        url = owned.start()
    except StartRefused as error:
        refused = error.detail
    print(json.dumps({"url": url, "refused": refused}), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(*sys.argv[1:])
