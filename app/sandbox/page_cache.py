"""Encoded answers, kept as long as they fit: a shop that stands still is not described twice."""

from collections import OrderedDict
from collections.abc import Hashable


class PageCache:
    """The most recently used answers, up to `capacity_bytes` together. Keys name the version of what they describe, so nothing expires.

    `made` and `reused` count pages, so that whoever measures a client can see how much of the time is ours.
    """

    def __init__(self, capacity_bytes: int = 32 * 1024 * 1024) -> None:
        self._pages: OrderedDict[Hashable, bytes] = OrderedDict()
        self._capacity_bytes = capacity_bytes
        self._bytes = 0
        self.reused = 0
        self.made = 0

    def get(self, key: Hashable) -> bytes | None:
        page = self._pages.get(key)
        if page is not None:
            self._pages.move_to_end(key)
            self.reused += 1
        return page

    def put(self, key: Hashable, page: bytes) -> None:
        self.made += 1
        # One report of a large shop would otherwise push everybody else's pages out.
        if len(page) > self._capacity_bytes // 4:
            return
        self._bytes += len(page) - len(self._pages.pop(key, b""))
        self._pages[key] = page
        while self._bytes > self._capacity_bytes:
            _, evicted = self._pages.popitem(last=False)
            self._bytes -= len(evicted)

    def clear(self) -> None:
        self._pages.clear()
        self._bytes = self.made = self.reused = 0
