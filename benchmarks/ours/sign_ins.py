"""People who sign in, as many at once as is said, again and again until the process is ended. Each has an account of its own that does not exist, so none is slowed down.

As a process: URL of the API, how many.
"""

import asyncio
import sys
from uuid import uuid4

import httpx


async def _sign_in_for_ever(client: httpx.AsyncClient) -> None:
    while True:
        await client.post("/api/v1/auth/login", json={"email": f"{uuid4()}@example.com", "password": "not a password of anybody"})


async def _main(api: str, people: int) -> None:
    async with httpx.AsyncClient(base_url=api, trust_env=False, timeout=60) as client, asyncio.TaskGroup() as signing_in:
        for _ in range(people):
            signing_in.create_task(_sign_in_for_ever(client))


if __name__ == "__main__":
    asyncio.run(_main(sys.argv[1], int(sys.argv[2])))
