"""Webhooks over HTTP."""

from uuid import UUID

from litestar import Controller, delete, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from app.api.pagination import DEFAULT_LIMIT, Cursor, Limit, PageOut
from app.api.problem_details import problems
from app.api.roles import Caller, Role
from app.api.structs import Instant
from app.errors import Conflict
from app.webhooks import service
from app.webhooks.destinations import DestinationBarred
from app.webhooks.schemas import DeliveryOut, EventType, EventTypeOut, WebhookIn, WebhookOut, WebhookTestOut
from app.webhooks.tables import DeliveryStatus


class WebhookController(Controller):
    """Being told what happened."""

    path = "/webhooks"
    tags = ("Webhooks",)

    @post(
        opt={"role": Role.OWNER, "no_store": True},
        operation_id="createWebhook",
        summary="Make a webhook",
        responses=problems(DestinationBarred, service.TooManyEndpoints),
    )
    async def create_webhook(self, caller: NamedDependency[Caller], data: JSONBody[WebhookIn]) -> WebhookOut:
        """The answer holds the `secret` to verify signatures with (Standard Webhooks); it is never shown again."""
        return await service.create_webhook(caller.tenant_id, caller.actor, data)

    @get(opt={"role": Role.VIEWER}, operation_id="listWebhooks", summary="List webhooks")
    async def list_webhooks(
        self, tenant_id: NamedDependency[UUID], limit: FromQuery[Limit] = DEFAULT_LIMIT, cursor: FromQuery[Cursor | None] = None
    ) -> PageOut[WebhookOut]:
        """Newest first."""
        return await service.list_webhooks(tenant_id, limit=limit, cursor=cursor)

    @get("/event-types", opt={"role": Role.VIEWER}, operation_id="listEventTypes", summary="List the types of events")
    async def list_event_types(self) -> list[EventTypeOut]:
        """What may happen, with the JSON schema of each type's data."""
        return service.event_types()

    @get("/{webhook_id:uuid}", opt={"role": Role.VIEWER, "conditional": True}, operation_id="getWebhook", summary="Look at a webhook")
    async def get_webhook(self, tenant_id: NamedDependency[UUID], webhook_id: FromPath[UUID]) -> WebhookOut:
        """All but its secret."""
        return await service.get_webhook(tenant_id, webhook_id)

    @delete("/{webhook_id:uuid}", opt={"role": Role.OWNER}, operation_id="deleteWebhook", summary="Remove a webhook")
    async def delete_webhook(self, caller: NamedDependency[Caller], webhook_id: FromPath[UUID]) -> None:
        """Nothing more is sent there, not even what waits for another attempt."""
        await service.delete_webhook(caller.tenant_id, caller.actor, webhook_id)

    @post(
        "/{webhook_id:uuid}/test",
        opt={"role": Role.OWNER},
        operation_id="testWebhook",
        summary="Try a webhook out",
        status_code=200,
        responses=problems(Conflict),
    )
    async def test_webhook(self, tenant_id: NamedDependency[UUID], webhook_id: FromPath[UUID]) -> WebhookTestOut:
        """Sends `webhook.test` now, once, and answers with what the receiver said; it may take up to 15 s."""
        return await service.test_webhook(tenant_id, webhook_id)

    @get("/{webhook_id:uuid}/deliveries", opt={"role": Role.VIEWER}, operation_id="listDeliveries", summary="Look at the delivery log")
    async def list_deliveries(
        self,
        tenant_id: NamedDependency[UUID],
        webhook_id: FromPath[UUID],
        status: FromQuery[DeliveryStatus | None] = None,
        event_type: FromQuery[EventType | None] = None,
        since: FromQuery[Instant | None] = None,
        limit: FromQuery[Limit] = DEFAULT_LIMIT,
        cursor: FromQuery[Cursor | None] = None,
    ) -> PageOut[DeliveryOut]:
        """Newest first, each with all its attempts and what the receiver answered."""
        return await service.list_deliveries(
            tenant_id, webhook_id, status=status, event_type=event_type, since=since, limit=limit, cursor=cursor
        )
