"""How Ozon's lists end.

By their description a list goes on while `has_next` says so, or, where it has none, while there is a cursor; live, last pages came with a cursor, and a page
that promised another was followed by an empty one. So an empty page is an end, too. A list that goes in circles, or promises more and doesn't say how to ask for
it, is an error: what it lacks must not count as read.
Totals are not counted upon: Ozon drops `total` on 2026-11-23.
"""

from app.marketplaces.errors import UnexpectedResponse
from app.marketplaces.ozon.methods import Method

# Of 100 postings each, that is two million.
MOST_PAGES = 20_000


class Paging:
    """A walk through the pages of one list, from `cursor` on."""

    def __init__(self, method: Method, cursor: str) -> None:
        self._method = method
        self._seen = {cursor}

    def goes_on(self, count: int, cursor: str | None, *, has_next: bool | None = None) -> bool:
        """Whether another page follows one of `count` items that named `cursor` as its end. `has_next` is None for lists that don't say.

        Raises:
            UnexpectedResponse: the list would never end, or can't be read to its end.
        """
        if not count or has_next is False or (has_next is None and not cursor):
            return False
        if not cursor:
            raise UnexpectedResponse(
                f"{self._method.path}: there is more, and no cursor to ask for it.",
                detail_ru=f"{self._method.path}: обещано продолжение, но не сказано, как его получить.",
            )
        if cursor in self._seen:
            if has_next is None and count < self._method.page_size:
                return False
            raise self._never_ends()
        if len(self._seen) >= MOST_PAGES:
            raise self._never_ends()
        self._seen.add(cursor)
        return True

    def _never_ends(self) -> UnexpectedResponse:
        path = self._method.path
        return UnexpectedResponse(
            f"{path}: a page came twice, or far too many came, so the list would never end.",
            detail_ru=f"{path}: страница повторилась или их слишком много, список не кончился бы.",
        )
