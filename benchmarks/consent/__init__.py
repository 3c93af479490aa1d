"""
What the benchmarks of consent and upkeep stand on.

In simulated time, with the stores of ``tests/twins.py``, which ``tests/contracts`` hold to the real ones:

- `provider`: a provider that gives tokens, and is away when it is told to be;  `vault`: grants as versions;
- `parts`: a clock, and a mail server that reads the tokens;  `instance`: one instance of the app between all.

On a real stack, from outside:

- `tokens`: how long the provider's tokens last, and a consent whose token is about to end;
- `matrix`: services of every kind, and what happens to each.
"""
