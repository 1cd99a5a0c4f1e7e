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
    """Whom a bot speaks for. `company_name` and `marketplace_type` are needed when the bot brings a new seller, and ignored later."""

    EXAMPLE: ClassVar[dict[str, object]] = {
        "telegram_user_id": 123456789,
        "company_name": "Romashka LLC",
        "marketplace_type": "wildberries",
    }

    telegram_user_id: TelegramUserId
    tenant_id: UUID | None = None
    company_name: ShortText | None = None
    marketplace_type: Marketplace | None = None


class InitData(SecretText):
    """The launch data of a Mini App, which works once, for a sign-in."""

    __slots__ = ()

    max_length = 4096
    json_schema: ClassVar[Mapping[str, object]] = {
        **SecretText.json_schema,
        "maxLength": 4096,
        "examples": ["query_id=AAHdF6IQ…&user=%7B%22id%22%3A123456789…&auth_date=1795438800&signature=…&hash=…"],
    }


class WebAppSignInIn(In, frozen=True):
    """`Telegram.WebApp.initData`, as it is."""

    init_data: InitData


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
