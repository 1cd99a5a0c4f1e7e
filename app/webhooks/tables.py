"""Who is told, and what became of it."""

from enum import StrEnum

from piccolo.columns import UUID, Array, Boolean, ForeignKey, Integer, Text, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.events.tables import Event
from app.tenants.tables import Tenant


class DeliveryStatus(StrEnum):
    """`pending` is waiting for its next attempt; the others are final."""

    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"
    EXPIRED = "expired"


class WebhookEndpoint(Table, tablename="webhook_endpoints"):
    """Where a bot wants to be told."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id", index=True)
    url = Varchar(length=2000, default=None)
    description = Varchar(length=200, default=None, null=True)
    event_types = Array(base_column=Varchar(length=40), default=list, help_text="Empty: all.")
    secret_encrypted = Text(default=None, secret=True)
    enabled = Boolean(default=True)
    disabled_reason = Varchar(length=200, default=None, null=True)
    failing_since = Timestamptz(default=None, null=True, help_text="When the present unbroken row of failed attempts began.")
    failed_attempts = Integer(default=0, help_text="How many there are in that row.")
    created_at = Timestamptz(default=None)
    updated_at = Timestamptz(default=None)


class WebhookDelivery(Table, tablename="webhook_deliveries"):
    """One event for one endpoint. This row is the truth; a message in Redis only wakes."""

    id = UUID(primary_key=True, default=None)
    # No foreign key: the endpoint's is enough to erase a tenant.
    tenant_id = UUID(default=None)
    endpoint = ForeignKey(WebhookEndpoint, null=False, default=None, db_column_name="endpoint_id")
    event = ForeignKey(Event, null=False, default=None, db_column_name="event_id")
    status = Varchar(length=20, default=None, choices=DeliveryStatus)
    attempts = Integer(default=0)
    next_attempt_at = Timestamptz(
        default=None, null=True, help_text="Null once the status is final; while an attempt is made, when it counts as lost."
    )
    created_at = Timestamptz(default=None)
    finished_at = Timestamptz(default=None, null=True)

    webhook_deliveries_one_per_endpoint = Unique([event, endpoint])


class WebhookAttempt(Table, tablename="webhook_attempts"):
    """One request to an endpoint, and what came back."""

    id = UUID(primary_key=True, default=None)
    tenant_id = UUID(default=None)
    delivery = ForeignKey(WebhookDelivery, null=False, default=None, db_column_name="delivery_id", index=True)
    number = Integer(default=None, help_text="From 1.")
    attempted_at = Timestamptz(default=None)
    status_code = Integer(default=None, null=True)
    excerpt = Varchar(length=2048, default=None, null=True, help_text="The beginning of the answer.")
    duration_ms = Integer(default=None)
    error = Varchar(length=50, default=None, null=True)
