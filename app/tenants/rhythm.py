"""How often a tenant's accounts are synced, as SQL about the row of `tenants` that a statement is at. The schedule goes by it, and the API tells it."""

from app.marketplaces.contract import Marketplace
from app.marketplaces.ozon.rhythm import LEAST_INTERVAL_MINUTES as LEAST_OF_OZON
from app.marketplaces.wildberries.rhythm import REFRESH_MINUTES as LEAST_OF_WILDBERRIES

SEALED_KEY = {Marketplace.WILDBERRIES: "wb_credentials_encrypted", Marketplace.OZON: "ozon_credentials_encrypted"}

# Of a key of which nothing was written down when it was stored.
USUAL_LEAST_INTERVAL = {Marketplace.WILDBERRIES: LEAST_OF_WILDBERRIES, Marketplace.OZON: LEAST_OF_OZON}

# A key that the marketplace rejected, or that ran out, is not hammered on. Whose key it is shows by its column, what is known of it by its row in
# `credentials`; of a key without one nothing is known against it.
USABLE_KEY = {
    marketplace: f"({column} IS NOT NULL AND NOT EXISTS (SELECT FROM credentials "
    f"WHERE credentials.tenant_id = tenants.id AND provider = '{marketplace.value}' AND status = 'invalid'))"
    for marketplace, column in SEALED_KEY.items()
}

LEAST_INTERVAL = {
    marketplace: f"coalesce((SELECT least_interval_minutes FROM credentials "
    f"WHERE credentials.tenant_id = tenants.id AND provider = '{marketplace.value}'), {usual})"
    for marketplace, usual in USUAL_LEAST_INTERVAL.items()
}
"""Minutes: more frequent turns of that account would gain nothing."""

EFFECTIVE_INTERVAL = f"greatest(sync_interval_minutes, least({', '.join(f'CASE WHEN {USABLE_KEY[each]} THEN {LEAST_INTERVAL[each]} END' for each in Marketplace)}))"
"""Minutes between the tenant's turns: as often as it wishes, and no more often than its least demanding account can use."""

PAUSED_ACCOUNT = {
    marketplace: f"EXISTS (SELECT FROM sync_pauses AS pause WHERE (pause.tenant_id IS NULL OR pause.tenant_id = tenants.id) "
    f"AND (pause.marketplace IS NULL OR pause.marketplace = '{marketplace.value}'))"
    for marketplace in Marketplace
}

SYNC_PAUSED = f"({' OR '.join(f'({column} IS NOT NULL AND {PAUSED_ACCOUNT[each]})' for each, column in SEALED_KEY.items())})"
"""Whether an operator holds up the syncs of an account that the tenant has a key of."""
