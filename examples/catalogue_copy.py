"""Keep a copy of a seller's catalogue, in SQLite: pip install httpx."""

import json
import sqlite3

import httpx

SCHEMA = """
    CREATE TABLE IF NOT EXISTS products (id TEXT PRIMARY KEY, product TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS place (only_one INTEGER PRIMARY KEY CHECK (only_one = 1), cursor TEXT NOT NULL);
"""


async def catch_up(api: httpx.AsyncClient, copy: sqlite3.Connection) -> int:
    """Bring the copy up to date, the first time from nothing; how many changes came. `api` speaks for the seller, and its base URL ends in `/api/v1`."""
    copy.executescript(SCHEMA)
    came, more = 0, True
    while more:
        place = copy.execute("SELECT cursor FROM place").fetchone()
        answer = await api.get("/changes", params={"cursor": place[0]} if place else {})
        page = answer.raise_for_status().json()
        products = [item["product"] for item in page["items"]]
        # In one transaction, so that a bot that is killed here repeats a page and leaves none out.
        with copy:
            copy.executemany("REPLACE INTO products VALUES (?, ?)", [(product["id"], json.dumps(product)) for product in products])
            copy.execute("REPLACE INTO place VALUES (1, ?)", [page["next_cursor"]])
        came, more = came + len(products), page["more"]
    return came
