"""
The parts of ``bench speed``.

- `round_trips`: how many a message costs;  `race`: messages a second, everyone in turns;
- `contestants`: those in Python, each a process;  `server`, `lean`: the mail servers;
- `relay`: a way of a known length;  `child`: processes that are asked in lines of JSON.
"""
