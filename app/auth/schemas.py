"""Signing up and in, as it crosses the wire."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, ClassVar, Literal
from uuid import UUID

from msgspec import Meta

from app.api.roles import Role
from app.api.structs import Email, In, Out, Password, SecretText, ShortText
from app.marketplaces.contract import Marketplace
from app.secret import Secret
from app.tenants.schemas import TenantOut


class GivenPassword(SecretText):
    """A password to compare with. It is shorter than a new one may be, if the rule was another when it was chosen, or it is just wrong."""

    __slots__ = ()

    max_length = 128
    json_schema: ClassVar[Mapping[str, object]] = {**Password.json_schema, "minLength": 1}


class RefreshTokenText(SecretText):
    """A refresh token as we gave it out."""

    __slots__ = ()

    max_length = 512
    json_schema: ClassVar[Mapping[str, object]] = {**SecretText.json_schema, "maxLength": 512, "examples": ["rt_AZqnyF0AfMCYoW8dKzxNXrrB…"]}


class RegisterIn(In, frozen=True, kw_only=True):
    """A new seller: a company, and the user who owns it."""

    EXAMPLE: ClassVar[dict[str, object]] = {
        "email": "tg12345@example.com",
        "password": "correct horse battery staple",
        "company_name": "Romashka LLC",
        "marketplace_type": "wildberries",
    }

    email: Email
    password: Password
    company_name: ShortText
    marketplace_type: Marketplace


class LoginIn(In, frozen=True, kw_only=True):
    """Who somebody says to be, and the proof."""

    email: Email
    password: GivenPassword


class RefreshTokenIn(In, frozen=True):
    """A refresh token: the newest one, for all but a sign-out."""

    refresh_token: RefreshTokenText


TelegramUserId = Annotated[int, Meta(ge=1, lt=2**52, examples=[123456789])]
"""At most 52 significant bits (https://core.telegram.org/bots/api#user)."""


class UserOut(Out, frozen=True):
    """A person. `email` is null for one who came by Telegram alone, `telegram_user_id` for one who did not."""

    id: UUID
    email: Annotated[str, Meta(examples=["tg12345@example.com"])] | None
    telegram_user_id: TelegramUserId | None
    created_at: datetime


class TokenPairOut(Out, frozen=True, kw_only=True):
    """`expires_in` is the life of the access token in seconds. The refresh token lives 30 days and works once."""

    access_token: Annotated[str, Meta(examples=["eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.…"])]
    refresh_token: Annotated[str, Meta(examples=["rt_AZqnyF0AfMCYoW8dKzxNXrrB…"])]
    token_type: Literal["bearer"]
    expires_in: Annotated[int, Meta(examples=[900])]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({Secret.MASK})"


class SignedInOut(TokenPairOut, frozen=True, kw_only=True):
    """A token pair, whom it is for, and the tenant that it speaks for."""

    tenant: TenantOut
    user: UserOut


class MeOut(Out, frozen=True):
    """Whom the access token speaks for."""

    user: UserOut
    tenant: TenantOut
    role: Role


class TelegramSignInIn(In, frozen=True, kw_only=True):
    """Whom a bot speaks for. `company_name` and `marketplace_type` are needed when the bot brings a new seller, and ignored later. A tenant that somebody else let
    the user into has to be named by `tenant_id`.
    """

    EXAMPLE: ClassVar[dict[str, object]] = {
        "telegram_user_id": 123456789,
        "company_name": "Romashka LLC",
        "marketplace_type": "wildberries",
    }

    telegram_user_id: TelegramUserId
    tenant_id: UUID | None = None
    company_name: ShortText | None = None
    marketplace_type: Marketplace | None = None


LAUNCH_EXAMPLE = "query_id=AAHdF6IQ…&user=%7B%22id%22%3A123456789…&auth_date=1795438800&signature=…&hash=…"


class InitData(SecretText):
    """The launch data of a Mini App, which works once, for a sign-in."""

    __slots__ = ()

    max_length = 4096
    json_schema: ClassVar[Mapping[str, object]] = {**SecretText.json_schema, "maxLength": 4096, "examples": [LAUNCH_EXAMPLE]}


class WebAppSignInIn(In, frozen=True, kw_only=True):
    """`Telegram.WebApp.initData`, as it is. A tenant that somebody else let the user into has to be named."""

    EXAMPLE: ClassVar[dict[str, object]] = {"init_data": LAUNCH_EXAMPLE}

    init_data: InitData
    tenant_id: UUID | None = None


class ServiceLinkIn(In, frozen=True):
    """A bot that may act for the tenant; its developer tells the id."""

    service_key_id: UUID


class ServiceLinkOut(Out, frozen=True, kw_only=True):
    """A bot that may act for the tenant. `linked_by` is `user:<id>`, or `service:<id>` of the bot that brought the tenant; `last_used_at` is when the bot last
    got tokens here.
    """

    service_key_id: UUID
    name: Annotated[str, Meta(examples=["shop-bot"])]
    linked_at: datetime
    linked_by: Annotated[str, Meta(examples=["user:019aa7c8-5d00-7cc0-98a1-6f1d2b3c4d5e"])]
    last_used_at: datetime | None


class SessionOut(Out, frozen=True, kw_only=True):
    """A sign-in that still lives. `last_used_at` is when its tokens were last renewed, which a client in use does each 15 minutes. `service_key_id` and `service` say
    which bot opened it; null: the user.
    """

    id: UUID
    tenant_id: UUID
    is_current: bool
    ip_address: Annotated[str, Meta(examples=["203.0.113.7"])] | None
    user_agent: Annotated[str, Meta(examples=["Mozilla/5.0 (X11; Linux x86_64)"])] | None
    service_key_id: UUID | None
    service: Annotated[str, Meta(examples=["shop-bot"])] | None
    created_at: datetime
    last_used_at: datetime
    expires_at: datetime


class PasswordChangeIn(In, frozen=True, kw_only=True):
    """The proof, and what counts from now on."""

    current_password: GivenPassword
    new_password: Password


class SwitchTenantIn(In, frozen=True):
    """One of the tenants of `GET /tenants`."""

    tenant_id: UUID


class TenantIn(In, frozen=True, kw_only=True):
    """Another company of the caller's."""

    EXAMPLE: ClassVar[dict[str, object]] = {"company_name": "Romashka LLC", "marketplace_type": "ozon"}

    company_name: ShortText
    marketplace_type: Marketplace


class TenancyOut(Out, frozen=True, kw_only=True):
    """A tenant that the user is a member of. `is_current`: the access token speaks for it."""

    id: UUID
    name: Annotated[str, Meta(examples=["Romashka LLC"])]
    marketplace_type: Marketplace
    role: Role
    is_current: bool
    joined_at: datetime


class MemberIn(In, frozen=True, kw_only=True):
    """Who joins: `email` alone names a user that exists, with `password` it makes one; `telegram_user_id` names a user of Telegram, who need not have been here before."""

    EXAMPLE: ClassVar[dict[str, object]] = {"email": "accountant@example.com", "password": "correct horse battery staple", "role": "viewer"}

    role: Role
    email: Email | None = None
    password: Password | None = None
    telegram_user_id: TelegramUserId | None = None


class MemberPatch(In, frozen=True):
    """What the member may do from now on."""

    role: Role


class MemberOut(Out, frozen=True, kw_only=True):
    """A user who belongs to the tenant; `id` is the user's."""

    id: UUID
    email: Annotated[str, Meta(examples=["accountant@example.com"])] | None
    telegram_user_id: TelegramUserId | None
    role: Role
    joined_at: datetime
