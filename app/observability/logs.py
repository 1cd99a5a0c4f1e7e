"""Logs: one event a line, with the request's id, in UTC, without secrets; our own and those of the libraries alike.

A line is a constant event name and fields: `log.info("run_finished", run_id=run.id, duration_s=2.1)`. Whoever knows the tenant binds it:
`structlog.contextvars.bind_contextvars(tenant_id=…)`.
"""

import json
import logging
import sys
from typing import Any, Literal, Protocol, TextIO

import msgspec
import structlog
from structlog.typing import Processor

from app.observability.masking import mask_secrets

# What each of them says at `info` is either ours to say or of no use.
_QUIET = ("httpx", "httpcore", "aiohttp", "asyncio", "taskiq", "litestar", "uvicorn", "uvicorn.error", "urllib3")


class LogSettings(Protocol):
    """The part of the settings that this needs."""

    @property
    def log_level(self) -> str: ...

    @property
    def log_format(self) -> Literal["console", "json"]: ...


def configure_logs(settings: LogSettings, stream: TextIO | None = None) -> None:
    """Set up structlog and the standard library's logging for this process; calling it again replaces what was set up.

    Lines go to `stream`, which is the standard error output if left out: the standard output belongs to what a command prints. A server
    must be started without a logging configuration of its own: `uvicorn.run(..., log_config=None, access_log=False)`.
    """
    out = stream or sys.stderr
    number = logging.getLevelNamesMapping()[settings.log_level.upper()]
    # Masking comes last before the rendering, so that it sees traces too.
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [structlog.processors.format_exc_info, mask_secrets, _renderer(settings.log_format, out)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.WriteLoggerFactory(file=out),
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(), structlog.stdlib.add_logger_name],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(number)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    # Our access line says all that uvicorn's does, and knows the request's id.
    logging.getLogger("uvicorn.access").disabled = True


def _renderer(log_format: Literal["console", "json"], out: TextIO) -> Processor:
    if log_format == "json":
        return structlog.processors.JSONRenderer(serializer=_to_json)
    # Not the default way to show traces: that one prints local variables, and secrets among them.
    return structlog.dev.ConsoleRenderer(colors=out.isatty(), exception_formatter=structlog.dev.plain_traceback)


def _to_json(event: Any, **_: Any) -> str:
    try:
        return msgspec.json.encode(event, enc_hook=repr).decode()
    except UnicodeEncodeError:  # half of a surrogate pair, which the standard library escapes
        return json.dumps(event, default=repr)
