"""The lines that a process writes: its own and its libraries', in one form."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime
from typing import Any, Literal, NamedTuple

import pytest
import structlog

from app.observability.logs import configure_logs
from app.secret import Secret


class Chosen(NamedTuple):
    log_level: str
    log_format: Literal["console", "json"]


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Logging is the process's: what a test sets up must not outlive it."""
    before, root, level = structlog.get_config(), logging.getLogger(), logging.getLogger().level
    handlers = root.handlers
    yield
    structlog.configure(**before)
    structlog.contextvars.clear_contextvars()
    root.handlers, root.level = handlers, level


def lines(out: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_has_an_event_a_level_a_time_in_utc_and_its_fields() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)

    structlog.get_logger().info("run_finished", products=7)

    (line,) = lines(out)
    at = datetime.fromisoformat(line.pop("timestamp"))
    assert at.utcoffset() is not None
    assert line == {"event": "run_finished", "level": "info", "products": 7}


def test_what_was_bound_to_the_request_is_in_each_line() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)
    structlog.contextvars.bind_contextvars(request_id="mine", tenant_id="acme")

    structlog.get_logger().info("ours")
    logging.getLogger("somebody").warning("theirs")

    assert [(line["request_id"], line["tenant_id"]) for line in lines(out)] == [("mine", "acme"), ("mine", "acme")]


def test_the_level_decides_what_is_written() -> None:
    out = io.StringIO()
    configure_logs(Chosen("warning", "json"), out)

    structlog.get_logger().info("too_quiet")
    structlog.get_logger().warning("loud_enough")
    logging.getLogger("somebody").info("too quiet")

    assert [line["event"] for line in lines(out)] == ["loud_enough"]


def test_a_librarys_line_has_the_same_form_and_says_whose_it_is() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)

    logging.getLogger("asyncpg.pool").warning("pool of %s is full", "stock", extra={"size": 10})

    (line,) = lines(out)
    del line["timestamp"]
    assert line == {"event": "pool of stock is full", "level": "warning", "logger": "asyncpg.pool", "size": 10}


@pytest.mark.parametrize("name", ["httpx", "uvicorn.error", "taskiq.worker", "litestar", "httpcore.connection"])
def test_chatty_libraries_are_heard_from_warning_on(name: str) -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)

    logging.getLogger(name).info("chat")
    logging.getLogger(name).warning("worth hearing")

    assert [line["event"] for line in lines(out)] == ["worth hearing"]


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_no_secret_is_written_by_us_or_by_a_library_in_a_line_or_in_a_trace(log_format: Any) -> None:
    out = io.StringIO()
    configure_logs(Chosen("debug", log_format), out)
    log, theirs = structlog.get_logger(), logging.getLogger("somebody")

    # Backwards, since a trace shows the lines of the source.
    secret = "terces-dekram"[::-1]

    def connect(password: str) -> None:
        raise ConnectionError(f"postgresql://app:{password}@db refused")

    log.info("secret_given", key=Secret(secret), password=secret, note=f"Bearer {secret}")
    theirs.warning("password=%s", secret)
    try:
        connect(secret)
    except ConnectionError:
        log.exception("failed")
        theirs.exception("failed too")

    assert out.getvalue().count("ConnectionError") >= 2
    assert secret not in out.getvalue()


def test_a_trace_stands_in_the_line_of_its_event() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)

    structlog.get_logger().error("request_failed", exc_info=ValueError("bad"))

    (line,) = lines(out)
    assert line["event"] == "request_failed"
    assert "ValueError: bad" in line["exception"]


def test_a_line_for_people_is_one_line_without_colours_in_a_file() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "console"), out)

    structlog.get_logger().info("run_finished", products=7)

    assert "run_finished" in out.getvalue()
    assert "products=7" in out.getvalue()
    assert "\x1b" not in out.getvalue()
    assert out.getvalue().count("\n") == 1


def test_a_value_with_half_of_a_character_is_written_all_the_same() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)

    structlog.get_logger().info("odd", value="a\ud800b")

    assert lines(out)[0]["event"] == "odd"


def test_a_value_can_not_begin_a_line_of_its_own() -> None:
    out = io.StringIO()
    configure_logs(Chosen("info", "json"), out)

    structlog.get_logger().info("odd", value='x\n{"event": "forged"}')

    assert [line["event"] for line in lines(out)] == ["odd"]
