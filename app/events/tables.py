"""What happened, in the order in which it happened."""

from piccolo.columns import UUID, BigInt, ForeignKey, Text, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.tenants.tables import Tenant


class Event(Table, tablename="events"):
    """A fact of a tenant, written in the transaction that made it true. `body` is what every webhook carries, byte for byte."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    sequence = BigInt(default=None, help_text="Counts per tenant, without gaps.")
    type = Varchar(length=40, default=None, help_text="subject.happened")
    body = Text(default=None, help_text="The JSON document {type, timestamp, sequence, data}.")
    occurred_at = Timestamptz(default=None)
    dispatched_at = Timestamptz(default=None, null=True, help_text="When its deliveries were made; null: not yet.")

    events_sequence_without_gaps = Unique([tenant, sequence])
