"""First answers, kept for those who ask again."""

from piccolo.columns import UUID, Bytea, ForeignKey, SmallInt, Text, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.tenants.tables import Tenant


class IdempotentRequest(Table, tablename="idempotent_requests"):
    """A request that came with an `Idempotency-Key`, and its first answer."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    key = Varchar(length=255, default=None)
    request_hash = Bytea(default=None, help_text="SHA-256 of method, path and body.")
    status = SmallInt(default=None, null=True, help_text="Null: the first request is still being answered.")
    location = Varchar(length=500, default=None, null=True, help_text="The answer's Location.")
    answer_encrypted = Text(
        default=None, null=True, secret=True, help_text="The answer's body, sealed: it may hold a secret that is shown once."
    )
    created_at = Timestamptz(default=None, index=True)

    idempotent_requests_one_per_key = Unique([tenant, key])
