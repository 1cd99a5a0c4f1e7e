"""A seller leaves: the owner's word for it is proven, then the erasure begins."""

from typing import Any

from msgspec import UNSET

from app.api.roles import Caller
from app.auth.password_change import confirm_password
from app.database import tenant_scope
from app.errors import FieldError, Forbidden, InvalidInput, Unauthenticated
from app.tenant_data.erasure import begin_erasure
from app.tenant_data.schemas import TenantErasureIn

FAILED = "tenant.erasure_refused"

FACTS = """
    SELECT tenants.name, users.email, users.password_hash
      FROM tenants JOIN memberships ON memberships.tenant_id = tenants.id JOIN users ON users.id = memberships.user_id
     WHERE tenants.id = $1 AND users.id = $2
"""


async def erase_tenant(caller: Caller, proof: TenantErasureIn) -> None:
    """Close the tenant for good. Its rows go in the background; nothing of it can be used from here on.

    Raises:
        InvalidInput: what proves it is missing, or the name is another. Nothing was done.
        CurrentPasswordWrong: likewise.
        TooManyRequests: too many passwords were wrong of late; this one was not looked at.
        Forbidden: a bot asks for a user who has a password, which is none of a bot's business.
        Unauthenticated: the user was removed from the tenant in this moment.
    """
    async with tenant_scope(caller.tenant_id) as connection:
        facts: Any = await connection.fetchrow(FACTS, caller.tenant_id, caller.user_id)
    if facts is None:
        raise Unauthenticated("This user is no longer a member of the tenant.")
    has_password = None not in (facts["email"], facts["password_hash"])
    if has_password and caller.service_key_id is not None:
        raise Forbidden("This seller has a password, which is none of a bot's business: the erasure has to be asked for without the bot.")
    if proof.name not in (UNSET, facts["name"]):
        raise InvalidInput("This is not the tenant's name.", (FieldError("name", "Not the name of this tenant"),))
    if not has_password and proof.name is UNSET:
        raise InvalidInput("Which tenant is it?", (FieldError("name", "Required of a user without a password"),))
    if has_password:
        if proof.password is UNSET:
            raise InvalidInput("Is it you?", (FieldError("password", "Required"),))
        await confirm_password(caller, facts, proof.password, "password", FAILED)
    await begin_erasure(caller.tenant_id, caller.actor)
