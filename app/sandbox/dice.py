"""Chance that is the same every time: all that the sandbox invents follows from numbers through these."""

from collections.abc import Sequence
from typing import TypeVar

_MASK = (1 << 64) - 1
Choice = TypeVar("Choice")


def mix(value: int) -> int:
    """64 well-mixed bits of a number: the finalizer of SplitMix64 (Steele, Lea and Flood, 2014)."""
    value = (value + 0x9E3779B97F4A7C15) & _MASK
    value = ((value ^ value >> 30) * 0xBF58476D1CE4E5B9) & _MASK
    value = ((value ^ value >> 27) * 0x94D049BB133111EB) & _MASK
    return value ^ value >> 31


def draw(dice: int, choices: Sequence[Choice]) -> tuple[int, Choice]:
    """One of the choices, and the dice that are left for the next draw."""
    dice, index = divmod(dice, len(choices))
    return dice, choices[index]
