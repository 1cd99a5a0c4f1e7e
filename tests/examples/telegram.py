"""The outside world of a bot: a server that answers as Telegram's Bot API does (https://core.telegram.org/bots/api), and the chats behind it."""

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qsl

TOKEN = "42:a-token-of-no-bot"
LONGEST_POLL_S = 5.0


class Telegram:
    """What sellers write, and what the bot writes and deletes."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._updates: list[dict[str, Any]] = []
        self._sent: list[tuple[int, str]] = []
        self._read: dict[int, int] = {}
        self._refusals: dict[tuple[str, int], dict[str, Any]] = {}
        self._confirmed = 0
        self._stopping = False
        self.deleted: set[tuple[int, int]] = set()
        self.previews: defaultdict[int, list[dict[str, Any]]] = defaultdict(list)
        """What the bot asked for about previews, by chat."""
        telegram = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
                as_json = self.headers.get("Content-Type", "").startswith("application/json")
                fields = json.loads(body or b"{}") if as_json else dict(parse_qsl(body.decode()))
                answer = telegram.answer(self.path.rpartition("/")[2], fields)
                content = json.dumps(answer).encode()
                self.send_response(answer.get("error_code", 200))
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name that is overridden
                """The tests say what matters."""

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, request: object, client_address: object) -> None:
                """A bot that is stopped leaves its poll."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.root = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._server.shutdown()
        self._server.server_close()

    def write(self, seller: int, text: str, *, chat: int | None = None) -> int:
        """The seller writes; gives the message's id. `chat` is a group's, where it isn't the private one."""
        with self._changed:
            number = len(self._updates) + 1
            command = (
                {"entities": [{"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}]}
                if text.startswith("/")
                else {}
            )
            where = (
                {"id": seller, "type": "private", "first_name": "Анна"}
                if chat is None
                else {"id": chat, "type": "group", "title": "Ромашка"}
            )
            message = {
                "message_id": number,
                "date": int(time.time()),
                "chat": where,
                "from": {"id": seller, "is_bot": False, "first_name": "Анна"},
                "text": text,
                **command,
            }
            self._updates.append({"update_id": number, "message": message})
            self._changed.notify_all()
            return number

    def read(self, seller: int, within_s: float = 30.0) -> str:
        """The next message to the seller."""
        with self._changed:
            read = self._read.get(seller, 0)
            if not self._changed.wait_for(lambda: len(self.messages_to(seller)) > read, within_s):
                raise AssertionError(f"The bot wrote nothing more; before it wrote {self.messages_to(seller)}")
            self._read[seller] = read + 1
            return self.messages_to(seller)[read]

    def messages_to(self, seller: int) -> list[str]:
        return [text for chat, text in self._sent if chat == seller]

    def refuse(self, method: str, seller: int, code: int, description: str, **parameters: Any) -> None:
        """Refuse this method once for this chat."""
        self._refusals[method, seller] = {"ok": False, "error_code": code, "description": description, "parameters": parameters}

    def refused(self, method: str, seller: int) -> bool:
        return (method, seller) not in self._refusals

    def answer(self, method: str, fields: dict[str, Any]) -> dict[str, Any]:
        chat = int(fields.get("chat_id", 0))
        if refusal := self._refusals.pop((method, chat), None):
            return refusal
        answers: dict[str, Callable[[], Any]] = {
            "getme": lambda: {"id": 42, "is_bot": True, "first_name": "Bot", "username": "stock_bot"},
            "getupdates": lambda: self._poll(int(fields.get("offset", 0)), float(fields.get("timeout", 0))),
            "sendmessage": lambda: self._send(chat, fields["text"], fields.get("link_preview_options")),
            "deletemessage": lambda: self._delete(chat, int(fields["message_id"])),
            "deletewebhook": lambda: True,
        }
        if method.lower() not in answers:
            return {"ok": False, "error_code": 404, "description": f"Not Found: {method}"}
        return {"ok": True, "result": answers[method.lower()]()}

    def _poll(self, offset: int, timeout_s: float) -> list[dict[str, Any]]:
        with self._changed:
            # What is below an offset was handled, also for a bot that starts again.
            self._confirmed = max(self._confirmed, offset - 1)
            self._changed.wait_for(lambda: self._stopping or len(self._updates) > self._confirmed, min(timeout_s, LONGEST_POLL_S))
            return self._updates[self._confirmed :]

    def _send(self, chat: int, text: str, preview: dict[str, Any] | str | None) -> dict[str, Any]:
        with self._changed:
            if preview is not None:
                # In a form it is JSON in a field.
                self.previews[chat].append(json.loads(preview) if isinstance(preview, str) else preview)
            self._sent.append((chat, text))
            self._changed.notify_all()
            return {"message_id": 10**6 + len(self._sent), "date": int(time.time()), "chat": {"id": chat, "type": "private"}, "text": text}

    def _delete(self, chat: int, message_id: int) -> bool:
        self.deleted.add((chat, message_id))
        return True
