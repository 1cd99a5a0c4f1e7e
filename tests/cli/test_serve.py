"""Several processes of one kind: they share the work, and end together in good order."""

import signal
from urllib.parse import urlsplit, urlunsplit

import httpx
import pytest

from tests.cli.commands import children_of, free_port, read_until, run, running
from tests.embedded.processes import eventually, needs_proc


def answers(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@needs_proc
def test_two_processes_serve_one_port_with_bounded_heads_and_stop_when_they_are_told(environment: dict[str, str]):
    port = free_port()

    with running(environment | {"METRICS_ADDRESS": ""}, "serve", "--workers", "2", "--port", str(port)) as serving:
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health/ready"))
        children = children_of(serving.pid)
        answer = httpx.get(f"http://127.0.0.1:{port}/health/live", trust_env=False)
        too_long = httpx.get(f"http://127.0.0.1:{port}/health/live", headers={"X-Long": "x" * 1_000_000}, trust_env=False)
        serving.send_signal(signal.SIGTERM)
        assert serving.stdout is not None
        said = serving.stdout.read()

        assert serving.wait(20) == 0, said
        assert len(children) >= 2
        assert (too_long.status_code, answer.headers.get("server")) == (400, None)
        assert "Traceback" not in said
        eventually(lambda: not any(children_of(child) for child in children))
        assert not answers(f"http://127.0.0.1:{port}/health/live")


def test_two_worker_processes_start_and_stop_together(environment: dict[str, str]):
    with running(environment | {"METRICS_ADDRESS": ""}, "worker", "--processes", "2") as working:
        read_until(working, "worker.started", 2)
        working.send_signal(signal.SIGTERM)
        assert working.stdout is not None
        said = working.stdout.read()

        assert working.wait(20) == 0, said
        assert said.count("worker.stopped") == 2
        assert "Traceback" not in said


@pytest.mark.parametrize(
    ("arguments", "word"),
    [(("nonsense",), "nonsense"), (("serve", "--workers", "0"), "--workers"), (("worker", "--concurrency", "many"), "--concurrency"),
     (("dev", "--port", "65536"), "--port")],
)  # fmt: skip
def test_a_command_that_is_not_understood_says_so(environment: dict[str, str], arguments: tuple[str, ...], word: str):
    done = run(environment, *arguments)

    assert done.returncode == 2
    assert word in done.stderr
    assert "Traceback" not in done.stderr


def test_an_address_of_another_machine_is_one_line(environment: dict[str, str]):
    done = run(environment, "serve", "--host", "203.0.113.7", "--port", "0")

    assert done.returncode == 2
    assert done.stderr.startswith("stock-tracker: API_HOST: can't listen on 203.0.113.7")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("host", ["not-a-host.invalid", "::1%nope", "300.1.1.1"])
def test_an_address_that_is_none_is_one_line(environment: dict[str, str], host: str):
    done = run(environment, "serve", "--host", host, "--port", "0")

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("stock-tracker: API_HOST")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(("user", "name"), [("nobody:hidden-word", "postgres"), (None, "no_such_database")])
def test_a_database_that_refuses_is_one_line_that_hides_the_password(environment: dict[str, str], user: str | None, name: str):
    url = urlsplit(environment["DATABASE_URL"])
    ours, _, server = url.netloc.rpartition("@")
    wrong = urlunsplit(url._replace(netloc=f"{user or ours}@{server}", path=f"/{name}"))

    done = run(environment | {"DATABASE_URL": wrong}, "scheduler")

    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("stock-tracker: DATABASE_URL")
    assert len(done.stderr.splitlines()) == 1
    assert "hidden-word" not in done.stderr


@pytest.mark.parametrize(("trusted", "statuses"), [("127.0.0.1", [401, 401, 429, 401]), ("10.0.0.0/8", [401, 401, 429, 429])])
def test_a_callers_address_is_what_a_trusted_proxy_says_and_no_other(environment: dict[str, str], trusted: str, statuses: list[int]):
    port = free_port()
    limits = {"METRICS_ADDRESS": "", "TRUSTED_PROXIES": trusted, "RATE_LIMIT_AUTH_PER_MINUTE": "2"}

    def sign_in(address: str) -> int:
        stranger = {"email": "nobody@example.com", "password": "not a password of anybody"}
        url = f"http://127.0.0.1:{port}/api/v1/auth/login"
        return httpx.post(url, json=stranger, headers={"X-Forwarded-For": address}, trust_env=False).status_code

    with running(environment | limits, "serve", "--port", str(port)):
        eventually(lambda: answers(f"http://127.0.0.1:{port}/health/ready"))

        assert [sign_in(address) for address in ("203.0.113.1",) * 3 + ("203.0.113.2",)] == statuses
