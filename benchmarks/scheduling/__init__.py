"""
What the benchmarks of scheduled mail share.

- `planting`: messages that wait, written into the tables as the app writes them, by the thousand;
- `one_run`: the function `release`, once, in a process of its own;
- `amending`: messages taken back and moved at a given moment, over the queue and over HTTP;
- `minute_by_minute`: when a cron line occurs, worked out a second time.
"""
