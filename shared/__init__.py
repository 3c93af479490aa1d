"""
Sendoff: a JSON message on a queue becomes mail from a Microsoft 365 mailbox, over SMTP with XOAUTH2.

Where things live, in reading order:

- ``core``       decides; pure, so every rule is a table that a test can read
- ``workflows``  one file for each thing that happens, as numbered steps: ``send``, ``serve_line``,
  ``release``, ``upkeep``, ``consent``, ``senders``, ``sweep``, ``dead_letter``, ``postpone``, ``health``
- ``pacer``      gives a message a seat, so that all instances together keep the limits: ``desk`` (what this
  process holds), ``line_service`` (who serves a line), ``tender`` (connections looked after), ``register``
  (what all instances agree on), ``line`` (who is next)
- ``courier``    carries a claimed message to the server; ``holds`` stops senders and lets them go on
- ``composer``   makes a message ready to go: template, text part, files, limits
- ``grants``     keeps access tokens usable; sending and upkeep share it
- ``scribe``     writes down what came of a delivery; ``herald`` puts the events on their queue
- ``adapters``   the outside world, one system per file
- ``web``        HTTP requests and pages
- ``settings``   the environment and mail.toml (``mail_config``), the only readers of either
- ``services``   builds each adapter once, on first use, and hands the workflows what they need
- ``errors``     everything that can go wrong in a way we know; ``log_words`` the words of the log;
  ``ports`` what more than one workflow needs of the world
"""
