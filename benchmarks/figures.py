"""What was measured, and how it is shown."""

from collections.abc import Sequence
from statistics import median

import msgspec
from rich.table import Table


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """One row: the figures of each round, ours and the floor's, in `unit`.

    `aim` bounds the ratio of the medians, or the median itself where there is no floor: at most, or at least where `more_is_better`.
    """

    work: str
    unit: str
    ours: list[float]
    floor: list[float] = []
    aim: float | None = None
    more_is_better: bool = False

    @property
    def our_median(self) -> float:
        return median(self.ours)

    @property
    def floor_median(self) -> float | None:
        return median(self.floor) if self.floor else None

    @property
    def ratio(self) -> float | None:
        return self.our_median / self.floor_median if self.floor_median else None

    @property
    def reached(self) -> bool | None:
        """Whether the aim is reached; None where there is none."""
        if self.aim is None:
            return None
        value = self.our_median if self.ratio is None else self.ratio
        return value >= self.aim if self.more_is_better else value <= self.aim

    def cells(self) -> tuple[str, str, str, str, str]:
        """Work, ours, floor, ratio, aim."""
        floor, ratio = self.floor_median, self.ratio
        aim = ""
        if self.aim is not None:
            aim = f"{'≥' if self.more_is_better else '≤'} " + (f"{self.aim:.2f} ×" if ratio is not None else _number(self.aim, self.unit))
        return (
            self.work,
            _number(self.our_median, self.unit),
            "–" if floor is None else _number(floor, self.unit),
            "–" if ratio is None else f"{ratio:.2f} ×",
            aim or "–",
        )


HEADINGS = ("work", "ours", "floor", "ratio", "aim")


def table(figures: Sequence[Figure]) -> Table:
    """For the terminal: green where the aim is reached."""
    shown = Table(title="Medians", title_justify="left")
    for heading in HEADINGS:
        shown.add_column(heading, justify="left" if heading == "work" else "right")
    for figure in figures:
        shown.add_row(*figure.cells(), style={True: "green", False: "yellow", None: ""}[figure.reached])
    return shown


def markdown(figures: Sequence[Figure]) -> str:
    lines = ["| " + " | ".join(HEADINGS) + " |", "|---|---:|---:|---:|---:|"]
    lines += ["| " + " | ".join(figure.cells()) + " |" for figure in figures]
    return "\n".join(lines)


def _number(value: float, unit: str) -> str:
    if value and abs(value) < 10 and unit not in ("rows", "requests/s"):
        text = f"{value:.3g}"
    elif value < 100 and unit not in ("rows", "requests/s"):
        text = f"{value:.1f}"
    else:
        text = f"{value:,.0f}"
    return f"{text} {unit}"
