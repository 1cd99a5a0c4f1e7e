"""When a seller hears that a product runs low.

A product has a level, which is what its seller was last told or spared. It is compared when the stock changes, with the threshold t, which is the product's own
or else the tenant's. `low` and `out` are left only when the stock is well above what led to them, by m = max(2, t / 5), so that one unit sold and returned is not
told each time:

    | stock now   | level before: ok | low                  | out              | never compared |
    |-------------|------------------|----------------------|------------------|----------------|
    | 0           | out, told        | out, told            | out              | out            |
    | up to t     | low, told        | low                  | low, from m on   | low            |
    | below t + m | ok               | low                  | low, from m on   | ok             |
    | from t + m  | ok               | ok, told if it rose  | ok, told         | ok             |

What is told is `stock.out`, `stock.low` and `stock.replenished`. A level moves without a word where the product is archived; where it was never compared, which
makes a first sync silent; and where the seller lowered the threshold and the stock did not rise.
"""

from app.events.types import StockLow, StockOut, StockReplenished

# Of a row with `stock` and `stock_before` in units, `level_before` and `threshold`.
LEVEL = """
    CASE WHEN stock <= 0 OR (level_before = 'out' AND stock < greatest(2, threshold / 5)) THEN 'out'
         WHEN stock <= threshold THEN 'low'
         WHEN level_before IS NULL OR stock >= threshold + greatest(2, threshold / 5) THEN 'ok'
         WHEN level_before = 'out' THEN 'low'
         ELSE level_before END
"""

# Of a row that also has its new `level`, and whether it is `archived`.
TOLD = f"""
    CASE WHEN archived OR level_before IS NULL OR level = level_before THEN NULL
         WHEN level = 'out' THEN '{StockOut.type}'
         WHEN level = 'low' AND level_before = 'ok' THEN '{StockLow.type}'
         WHEN level = 'ok' AND stock > stock_before THEN '{StockReplenished.type}' END
"""
