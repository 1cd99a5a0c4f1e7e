"""Who may call, and for which tenant."""

from piccolo.columns import UUID, BigInt, Bytea, ForeignKey, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.api.roles import Role
from app.tenants.tables import Tenant


class User(Table, tablename="users"):
    """A person, or a bot that speaks for one. Seen only through `system_scope()`: a user may belong to several tenants."""

    id = UUID(primary_key=True, default=None)
    email = Varchar(
        length=254,
        default=None,
        null=True,
        unique=True,
        help_text="Lower case: addresses are compared without regard to case. Null: none given.",
    )
    password_hash = Varchar(length=200, default=None, null=True, secret=True, help_text="Null: signs in by Telegram alone.")
    telegram_user_id = BigInt(default=None, null=True, unique=True)
    created_at = Timestamptz(default=None)


class Membership(Table, tablename="memberships"):
    """A user's role in a tenant."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    user = ForeignKey(User, null=False, default=None, db_column_name="user_id", index=True)
    role = Varchar(length=10, default=None, choices=Role)
    created_at = Timestamptz(default=None)

    memberships_one_per_user = Unique([tenant, user])


class ServiceKey(Table, tablename="service_keys"):
    """A bot's key: `stk_<id>_<secret>`, of which the secret is stored as a hash. No tenant's row: seen only through `system_scope()`."""

    id = UUID(primary_key=True, default=None)
    name = Varchar(length=100, default=None, unique=True)
    secret_hash = Bytea(default=None, help_text="SHA-256 of the secret that was made last.")
    previous_secret_hash = Bytea(default=None, null=True, help_text="Of the one before it, which works until `previous_until`.")
    previous_until = Timestamptz(default=None, null=True)
    created_at = Timestamptz(default=None)
    last_used_at = Timestamptz(default=None, null=True)
    revoked_at = Timestamptz(default=None, null=True)


class ServiceLink(Table, tablename="service_links"):
    """A tenant that a service key may act for: it brought it, or the owner linked it."""

    id = UUID(primary_key=True, default=None)
    service_key = ForeignKey(ServiceKey, null=False, default=None, db_column_name="service_key_id")
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id", index=True)
    linked_by = Varchar(
        length=60, default=None, help_text="As the audit log names who linked it: user:<id>, or service:<id> that brought the tenant."
    )
    created_at = Timestamptz(default=None)

    service_links_one_of_a_kind = Unique([service_key, tenant])


class WebAppSignIn(Table, tablename="web_app_sign_ins"):
    """The hash of a Mini App's launch data that was used: each works once. No tenant's row; it goes when the data would be too old anyway."""

    hash = Bytea(primary_key=True, default=None)
    expires_at = Timestamptz(default=None, index=True)


class LoginSession(Table, tablename="login_sessions"):
    """One sign-in. Its refresh token is replaced at each use; only hashes are stored."""

    id = UUID(primary_key=True, default=None)
    user = ForeignKey(User, null=False, default=None, db_column_name="user_id", index=True)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    refresh_token_hash = Bytea(default=None, help_text="SHA-256 of the token that works now.")
    previous_token_hash = Bytea(
        default=None, null=True, help_text="Of the one it replaced: using that again is theft, or a retry within 10 s."
    )
    rotated_at = Timestamptz(default=None)
    expires_at = Timestamptz(default=None)
    revoked_at = Timestamptz(default=None, null=True)
    created_at = Timestamptz(default=None)
    last_used_at = Timestamptz(default=None)
    ip_address = Varchar(length=45, default=None, null=True)
    user_agent = Varchar(length=200, default=None, null=True)
    service_key = ForeignKey(
        ServiceKey,
        default=None,
        db_column_name="service_key_id",
        index=True,
        help_text="The bot that opened it for its seller; null: the user.",
    )
