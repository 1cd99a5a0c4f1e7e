"""One seller's account at Ozon: the key, and how a method is called with it.

Time-outs, retries and limits are the transport's business; what a refusal means stands in refusals.py.
"""

import hashlib
import re
from collections.abc import Callable
from typing import TypeVar

import msgspec

from app.marketplaces.contract import Marketplace, Traffic
from app.marketplaces.errors import CredentialsRejected
from app.marketplaces.exchange import Answer, Call, is_sendable
from app.marketplaces.items import UNREADABLE, misunderstood
from app.marketplaces.ozon.keys import OzonCredentials, OzonKey
from app.marketplaces.ozon.methods import GROUP, LIMIT, Method
from app.marketplaces.ozon.refusals import excerpt_of, refusal
from app.marketplaces.transport import Transport
from app.secret import Secret

Result = TypeVar("Result")

# "Client-Id header value should be positive integer"; it is an int64.
_CLIENT_ID = re.compile(r"[1-9][0-9]{0,18}")

_encode = msgspec.json.Encoder().encode


class Account:
    """`client_id` is None for an OAuth token, which doesn't tell whose it is."""

    def __init__(self, key: OzonKey, transport: Transport, base_url: str) -> None:
        self._transport = transport
        self._base_url = base_url.rstrip("/")
        self._headers: dict[str, str | Secret] = {"Content-Type": "application/json"}
        if isinstance(key, OzonCredentials):
            self.client_id: str | None = key.client_id
            self._secret = key.api_key
            self._headers |= {"Client-Id": key.client_id, "Api-Key": key.api_key}
            # Ozon counts per Client-Id, whichever of its keys is used.
            self._name = f"ozon:{key.client_id}"
        else:
            self.client_id = None
            self._secret = key.access_token
            self._headers["Authorization"] = Secret(f"Bearer {key.access_token.reveal()}")
            self._name = f"ozon:token:{hashlib.sha256(key.access_token.reveal().encode(errors='replace')).hexdigest()[:32]}"

    @property
    def traffic(self) -> Traffic:
        return self._transport.traffic

    async def call(self, method: Method, read: Callable[[Answer], Result], question: msgspec.Struct | None = None) -> Result:
        """Call the method and read its answer, of status 200, with `read`.

        Raises:
            MarketplaceError: see app.marketplaces.errors, and `MethodClosed` and `ShopBlocked`.
        """
        self.refuse_unusable_key()
        call = Call(
            method="POST",
            url=f"{self._base_url}{method.path}",
            account=self._name,
            group=GROUP,
            budget=LIMIT,
            headers=self._headers,
            body=None if question is None else _encode(question),
            attempts=method.attempts,
            patience_s=method.patience_s,
            timeout_s=method.timeout_s,
            max_bytes=method.max_bytes,
        )

        def understand(answer: Answer) -> Result:
            if answer.status != 200:
                raise refusal(answer, method)
            try:
                return read(answer)
            except UNREADABLE as error:
                raise misunderstood(Marketplace.OZON, method.path, error, excerpt_of(answer)) from error

        return await self._transport.send(call, understand)

    def refuse_unusable_key(self) -> None:
        """What is known to fail isn't sent.

        Raises:
            CredentialsRejected: it can't be a key at all.
        """
        if self.client_id is not None and (_CLIENT_ID.fullmatch(self.client_id) is None or int(self.client_id) >= 2**63):
            raise CredentialsRejected(
                "This can't be a Client-Id of Ozon, which is a positive number.",
                detail_ru="Это не может быть Client-Id магазина Ozon: он — положительное число.",
            )
        if not is_sendable(self._secret):
            raise CredentialsRejected(
                "This can't be a key of Ozon: it is empty, too long, or has characters that no key has.",
                detail_ru="Это не может быть ключом Ozon: он пуст, слишком длинный или содержит недопустимые символы.",
            )
