"""Pages are kept as long as they fit."""

from app.sandbox.page_cache import PageCache


def test_the_page_that_was_not_used_for_longest_makes_room() -> None:
    cache = PageCache(capacity_bytes=100)
    for name in "abcd":
        cache.put(name, bytes(25))
    cache.get("a")

    cache.put("e", bytes(25))

    assert [name for name in "abcde" if cache.get(name) is not None] == ["a", "c", "d", "e"]


def test_a_page_too_large_to_leave_room_for_others_is_not_kept() -> None:
    cache = PageCache(capacity_bytes=100)
    cache.put("small", bytes(20))

    cache.put("large", bytes(26))

    assert cache.get("large") is None
    assert cache.get("small") is not None


def test_a_page_put_twice_counts_once() -> None:
    cache = PageCache(capacity_bytes=50)
    for _ in range(20):
        cache.put("a", bytes(12))

    cache.put("b", bytes(12))

    assert cache.get("a") is not None
    assert (cache.made, cache.reused) == (21, 1)
