"""The bot's memory: for each seller one sealed file with the tokens and the webhook's secret. No key of a marketplace is ever in it."""

import asyncio
import base64
import hmac
import json
from collections import deque
from pathlib import Path

import httpx
from cryptography.fernet import Fernet
from stock_tracker import StockTracker, Tokens, Webhook

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
        self.api = StockTracker(
            sellers.http,
            email=f"tg{telegram_user_id}@example.com",
            password=sellers.derive(f"password:{telegram_user_id}"),
            tokens=Tokens(*kept["tokens"]) if kept.get("tokens") else None,
            keep=lambda _: self.save(),
        )

    def save(self) -> None:
        self._sellers.save(
            self.telegram_user_id,
            {
                "tokens": [self.api.tokens.access, self.api.tokens.refresh] if self.api.tokens else [],
                "webhook": [self.webhook.id, self.webhook.secret] if self.webhook else [],
                "delivered": list(self.delivered),
            },
        )


class Sellers:
    """All sellers. `secret` is at least 32 random characters and never changes: the passwords and the files' keys come from it."""

    def __init__(self, http: httpx.AsyncClient, secret: str, folder: Path) -> None:
        if len(secret) < 32:
            raise ValueError("BOT_SECRET must have at least 32 characters; make one: openssl rand -hex 32")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.http = http
        self._secret = secret.encode()
        self._folder = folder
        self._known: dict[int, Seller] = {}

    # region: secrets
    def derive(self, purpose: str) -> str:
        """A secret of 256 bits for one purpose of one seller: nothing to store, and none tells anything of another."""
        return base64.urlsafe_b64encode(hmac.digest(self._secret, purpose.encode(), "sha256")).decode()

    def save(self, telegram_user_id: int, kept: dict[str, list[str]]) -> None:
        """Seal the seller's file, and put it in the old one's place in one step: a crash leaves either, never half."""
        file = self._file(telegram_user_id)
        draft = file.with_suffix(".draft")
        draft.touch(mode=0o600)
        draft.write_bytes(self._fernet(telegram_user_id).encrypt(json.dumps(kept).encode()))
        draft.replace(file)

    def _fernet(self, telegram_user_id: int) -> Fernet:
        return Fernet(self.derive(f"file:{telegram_user_id}"))

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
