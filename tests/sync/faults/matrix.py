"""How a fault is gone through: what is told, what is kept, and how the next run recovers."""

from fnmatch import fnmatchcase
from typing import Any, NamedTuple

from tests.sync.faults.seller import STAGES, Figures, Seller, stage_of, statuses

# What each stage writes of the figures by which a shop is compared.
FIGURES = {
    "products": ("products",),
    "prices": ("price_sum", "discounted_price_sum"),
    "stocks": ("marketplace_units", "seller_units"),
    "orders": ("orders",),
}


class Case(NamedTuple):
    """A fault, and what becomes of the stage that meets it and of its run. `*` in the sentences stands for anything, `{path}` for the method's path."""

    kind: str
    fault: dict[str, Any]
    run: str
    stage: str
    code: str = ""
    ru: str = ""
    en: str = ""


def told_as(case: Case, language: str, path: str) -> str:
    return (case.ru if language == "ru" else case.en).replace("{path}", path)


def expected_statuses(stage: str, case: Case) -> list[str]:
    place = STAGES.index(stage)
    others = "pending" if case.run == "failed" else "succeeded"
    return ["succeeded"] * place + [case.stage] + [others] * (len(STAGES) - place - 1)


async def go_through(seller: Seller, stage: str, path: str, case: Case) -> None:
    """The fault comes and is told of in Russian, it comes again and is told of in English, and it is over."""
    await seller.speak("ru")
    await seller.let_time_pass()
    before = await seller.rows(stage)

    await seller.trouble(case.kind, path, **case.fault)
    run = await seller.sync()

    assert (run["status"], statuses(run)) == (case.run, expected_statuses(stage, case))
    if case.stage == "succeeded":
        assert stage_of(run, stage)["error"] is None
        assert await seller.stored() == await seller.truth()
        return
    assert_told(stage_of(run, stage)["error"], case, "ru", path)
    assert await seller.rows(stage) == before
    assert_others_are_true(stage, case, await seller.stored(), await seller.truth())

    await seller.speak("en")
    await seller.trouble(case.kind, path, **case.fault)
    if case.run == "failed":
        assert run["error"] == stage_of(run, stage)["error"]
        await seller.give_key()
    run = await seller.go_on(run) if case.run == "queued" else await seller.sync()
    assert_told(stage_of(run, stage)["error"], case, "en", path)

    await seller.recover()
    if case.run == "failed":
        await seller.give_key()
    run = await seller.go_on(run) if case.run == "queued" else await seller.sync()
    assert (run["status"], statuses(run)) == ("succeeded", ["succeeded"] * 4)
    if (stage, case.run) == ("products", "queued"):
        # Prices and shelves didn't wait; those of products that are new come with the next run.
        await seller.sync()
    assert await seller.stored() == await seller.truth()


def assert_told(error: Any, case: Case, language: str, path: str) -> None:
    assert error is not None
    assert error["code"] == case.code
    assert fnmatchcase(error["detail"], told_as(case, language, path)), error["detail"]
    assert len(error["detail"]) < 200


def assert_others_are_true(stage: str, case: Case, stored: Figures, truth: Figures) -> None:
    """The fault of one stage keeps none of the others from its work, unless the key is dead or they can't be told without the products."""
    after = STAGES[STAGES.index(stage) + 1 :]
    for other, names in FIGURES.items():
        if other == stage or (case.run == "failed" and other in after) or (stage == "products" and other != "orders"):
            continue
        assert [getattr(stored, name) for name in names] == [getattr(truth, name) for name in names], other
