"""From a tenant's key to a marketplace client."""

from uuid import UUID

import aiohttp

from app.credentials.store import Credentials, WildberriesCredentials, get_ozon_credentials, get_wildberries_credentials
from app.database import tenant_scope
from app.errors import NotFound
from app.marketplaces.contract import Marketplace, MarketplaceClient
from app.marketplaces.exchange import make_http_client
from app.marketplaces.limits import close_limits, shared_limits
from app.marketplaces.ozon.client import OzonClient
from app.marketplaces.ozon.keys import OzonCredentials, OzonKey, OzonToken
from app.marketplaces.ozon.limit_headers import limit_news as ozon_news
from app.marketplaces.transport import Transport
from app.marketplaces.wildberries.client import WildberriesClient, WildberriesHosts
from app.marketplaces.wildberries.limit_headers import limit_news as wildberries_news
from app.secret import Secret
from app.settings import get_settings

_http: aiohttp.ClientSession | None = None


def _shared_http() -> aiohttp.ClientSession:
    """One client for the process, so that connections to a marketplace are kept alive from run to run."""
    global _http
    if _http is None or _http.closed:
        _http = make_http_client()
    return _http


async def close_marketplace_connections() -> None:
    """At the process's stop."""
    global _http
    if _http is not None:
        await _http.close()
        _http = None
    await close_limits()


def make_client(credentials: Credentials) -> MarketplaceClient:
    """A client for a key that may not be stored yet, with the addresses of the settings."""
    match credentials:
        case WildberriesCredentials(api_key):
            return wildberries_client(api_key)
        case OzonCredentials() | OzonToken():
            return ozon_client(credentials)


def wildberries_client(api_key: Secret) -> WildberriesClient:
    """Likewise. If this service is registered with Wildberries, its secret goes with each call."""
    settings = get_settings()
    hosts = WildberriesHosts(
        content=settings.wb_content_api_url,
        marketplace=settings.wb_marketplace_api_url,
        statistics=settings.wb_statistics_api_url,
        analytics=settings.wb_analytics_api_url,
        prices=settings.wb_prices_api_url,
        common=settings.wb_common_api_url,
    )
    transport = Transport(_shared_http(), limits=shared_limits(settings), news=wildberries_news)
    return WildberriesClient(api_key, transport, hosts, settings.wb_client_secret)


def ozon_client(key: OzonKey) -> OzonClient:
    """Likewise."""
    settings = get_settings()
    return OzonClient(key, Transport(_shared_http(), limits=shared_limits(settings), news=ozon_news), settings.ozon_api_url)


async def create_marketplace_client(tenant_id: UUID, marketplace: Marketplace | None = None) -> MarketplaceClient:
    """A client that makes real requests with the tenant's key; left out, the marketplace is the one that the tenant registered with.

    Raises:
        CredentialsMissing: the tenant has no key for it.
        CredentialsUnreadable: the key does not open.
    """
    if marketplace is None:
        async with tenant_scope(tenant_id) as connection:
            chosen = await connection.fetchval("SELECT marketplace_type FROM tenants WHERE id = $1", tenant_id)
        if chosen is None:
            raise NotFound("No such tenant.")
        marketplace = Marketplace(chosen)
    match marketplace:
        case Marketplace.WILDBERRIES:
            return make_client(await get_wildberries_credentials(tenant_id))
        case Marketplace.OZON:
            return make_client(await get_ozon_credentials(tenant_id))
