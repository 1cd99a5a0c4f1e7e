"""What the tests ask of the sandbox, as short as it can be said."""

from typing import Any

import httpx

from tests.sandbox.conformance import CARDS

Json = dict[str, Any]


async def list_cards(client: httpx.AsyncClient, cursor: Json | None = None, *, ascending: bool = True, **filter_: object) -> Json:
    """One page; `filter_` are Wildberries' own names."""
    settings = {"sort": {"ascending": ascending}, "filter": {"withPhoto": -1, **filter_}, "cursor": cursor or {}}
    answer = await client.post(CARDS, json={"settings": settings})
    assert answer.status_code == 200, answer.text
    return answer.json()


async def walk_cards(client: httpx.AsyncClient, limit: int = 100, *, ascending: bool = True, after: Json | None = None) -> list[Json]:
    """All cards behind a cursor, as a careful client collects them: until a page isn't full."""
    cards: list[Json] = []
    cursor: Json = after or {}
    while True:
        page = await list_cards(client, {**cursor, "limit": limit}, ascending=ascending)
        cards += page["cards"]
        if page["cursor"]["total"] < limit:
            return cards
        cursor = {"updatedAt": page["cursor"]["updatedAt"], "nmID": page["cursor"]["nmID"]}


async def report(client: httpx.AsyncClient, path: str, **question: object) -> list[Json]:
    """The rows of a stock report."""
    answer = await client.post(path, json=question)
    assert answer.status_code in (200, 204), answer.text
    return answer.json()["data"]["items"] if answer.status_code == 200 else []


def order_number(srid: str) -> int:
    """The shop's own number of an order, which the controls want."""
    return int(srid.split(".")[1].removeprefix("r"), 16)
