"""The bot's memory: for each seller one sealed file with the webhook's secret. No password, token or key of a marketplace is ever in it."""

import asyncio
import base64
import hmac
import json
from collections import deque
from pathlib import Path

import httpx
from cryptography.fernet import Fernet
from stock_tracker import StockTracker, Webhook

DELIVERIES_REMEMBERED = 50


class Seller:
    """A seller, known by the Telegram user id, which is the id of the private chat too."""

    def __init__(self, telegram_user_id: int, sellers: "Sellers", kept: dict[str, list[str]]) -> None:
        self.telegram_user_id = telegram_user_id
        self.webhook = Webhook(*kept["webhook"]) if kept.get("webhook") else None
        # The ids of messages that were passed on: a webhook may arrive twice.
        self.delivered = deque(kept.get("delivered", []), maxlen=DELIVERIES_REMEMBERED)
        self.starting = asyncio.Lock()
        self._sellers = sellers
        # After a restart the service key brings new tokens, so these need no place on a disk.
        self.api = StockTracker(sellers.http, sellers.service_key, telegram_user_id)

    def save(self) -> None:
        self._sellers.save(
            self.telegram_user_id,
            {"webhook": [self.webhook.id, self.webhook.secret] if self.webhook else [], "delivered": list(self.delivered)},
        )


class Sellers:
    """All sellers. `secret` is at least 32 random characters and never changes: the files' keys come from it."""

    def __init__(self, http: httpx.AsyncClient, service_key: str, secret: str, folder: Path) -> None:
        if len(secret) < 32:
            raise ValueError("BOT_SECRET must have at least 32 characters; make one: openssl rand -hex 32")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.http = http
        self.service_key = service_key
        self._secret = secret.encode()
        self._folder = folder
        self._known: dict[int, Seller] = {}

    # region: secrets
    def save(self, telegram_user_id: int, kept: dict[str, list[str]]) -> None:
        """Seal the seller's file, and put it in the old one's place in one step: a crash leaves either, never half."""
        file = self._file(telegram_user_id)
        draft = file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_bytes(self._fernet(telegram_user_id).encrypt(json.dumps(kept).encode()))
        draft.replace(file)

    def _fernet(self, telegram_user_id: int) -> Fernet:
        """Each file has a key of its own, so that one can't stand in for another."""
        return Fernet(base64.urlsafe_b64encode(hmac.digest(self._secret, f"file:{telegram_user_id}".encode(), "sha256")))

    # endregion

    def get(self, telegram_user_id: int) -> Seller:
        """The seller, new or known."""
        if telegram_user_id not in self._known:
            file = self._file(telegram_user_id)
            kept: dict[str, list[str]] = {}
            if file.exists():
                kept = json.loads(self._fernet(telegram_user_id).decrypt(file.read_bytes()))
            self._known[telegram_user_id] = Seller(telegram_user_id, self, kept)
        return self._known[telegram_user_id]

    def find(self, telegram_user_id: int) -> Seller | None:
        """The seller, if known."""
        return self.get(telegram_user_id) if self._file(telegram_user_id).exists() else None

    def _file(self, telegram_user_id: int) -> Path:
        return self._folder / f"{telegram_user_id}.sealed"
