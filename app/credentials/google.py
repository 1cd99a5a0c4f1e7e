"""A seller's way to a Google spreadsheet: which one, and the service account that may write there. Read and checked without asking Google.

A service account's JSON is made by Google and handed over by a seller, who may have changed it. Of its addresses none is ever used or kept: one that points
elsewhere would make us send a signed token there. Source: developers.google.com/identity/protocols/oauth2/service-account.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Self, cast

import msgspec

from app.api.structs import SecretText
from app.marketplaces.errors import CredentialsRejected
from app.secret import Secret
from app.vault import UnusableKey, check_rsa_key

TOKEN_URL: Final = "https://oauth2.googleapis.com/token"  # noqa: S105 - an address
# As files made some years ago name it.
TOKEN_URLS: Final = (TOKEN_URL, "https://accounts.google.com/o/oauth2/token", "https://www.googleapis.com/oauth2/v4/token")
LONGEST_MASK: Final = 20

_EMAIL = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,100})@(?:[a-z0-9-]{1,63}\.){1,4}gserviceaccount\.com")
_SHEET_ID = re.compile(r"[A-Za-z0-9_-]{20,100}")
_SHEET_ADDRESS = re.compile(r"https://docs\.google\.com/spreadsheets/(?:u/\d+/)?d/([A-Za-z0-9_-]{20,100})(?:[/?#].*)?", re.DOTALL)


class SheetId(str):
    """The id of a spreadsheet; the whole address of one is accepted and cut, since that is what people copy."""

    __slots__ = ()

    json_schema: ClassVar[Mapping[str, object]] = {
        "type": "string",
        "minLength": 20,
        "maxLength": 2000,
        "examples": ["1BxiMVs0XRA5nFMdKvBdBZjgmUUqptlbs74OgvE2upms"],
    }

    @classmethod
    def parse(cls, text: str) -> Self:
        text = text.strip()
        address = _SHEET_ADDRESS.fullmatch(text) if len(text) <= 2000 else None
        if address:
            return cls(address[1])
        if not _SHEET_ID.fullmatch(text):
            raise ValueError("Expected the id of a Google spreadsheet, or its whole address: https://docs.google.com/spreadsheets/d/…")
        return cls(text)


class ServiceAccountText(SecretText):
    """The JSON file of a service account, as an object or as a string that holds it; masked from its decoding on."""

    __slots__ = ()

    max_length = 16_384
    json_schema: ClassVar[Mapping[str, object]] = {
        "type": ["object", "string"],
        "writeOnly": True,
        "minLength": 1,
        "maxLength": 16_384,
        "description": "The JSON file of a Google service account: an object, or a string that holds it.",
        "examples": [{"type": "service_account", "client_email": "stocks@my-shop.iam.gserviceaccount.com", "private_key": "…"}],
    }

    @classmethod
    def parse_object(cls, value: dict[str, object]) -> Self:
        """Likewise where it comes as an object."""
        return cls.parse(json.dumps(value))


class ServiceAccount(msgspec.Struct, frozen=True):
    """What is needed to sign in as it: RS256 over `private_key` (PEM), with `private_key_id` as `kid` and `client_email` as `iss`."""

    client_email: str
    private_key_id: str
    private_key: Secret
    project_id: str

    def masked(self) -> str:
        """Name and project, by which the seller recognises it, within `LONGEST_MASK` characters."""
        name = self.client_email.removesuffix(".gserviceaccount.com").removesuffix(".iam")
        return name if len(name) <= LONGEST_MASK else f"{name[:11]}…{name[-8:]}"


class GoogleCredentials(msgspec.Struct, frozen=True):
    """Where to write, and as whom. The account's addresses are no part of it: tokens come from the configured one."""

    sheet_id: str
    account: ServiceAccount


def read_service_account(text: Secret) -> ServiceAccount:
    """Read and check the JSON of a service account. Takes some 50 ms of CPU, so call it in a thread.

    Raises:
        CredentialsRejected: it is none, or one that can't be used; the reason repeats nothing of it.
    """
    fields = _fields(text)
    if fields.get("type") != "service_account":
        raise _rejected(
            "This is not the key of a service account: its `type` must be `service_account`.",
            "Это не ключ сервисного аккаунта: в поле type должно быть service_account.",
        )
    email = _text(fields, "client_email", 320)
    if not _EMAIL.fullmatch(email):
        raise _rejected(
            "`client_email` is not the address of a service account, which ends in gserviceaccount.com.",
            "В client_email указан не адрес сервисного аккаунта: он оканчивается на gserviceaccount.com.",
        )
    if fields.get("token_uri", TOKEN_URL) not in TOKEN_URLS or fields.get("universe_domain", "googleapis.com") != "googleapis.com":
        raise _rejected(
            "`token_uri` or `universe_domain` does not name Google. Give the file as Google made it.",
            "token_uri или universe_domain указывает не на Google. Пришлите файл без изменений, каким его создал Google.",
        )
    # A file that was pasted twice through a form has its line breaks as two characters.
    private_key = Secret(_text(fields, "private_key", 8192).replace("\\n", "\n"))
    try:
        check_rsa_key(private_key)
    except UnusableKey:
        raise _rejected(
            "`private_key` is not a private RSA key of at least 2048 bits in PEM form.",
            "private_key не является закрытым ключом RSA (PEM, не менее 2048 бит): возможно, файл скопирован не полностью.",
        ) from None
    return ServiceAccount(email, _text(fields, "private_key_id", 200), private_key, _text(fields, "project_id", 200))


def _fields(text: Secret) -> dict[str, Any]:
    try:
        value: object = json.loads(text.reveal())
    except (ValueError, RecursionError):
        raise _rejected(
            "This is not JSON. Give the whole file that Google made, from { to }.",
            "Это не JSON. Вставьте файл от Google целиком, от { до }.",
        ) from None
    if not isinstance(value, dict):
        raise _rejected("This is JSON, but not an object.", "Это JSON, но не объект с полями ключа.")
    return cast("dict[str, Any]", value)


def _text(fields: Mapping[str, Any], name: str, longest: int) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= longest or "\0" in value or not value.isascii():
        raise _rejected(f"`{name}` is missing or malformed.", f"Поле {name} отсутствует или испорчено.")
    return value


def _rejected(detail: str, detail_ru: str) -> CredentialsRejected:
    return CredentialsRejected(detail, detail_ru=detail_ru)
