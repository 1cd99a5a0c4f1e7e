"""Who may call, and for which tenant."""

from piccolo.columns import UUID, Bytea, ForeignKey, Timestamptz, Varchar
from piccolo.constraints import Unique
from piccolo.table import Table

from app.api.roles import Role
from app.tenants.tables import Tenant


class User(Table, tablename="users"):
    """A person, or a bot that speaks for one. Seen only through `system_scope()`: a user may belong to several tenants."""

    id = UUID(primary_key=True, default=None)
    email = Varchar(length=254, default=None, unique=True, help_text="Lower case: addresses are compared without regard to case.")
    password_hash = Varchar(length=200, default=None, secret=True)
    created_at = Timestamptz(default=None)


class Membership(Table, tablename="memberships"):
    """A user's role in a tenant."""

    id = UUID(primary_key=True, default=None)
    tenant = ForeignKey(Tenant, null=False, default=None, db_column_name="tenant_id")
    user = ForeignKey(User, null=False, default=None, db_column_name="user_id", index=True)
    role = Varchar(length=10, default=None, choices=Role)
    created_at = Timestamptz(default=None)

    memberships_one_per_user = Unique([tenant, user])


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
