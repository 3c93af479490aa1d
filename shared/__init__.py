"""
Sendoff: a JSON message on a queue becomes mail from a Microsoft 365 mailbox, over SMTP with XOAUTH2.

Where things live, in reading order:

- ``core``       decides; pure, so every rule is a table that a test can read
- ``workflows``  one file for each thing that happens, as numbered steps: ``send``, ``upkeep``, ``consent``,
  ``dead_letter``, ``health``
- ``grants``     keeps access tokens usable; sending and upkeep share it
- ``adapters``   the outside world, one system per file
- ``web``        HTTP requests and pages
- ``settings``   the environment and mail.toml (``mail_config``), the only readers of either
- ``services``   builds each adapter once, on first use, and hands the workflows what they need
- ``errors``     everything that can go wrong in a way we know; ``events`` the words of the log
"""
