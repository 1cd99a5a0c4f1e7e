"""`/connect/{token}`: the page over HTTP. Looking at it, as the link previews of chat programs do, changes nothing; sending the form does."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

import structlog
from litestar import Controller, Request, Response, get, head, post
from litestar.params import FromPath

from app.api.bodies import MAX_AUTH_BODY_BYTES
from app.api.problem_details import wait_of
from app.api.validation import validate
from app.audit.service import subject
from app.credentials import service
from app.credentials.connect import page
from app.credentials.connect.words import WORDS, Language
from app.credentials.links import Link, LinkGone, count_attempt, find_link, use_once
from app.credentials.schemas import CredentialOut, CredentialsPatch
from app.credentials.verification import KeysRejected
from app.errors import InvalidInput, StockTrackerError
from app.settings import get_settings

MAX_FIELDS: Final = 10

log: structlog.typing.FilteringBoundLogger = structlog.get_logger(__name__)


def _language(request: Request[Any, Any, Any], preferred: str | None = None) -> Language:
    """The one that was chosen, or else the tenant's, or else the browser's."""
    chosen = request.query_params.get("lang") or preferred or request.headers.get("accept-language", "ru")[:2].lower()
    return "ru" if chosen == "ru" else "en"


def _answer(html: str, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> Response[str]:
    return Response(html, status_code=status, media_type="text/html", headers={**page.HEADERS, **headers})


def _answer_error(request: Request[Any, Any, Any], error: Exception) -> Response[str]:
    """A page too. Whatever is wrong with a link looks the same."""
    if isinstance(error, LinkGone):
        return _answer(page.gone(_language(request)), LinkGone.status)
    status = error.status if isinstance(error, StockTrackerError) else getattr(error, "status_code", 500)
    if status >= 500:
        log.error("connect.failed", exc_info=error)
    return _answer(page.failed(_language(request)), status, wait_of(error))


class ConnectController(Controller):
    """A page for sellers; their token is the one in the address."""

    path = "/connect"
    include_in_schema = False
    # Whoever passes a link on may add to its query.
    opt = {"public": True, "any_query": True}  # noqa: RUF012 - Litestar reads a class attribute
    request_max_body_size = MAX_AUTH_BODY_BYTES
    exception_handlers: Any = {Exception: _answer_error}  # noqa: RUF012 - likewise

    @get("/{token:str}")
    async def show_form(self, request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
        """The form."""
        link = await find_link(token)
        return _answer(page.form(link, _language(request, link.language)), 200)

    @head("/{token:str}")
    async def look(self, token: FromPath[str]) -> Response[None]:
        """Whether there is one."""
        await find_link(token)
        return Response(None, status_code=200, media_type="text/html", headers=page.HEADERS)

    # With the sign-ins' window: a key is asked about at a marketplace, and an address that guesses shall not do it for long.
    @post("/{token:str}", status_code=200, opt={"limit_by_address": True})
    async def give_key(self, request: Request[Any, Any, Any], token: FromPath[str]) -> Response[str]:
        """Check the key and store it, as whoever made the link would."""
        if not _is_from_our_page(request):
            raise LinkGone
        link = await find_link(token)
        language = _language(request, link.language)
        values = _values(await request.body(), link, language)
        if errors := {field.name: WORDS[language].empty for field in WORDS[language].fields[link.provider] if not values[field.name]}:
            return _answer(page.form(link, language, values=values, errors=errors), 422)
        await count_attempt(link)
        try:
            credential = await _store(link, values)
        except InvalidInput as error:
            return _answer(page.form(link, language, values=values, errors=_told(error, link, language)), 422)
        return _answer(page.outcome(link, language, credential), 200)


async def _store(link: Link, values: dict[str, str]) -> CredentialOut:
    patch = validate(values, CredentialsPatch)
    acting_for = subject.set(link.on_behalf_of)
    try:
        listed = await service.update_credentials(link.tenant_id, link.created_by, patch, verify=True, once=use_once(link))
    finally:
        subject.reset(acting_for)
    return next(each for each in listed if each.provider == link.provider)


def _values(body: bytes, link: Link, language: Language) -> dict[str, str]:
    """What was entered, by field, without the blanks around it; unknown fields are left out."""
    try:
        given = dict(parse_qsl(body.decode("ascii"), errors="strict", max_num_fields=MAX_FIELDS))
    except ValueError:
        given = {}
    return {field.name: given.get(field.name, "").replace("\0", "").strip() for field in WORDS[language].fields[link.provider]}


def _told(error: InvalidInput, link: Link, language: Language) -> dict[str, str]:
    """What is wrong, by field, in the seller's language."""
    if isinstance(error, KeysRejected):
        return {field: rejection.told(language) for field, rejection in error.rejections}
    wrong = {field.field for field in error.errors}
    return {field.name: field.wrong for field in WORDS[language].fields[link.provider] if field.name in wrong}


def _is_from_our_page(request: Request[Any, Any, Any]) -> bool:
    """The token is the secret, and no cookie is looked at, so nobody can be made to send this by another site without knowing it. This is the second wall.

    Browsers say `Origin: null` here, because of the page's `Referrer-Policy: no-referrer` (Fetch, "append a request `Origin` header"); where the address is
    HTTPS they say `Sec-Fetch-Site` as well.
    """
    if (site := request.headers.get("sec-fetch-site")) is not None and site not in ("same-origin", "none"):
        return False
    origin = request.headers.get("origin", "null")
    # Hosts alone: behind a proxy that ends TLS we may not know the scheme.
    return origin == "null" or urlsplit(origin).netloc in {
        urlsplit(get_settings().public_url).netloc,
        urlsplit(str(request.base_url)).netloc,
    } - {""}
