"""Server-Sent Events as an answer: https://html.spec.whatwg.org/multipage/server-sent-events.html, read 2026-11-23."""

from collections.abc import AsyncGenerator
from typing import Final

from app.api.streams import Stream

MEDIA_TYPE: Final = "text/event-stream"
HEADERS: Final = ((b"content-type", MEDIA_TYPE.encode()), (b"cache-control", b"no-store"), (b"x-accel-buffering", b"no"))
"""nginx collects answers before it passes them on, unless the last of these tells it not to."""

KEEP_ALIVE: Final = b": keep-alive\n\n"
"""A comment, which readers pass over; proxies drop connections on which nothing comes. The standard's authoring notes advise one about every 15 s."""


def format_event(event: str, data: bytes, event_id: int) -> bytes:
    """An event on the wire. `data` has no line breaks, as JSON of msgspec's has none."""
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (event_id, event.encode(), data)


def format_retry(delay_ms: int) -> bytes:
    """How long a reader waits before it connects again."""
    return b"retry: %d\n\n" % delay_ms


def parse_event_id(text: str | None) -> int | None:
    """The number that `Last-Event-ID` holds, if it holds one. Anything else counts as none: a browser's reader can't mend it, and would take an error for
    the end."""
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 10 else None


class EventStream(Stream):
    """A stream of such events."""

    def __init__(self, pieces: AsyncGenerator[bytes]) -> None:
        super().__init__(pieces, HEADERS)
