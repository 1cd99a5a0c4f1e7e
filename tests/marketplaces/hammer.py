"""A worker process that calls one method of one account as often as its limits let it, and says what came of it.

python -m tests.marketplaces.hammer '<Work as JSON>'
"""

import asyncio
import sys
from collections import Counter
from datetime import timedelta
from time import monotonic
from typing import Any

import msgspec

from app.marketplaces.errors import MarketplaceDown, RateLimited, UnexpectedResponse
from app.marketplaces.exchange import Answer, Budget, Call, make_http_client
from app.marketplaces.limits import SharedLimits
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.limit_headers import limit_news


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """`refused_every`: each so many calls of this process are such as the marketplace refuses."""

    redis_url: str
    url: str
    seconds: float
    budget: Budget
    method: str = "GET"
    headers: dict[str, str] = {}
    body: str = ""
    refused_every: int = 0
    tasks: int = 2


def read(answer: Answer) -> int:
    if answer.status == 429:
        raise RateLimited(timedelta(seconds=float(answer.headers.get("x-ratelimit-retry", "1"))))
    if answer.status >= 500:
        raise MarketplaceDown(f"Status {answer.status}.")
    if answer.status >= 400:
        raise UnexpectedResponse(f"Status {answer.status}.")
    return answer.status


async def hammer(work: Work) -> Counter[str]:
    outcomes: Counter[str] = Counter()
    limits = SharedLimits(work.redis_url)
    ends_at = monotonic() + work.seconds
    async with make_http_client() as http:

        async def call_on() -> None:
            transport = Transport(http, limits=limits, news=limit_news)
            while monotonic() < ends_at:
                outcomes["calls"] += 1
                is_refused = work.refused_every and outcomes["calls"] % work.refused_every == 0
                call = Call(
                    method=work.method,
                    url=work.url + ("/refuse" if is_refused else ""),
                    account="wildberries:seller:personal",
                    group="g",
                    budget=work.budget,
                    headers=work.headers,
                    body=work.body.encode() or None,
                    attempts=1,
                    patience_s=30.0,
                )
                try:
                    await transport.send(call, read)
                    outcomes["answered"] += 1
                except UnexpectedResponse:
                    outcomes["refused"] += 1

        await asyncio.gather(*(call_on() for _ in range(work.tasks)))
    await limits.aclose()
    return outcomes


def main(work: str) -> None:
    outcomes: dict[str, Any] = dict(asyncio.run(hammer(msgspec.json.decode(work, type=Work))))
    sys.stdout.write(msgspec.json.encode(outcomes).decode())


if __name__ == "__main__":
    main(sys.argv[1])
