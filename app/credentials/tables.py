"""What is known of the keys that a seller entrusted to us. The keys themselves are sealed in the tenant's row."""

from enum import StrEnum

from piccolo.columns import UUID, Array, Boolean, Bytea, ForeignKey, Integer, SmallInt, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.marketplaces.contract import CredentialStatus
from app.tenants.tables import Tenant


class Provider(StrEnum):
    """Whom a credential is for."""

    WILDBERRIES = "wildberries"
    OZON = "ozon"
    GOOGLE = "google"


class CredentialLink(Table, tablename="credential_links"):
    """A one-time page on which the seller gives a key: `/connect/{token}`."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id", index=True)
    provider = Varchar(length=20, default=None, choices=Provider)
    token_hash = Bytea(default=None, unique=True, help_text="SHA-256 of the token; only the address has the token itself.")
    created_by = Varchar(length=60, default=None, help_text="As the audit log names the actor.")
    on_behalf_of = Varchar(length=60, default=None, null=True)
    created_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None, index=True)
    used_at = Timestamptz(default=None, null=True, help_text="When a key was stored by it; it works once.")


class Credential(Table, tablename="credentials"):
    """The answer to "what may this key do?", as last asked."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    provider = Varchar(length=20, default=None, choices=Provider)
    status = Varchar(length=20, default=None, choices=CredentialStatus)
    masked = Varchar(length=20, default=None, help_text="A form that the seller recognises: eyJ…9fQ2.")
    seller_id = Varchar(length=64, default=None, null=True, help_text="The account at the marketplace, to notice one shop in two tenants.")
    token_type = Varchar(length=20, default=None, null=True)
    scopes = Array(base_column=Varchar(length=20), default=list, help_text="Stages that the key allows.")
    missing_scopes = Array(base_column=Varchar(length=20), default=list)
    read_only = Boolean(default=None, null=True)
    shared = Boolean(default=False, help_text="Another tenant has a key of the same account.")
    least_interval_minutes = Integer(
        default=None, null=True, help_text="More frequent syncs would gain nothing by this key; null: not known."
    )
    expires_at = Timestamptz(default=None, null=True)
    warned_days = SmallInt(default=None, null=True, help_text="The last warning about the expiry that was sent: 30, 7 or 1 days before it.")
    verified_at = Timestamptz(default=None, null=True, help_text="When the marketplace last answered for it; null: never.")
    updated_at = Timestamptz(default=None, help_text="When the key was stored.")

    credentials_one_per_provider = Unique([tenant, provider])
