"""A real HTTP server on loopback that answers what a test tells it to, byte for byte, faults included."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import parse_qs, urlsplit

import msgspec


class Received(msgspec.Struct, frozen=True):
    """A request as it arrived; header names in lower case."""

    method: str
    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    body: bytes


class Reply(msgspec.Struct, frozen=True):
    """What to answer. `cut_after` ends the connection after so many bytes of the body; `after_s` is how long the caller has to wait."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    content_type: str | None = "application/json"
    cut_after: int | None = None
    after_s: float = 0.0


HANG_UP = Reply(status=0)


def json_reply(value: object, status: int = 200, **headers: str) -> Reply:
    return Reply(status, msgspec.json.encode(value), headers)


class ScriptedServer:
    """`replies` are given in turn, the last one for ever; `requests` is what came."""

    def __init__(self) -> None:
        self.url = ""
        self.replies: Sequence[Reply] = (Reply(),)
        self.requests: list[Received] = []
        self.conversations: set[asyncio.Task[None]] = set()

    async def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        conversation = asyncio.create_task(self._converse(reader, writer))
        self.conversations.add(conversation)
        conversation.add_done_callback(self.conversations.discard)

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                request_line, *lines = head.decode("latin-1").split("\r\n")
                method, target, _ = request_line.split(" ")
                headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines if line)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                parts = urlsplit(target)
                self.requests.append(Received(method, parts.path, parse_qs(parts.query), headers, body))
                if not await self._answer(writer):
                    return
        except (asyncio.IncompleteReadError, ConnectionError):
            # The caller went away, which is its right.
            return
        finally:
            writer.close()

    async def _answer(self, writer: asyncio.StreamWriter) -> bool:
        """Whether the connection can be used again."""
        reply = self.replies[min(len(self.requests), len(self.replies)) - 1]
        await asyncio.sleep(reply.after_s)
        if reply is HANG_UP:
            return False
        fields = {"Content-Length": str(len(reply.body)), **reply.headers}
        if reply.content_type is not None:
            fields["Content-Type"] = reply.content_type
        head = "".join([f"HTTP/1.1 {reply.status} Scripted\r\n", *(f"{name}: {value}\r\n" for name, value in fields.items()), "\r\n"])
        writer.write(head.encode("latin-1") + reply.body[: reply.cut_after])
        await writer.drain()
        return reply.cut_after is None


@asynccontextmanager
async def scripted_server() -> AsyncIterator[ScriptedServer]:
    script = ScriptedServer()
    server = await asyncio.start_server(script.accept, "127.0.0.1", 0)
    script.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield script
    finally:
        server.close()
        await server.wait_closed()
        for conversation in script.conversations:
            conversation.cancel()
        await asyncio.gather(*script.conversations, return_exceptions=True)
