"""Stock Tracker's API for one seller: the calls that a bot makes, and tokens that renew themselves."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import httpx


class ApiError(Exception):
    """The API said no. `code` never changes, so switch on it; `request_id` is what the operator finds in the logs."""

    def __init__(self, status: int, code: str, detail: str, request_id: str = "") -> None:
        super().__init__(f"{status} {code}: {detail}")
        self.status, self.code, self.detail, self.request_id = status, code, detail, request_id


@dataclass(frozen=True)
class Tokens:
    """The access token lives 15 minutes; the refresh token 30 days, and works once. Neither shows in a log."""

    access: str = field(repr=False)
    refresh: str = field(repr=False)


@dataclass(frozen=True)
class Webhook:
    """An endpoint of the bot. The secret is shown once, at its making."""

    id: str
    secret: str = field(repr=False)


class StockTracker:
    """One seller's door to the API, opened by the bot's service key. `http` has the base URL `…/api/v1` and may be shared."""

    def __init__(self, http: httpx.AsyncClient, service_key: str, telegram_user_id: int) -> None:
        self._http = http
        self._service_key = service_key
        self._telegram_user_id = telegram_user_id
        self.tokens: Tokens | None = None
        self._renewing = asyncio.Lock()

    async def register(self, company_name: str, marketplace_type: str = "wildberries") -> None:
        """Make the seller's tenant and sign in. A seller who is registered already is only signed in, so it may be repeated at will."""
        await self._sign_in({"company_name": company_name, "marketplace_type": marketplace_type})

    async def key_page(self, provider: str = "wildberries") -> str:
        """The address of a page, for 15 minutes, on which the seller gives a key; the first valid one starts a sync."""
        return (await self._call("POST", "/tenants/me/credentials/links", {"provider": provider}))["url"]

    async def delete_credentials(self) -> None:
        await self._call("DELETE", "/tenants/me/credentials/wildberries")

    async def products(self, **query: str | int | bool) -> list[dict[str, Any]]:
        """One page: `q`, `sort`, `limit` and the other filters of GET /products."""
        return (await self._call("GET", "/products", query=query))["items"]

    async def sync(self) -> dict[str, Any]:
        """Start a sync, or get the one that is active."""
        return await self._call("POST", "/sync", {})

    async def create_webhook(self, url: str, event_types: list[str]) -> Webhook:
        """Make an endpoint, in place of one with the same URL: its secret must have been lost, so nobody could verify what it gets."""
        for webhook in (await self._call("GET", "/webhooks"))["items"]:
            if webhook["url"] == url:
                await self.delete_webhook(webhook["id"])
        answer = await self._call("POST", "/webhooks", {"url": url, "event_types": event_types})
        return Webhook(answer["id"], answer["secret"])

    async def delete_webhook(self, webhook_id: str) -> None:
        await self._call("DELETE", f"/webhooks/{webhook_id}")

    # region: renewal
    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, Any] | None = None) -> Any:
        used = self.tokens
        if used is not None:
            try:
                return await self._send(method, path, body, query, used.access)
            except ApiError as error:
                if error.status != 401:
                    raise
        return await self._send(method, path, body, query, (await self._renew(used)).access)

    async def _renew(self, used: Tokens | None) -> Tokens:
        """Of several calls whose access token ran out together, one refreshes, since a refresh token works once."""
        async with self._renewing:
            if self.tokens is not None and self.tokens is not used:
                return self.tokens
            if self.tokens is not None:
                try:
                    return self._take(await self._send("POST", "/auth/refresh", {"refresh_token": self.tokens.refresh}))
                except ApiError as error:
                    if error.status != 401:
                        raise
            return await self._sign_in({})

    async def _sign_in(self, seller: dict[str, str]) -> Tokens:
        """The service believes the bot whom it speaks for, so the id must be Telegram's own."""
        body = {"telegram_user_id": self._telegram_user_id, **seller}
        return self._take(await self._send("POST", "/auth/telegram", body, bearer=self._service_key))

    # endregion

    def _take(self, answer: dict[str, Any]) -> Tokens:
        self.tokens = Tokens(answer["access_token"], answer["refresh_token"])
        return self.tokens

    async def _send(
        self, method: str, path: str, body: dict[str, Any] | None = None, query: dict[str, Any] | None = None, bearer: str | None = None
    ) -> Any:
        headers = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        try:
            answer = await self._http.request(method, path, json=body, params=query, headers=headers)
        except httpx.TransportError as error:
            raise ApiError(503, "unreachable", f"No answer from Stock Tracker: {type(error).__name__}") from error
        if answer.is_success:
            return answer.json() if answer.content else None
        if answer.headers.get("Content-Type", "").startswith("application/problem+json"):
            problem = answer.json()
            raise ApiError(answer.status_code, problem["code"], problem["detail"], problem["request_id"])
        raise ApiError(answer.status_code, "no_problem_document", "The answer is not Stock Tracker's; a proxy's, perhaps.")
