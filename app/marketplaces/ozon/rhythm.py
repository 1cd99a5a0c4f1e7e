"""How often a sync of an Ozon account can bring anything new."""

LEAST_INTERVAL_MINUTES = 5
"""The shortest interval that a seller may choose. Ozon answers with the present state, and its budget is 50 calls a second for all methods together,
which a sync uses a few of for each thousand products; neither sets a bound. Source: docs.ozon.ru/api/seller, "Request limits" and the descriptions of the
methods in methods.py, as of 2026-10-01."""
