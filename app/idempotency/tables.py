"""First answers, kept for those who ask again."""

from piccolo.columns import UUID, ForeignKey, SmallInt, Text, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.tenants.tables import Tenant


class IdempotentRequest(Table, tablename="idempotent_requests"):
    """A request that came with an `Idempotency-Key`, and its first answer."""

    id = UUID(
        primary_key=True, default=None, help_text="Another one when the key is reserved anew, so that who had it before no longer has it."
    )
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    key = Varchar(length=255, default=None, help_text="SHA-256, in hexadecimal, of who sent the key and of the key.")
    status = SmallInt(default=None, null=True, help_text="The answer's. Null: the request is still being answered, or never will be.")
    answer_encrypted = Text(
        default=None,
        secret=True,
        help_text="Sealed: a hash of what was asked, and the answer. A body may hold a password, an answer a secret that is shown once.",
    )
    created_at = Timestamptz(default=None, index=True, help_text="When the key was reserved.")

    idempotent_requests_one_per_key = Unique([tenant, key])
