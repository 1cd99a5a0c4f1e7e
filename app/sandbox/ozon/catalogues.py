"""The catalogues of all shops: what the sandbox remembers beside what all marketplaces share."""

from uuid import UUID

from app.sandbox.ozon.catalogue import Catalogue
from app.sandbox.state import State


class Catalogues:
    """One per shop, made when it is first asked for; a new shop in place of an old one gets a new catalogue."""

    def __init__(self, state: State) -> None:
        self._state = state
        self._made: dict[UUID, Catalogue] = {}

    def of(self, seller_id: UUID, products: int | None = None) -> Catalogue:
        """Of the seller's shop, which opens with so many cards if it isn't open."""
        shop = self._state.shop(seller_id, products)
        catalogue = self._made.get(seller_id)
        if catalogue is None or catalogue.shop is not shop:
            catalogue = self._made[seller_id] = Catalogue(shop)
        return catalogue
