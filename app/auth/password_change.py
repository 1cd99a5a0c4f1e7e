"""Another password for a user who knows the present one."""

from typing import Any

from app.api.roles import Caller
from app.audit.deeds import Deed
from app.audit.service import caller_address, record
from app.auth.attempts import begin_attempt, forget_attempts
from app.auth.passwords import hash_password, verify_password
from app.auth.schemas import PasswordChangeIn
from app.auth.service_keys import announce_revocations
from app.auth.sessions import end_many
from app.database import system_scope
from app.errors import Conflict, FieldError, Forbidden, InvalidInput
from app.idempotency.reservations import keep_answer
from app.secret import Secret

# A sign-in with the former password is decided before this one, and its session ends with the others, or after it, and is refused.
CHANGE = "UPDATE users SET password_hash = $2 WHERE id = $1 AND password_hash = $3 RETURNING true"


class CurrentPasswordWrong(InvalidInput):
    """The access token is fine; the password given as the present one is not it. No 401, which would tell a client to renew its tokens."""

    code = "current_password_wrong"
    title = "Current password wrong"


class PasswordNotSet(Conflict):
    """This user signs in by Telegram alone. An access token is not enough to give the account a password: whoever stole one for 15 minutes would stay."""

    code = "password_not_set"
    title = "Password not set"


async def change_password(caller: Caller, data: PasswordChangeIn) -> None:
    """Replace the password, and end all sessions of the user but the present one, at once.

    Raises:
        Forbidden: a bot asks.
        PasswordNotSet: there is none to replace.
        CurrentPasswordWrong: counted as a try to sign in.
        TooManyRequests: too many of them were wrong of late; this one was not looked at.
    """
    if caller.service_key_id is not None:
        raise Forbidden("A bot has no business with its seller's password.")
    async with system_scope() as connection:
        user = await connection.fetchrow("SELECT email, password_hash FROM users WHERE id = $1", caller.user_id)
    if user is None or user["password_hash"] is None or user["email"] is None:
        raise PasswordNotSet("This user signs in by Telegram and has no password.")
    await confirm_password(caller, user, data.current_password, "current_password", "user.password_change_failed")
    new_hash = await hash_password(data.new_password)
    async with system_scope() as connection:
        if not await connection.fetchval(CHANGE, caller.user_id, new_hash, user["password_hash"]):
            raise _wrong("current_password")
        ended = await end_many(connection, caller.user_id, None, but=caller.session_id)
        await record(connection, caller.tenant_id, caller.actor, "user.password_changed", {"ended_sessions": len(ended)})
        await keep_answer(connection)
    await announce_revocations(ended)


async def confirm_password(caller: Caller, user: Any, given: Secret, field: str, failure: Deed) -> None:
    """Go on only where it is the user's password; each try counts as one to sign in.

    Args:
        user: a row with `email` and `password_hash`, which are not null.
        field: where in the request it stood.
        failure: what the audit log calls it if it is wrong.

    Raises:
        CurrentPasswordWrong: as it says.
        TooManyRequests: too many of them were wrong of late; this one was not looked at.
    """
    await begin_attempt(user["email"], caller_address.get())
    if not await verify_password(given, user["password_hash"]):
        async with system_scope() as connection:
            await record(connection, caller.tenant_id, caller.actor, failure)
        raise _wrong(field)
    await forget_attempts(user["email"], caller_address.get())


def _wrong(field: str) -> CurrentPasswordWrong:
    return CurrentPasswordWrong("The present password is another.", (FieldError(field, "Not the present password"),))
