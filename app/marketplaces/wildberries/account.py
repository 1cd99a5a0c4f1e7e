"""One seller's account at Wildberries: the key, and how a method is called with it.

Time-outs, retries and limits are the transport's business; what a refusal means stands in refusals.py.
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from app.marketplaces.contract import Marketplace, Traffic
from app.marketplaces.errors import CredentialsRejected, UnexpectedResponse
from app.marketplaces.exchange import Answer, Call, is_sendable
from app.marketplaces.items import UNREADABLE, misunderstood
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.hosts import WildberriesHosts
from app.marketplaces.wildberries.methods import Method
from app.marketplaces.wildberries.refusals import refusal
from app.marketplaces.wildberries.token import TokenType, access_of, read_token
from app.secret import Secret

Result = TypeVar("Result")

TEST_KEY = ("This is a test key: it works in Wildberries' sandbox only.", "Это тестовый ключ: он работает только в песочнице Wildberries.")

# A run is put back for so long; for more, it ends, and another one goes on.
SHORT_INTERVAL_S = 300.0

_encode = msgspec.json.Encoder().encode


class Account:
    """`client_secret` is that of a service registered with Wildberries; it goes with every call.

    `token` is what the key says of itself, None if it can't be read; `access` is what Wildberries lets it do.
    """

    def __init__(self, api_key: Secret, transport: Transport, hosts: WildberriesHosts, client_secret: Secret | None = None) -> None:
        self._transport = transport
        self._hosts = hosts
        self._is_sendable = is_sendable(api_key)
        self.token = read_token(api_key)
        self.access = access_of(self.token, has_secret=bool(client_secret))
        self._headers: dict[str, str | Secret] = {"Authorization": api_key, "Content-Type": "application/json"}
        if client_secret:
            self._headers["X-Client-Secret"] = client_secret
        self._name = self._budgets_owner(api_key)

    @property
    def traffic(self) -> Traffic:
        return self._transport.traffic

    async def call(
        self,
        method: Method,
        read: Callable[[Answer], Result],
        question: msgspec.Struct | None = None,
        *,
        query: Mapping[str, str | int] | None = None,
        path: Mapping[str, str | int] | None = None,
        patience_s: float | None = None,
    ) -> Result:
        """Call the method and read its answer, of status 200 or 204, with `read`.

        Raises:
            MarketplaceError: see app.marketplaces.errors, and `ClosedToKey` and `NothingThere`.
        """
        self.refuse_unusable_key()
        target = method.path.format_map({name: quote(str(value), safe="") for name, value in (path or {}).items()})
        call = Call(
            method=method.verb,
            url=f"{self._hosts.url(method.host)}{target}{f'?{urlencode(query)}' if query else ''}",
            account=self._name,
            group=method.group,
            budget=method.budget(self.access),
            headers=self._headers,
            body=None if question is None else _encode(question),
            attempts=method.attempts,
            patience_s=method.patience_s if patience_s is None else patience_s,
            timeout_s=method.timeout_s,
            max_bytes=method.max_bytes,
            spooled=method.spooled,
        )

        def understand(answer: Answer) -> Result:
            if answer.status not in (200, 204):
                answer.close()
                raise refusal(answer, method)
            try:
                return read(answer)
            except UNREADABLE as error:
                raise misunderstood(Marketplace.WILDBERRIES, method.path, error, answer.excerpt) from error

        return await self._transport.send(call, understand)

    def can_ask_again(self, method: Method) -> bool:
        """Whether a next call is allowed within minutes. Where it takes hours, the next run asks it."""
        budget = method.budget(self.access)
        return budget.burst > 1 or budget.interval_s <= SHORT_INTERVAL_S

    def refuse_unusable_key(self) -> None:
        """What is known to fail isn't sent: a dead key is not hammered on.

        Raises:
            CredentialsRejected: it is expired, made for Wildberries' own sandbox, or can't be a key at all.
        """
        if not self._is_sendable:
            raise CredentialsRejected(
                "This can't be a Wildberries key: it is empty, too long, or has characters that no key has.",
                detail_ru="Это не может быть ключом Wildberries: он пуст, слишком длинный или содержит недопустимые символы.",
            )
        token = self.token
        if token is None:
            return
        if token.is_expired(datetime.now(UTC)):
            raise CredentialsRejected(
                f"The key expired on {token.expires_at:%Y-%m-%d}.", detail_ru=f"Срок действия ключа истёк {token.expires_at:%d.%m.%Y}."
            )
        if token.type is TokenType.TEST and self._hosts.is_production:
            raise CredentialsRejected(TEST_KEY[0], detail_ru=TEST_KEY[1])

    def _budgets_owner(self, api_key: Secret) -> str:
        """Limits count per seller and type of token, so several keys of a seller share a budget, and for Service tokens per service, too. Of a key that can't
        be read only its hash is known."""
        token = self.token
        seller = token and token.seller_id
        if token is None or seller is None:
            return f"wildberries:{hashlib.sha256(api_key.reveal().encode(errors='replace')).hexdigest()[:32]}:unknown"
        return ":".join(("wildberries", seller, self.access, *([token.service_id] if token.service_id else [])))


def never_ends(method: Method) -> UnexpectedResponse:
    """Pages that come again."""
    return UnexpectedResponse(
        f"{method.path}: a page came twice, so the list would never end.",
        detail_ru=f"{method.path}: страница повторилась, список не кончился бы.",
    )
