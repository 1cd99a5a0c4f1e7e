"""A string that can't be shown by accident."""

from typing import Final


class Secret:
    """A secret text: `repr`, `str`, f-strings and logs show `***`; only `reveal()` gives the value.

    It has no `__eq__` of values on purpose: secrets are compared in constant time, by `hmac.compare_digest`.
    """

    __slots__ = ("_value",)

    MASK: Final = "***"

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def hint(self) -> str:
        """A form that lets its owner recognise it: `eyJ…9fQ2`; a short secret shows nothing of itself."""
        if len(self._value) < 16:
            return self.MASK
        return f"{self._value[:3]}…{self._value[-4:]}"

    def __repr__(self) -> str:
        return f"Secret({self.MASK!r})"

    def __str__(self) -> str:
        return self.MASK

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> str | tuple[object, ...]:
        raise TypeError("A secret can't be pickled.")
