"""Who did what."""

from piccolo.columns import JSONB, UUID, ForeignKey, Timestamptz, Varchar
from piccolo.table import Table

from app.tenants.tables import Tenant


class AuditEntry(Table, tablename="audit_log"):
    """One deed. Rows are added and never changed; a trigger sees to it."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(
        Tenant,
        default=None,
        db_column_name="tenant_id",
        help_text="Null: a deed of the operator's that concerns no tenant, or an erased one.",
    )
    actor = Varchar(length=60, default=None, help_text="user:<id>, service:<id>, operator, or system.")
    on_behalf_of = Varchar(length=60, default=None, null=True, help_text="user:<id>, where a service acts for one.")
    action = Varchar(length=50, default=None, help_text="subject.verb")
    facts = JSONB(default="{}", help_text="What a reader needs to know; never a secret.")
    request_id = Varchar(length=128, default=None, null=True)
    ip_address = Varchar(length=45, default=None, null=True)
    occurred_at = Timestamptz(default=None)
