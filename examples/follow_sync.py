"""Follow a sync until it is done: pip install httpx."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx

RECONNECT_S = 2
# The service sends a comment every 15 s; where nothing at all comes, nobody is there any more.
TIMEOUT = httpx.Timeout(10, read=40)


async def follow(api: httpx.AsyncClient, sync_id: str) -> AsyncIterator[dict[str, Any]]:
    """The sync, each time that it has gone on; the last time it is finished. `api` speaks for the seller, and its base URL ends in `/api/v1`."""
    seen: dict[str, str] = {}
    while True:
        try:
            async with api.stream("GET", f"/sync/{sync_id}/events", headers=seen, timeout=TIMEOUT) as answer:
                if answer.status_code == 204:
                    return
                if answer.status_code < 500:
                    answer.raise_for_status()
                event: dict[str, str] = {}
                async for line in answer.aiter_lines():
                    name, _, value = line.partition(": ")
                    event[name] = value
                    if not line and "data" in event:
                        # Known only now, so that an event that was torn apart comes again.
                        seen = {"Last-Event-ID": event["id"]}
                        yield json.loads(event["data"])
                        if event["event"] == "finished":
                            return
                        event = {}
        except httpx.TransportError:
            pass  # the service was restarted, or the way to it broke: go on behind what was seen
        await asyncio.sleep(RECONNECT_S)
