"""How much is measured."""

import msgspec


class Plan(msgspec.Struct, frozen=True):
    """`rounds`: ours and the floor take turns so many times. `tenants`: the largest fleet. `profile`: its worker runs under the profiler, and what it found is shown."""

    rounds: int
    tenants: int
    profile: bool
