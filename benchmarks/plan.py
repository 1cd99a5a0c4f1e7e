"""How much is measured."""

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """`rounds`: ours and the floor take turns so many times. `tenants`: the largest fleet. `profile`: its worker runs under the profiler, which then tells."""

    rounds: int
    tenants: int
    profile: bool

    @property
    def long_rounds(self) -> int:
        """Of measurements of which one round takes as long as three of the others."""
        return max(self.rounds // 3, 1)
