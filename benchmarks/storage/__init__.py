"""
Storage as the benchmarks see it.

- `whose_requests`: who asked for what, from Azurite's access log;
- `bare_loop`: the operations of a message and nothing else.
"""
