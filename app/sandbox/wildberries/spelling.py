"""How Wildberries' hosts spell field names. They don't agree with one another."""


def capital_ids(field: str) -> str:
    """Content and Prices: `nm_id` is `nmID`."""
    first, *rest = field.split("_")
    return first + "".join(word.upper() if word in ("id", "uuid") else word.title() for word in rest)


def statistics(field: str) -> str:
    """Statistics: `income_id` is `incomeID`, but `nm_id` is `nmId`."""
    return "nmId" if field == "nm_id" else capital_ids(field)
