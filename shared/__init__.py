"""
Sendoff: a JSON message on a queue becomes mail from a Microsoft 365 mailbox, over SMTP with XOAUTH2.

Where things live, in reading order:

- ``core``       decides; pure, so every rule is a table that a test can read
- ``workflows``  one file for each thing that happens, as numbered steps: ``send``, ``serve_line``,
  ``release``, ``upkeep``, ``consent``, ``connected``, ``messages``, ``schedules``, ``senders``, ``sweep``,
  ``dead_letter``, ``postpone``, ``health``
- ``pacer``      gives a message a seat, so that all instances together keep the limits: ``desk`` (what this
  process holds), ``line_service`` (who serves a line), ``tender`` (connections looked after), ``register``
  (what all instances agree on), ``line`` (who is next)
- ``courier``    carries a claimed message to the server; ``holds`` stops senders and lets them go on
- ``composer``   makes a message ready to go: template, text part, files, limits
- ``grants``     keeps access tokens usable; sending and upkeep share it
- ``connections`` connects senders and takes their grants away, for all instances
- ``scribe``     writes down what came of a delivery; ``amender`` takes messages back and moves them
- ``herald``     puts events on their queue; ``alarms`` says what happens to senders, to ``operators`` by mail
  too; ``trial_mail`` sends test mails; ``telemetry`` is the silence where nobody listens
- ``adapters``   the outside world, one system per file
- ``web``        HTTP requests and pages
- ``settings``   the environment and mail.toml (``mail_config``, ``service_config``, ``config_tables``), the
  only readers of either
- ``wiring``     builds each adapter and room once, on first use; ``services`` hands workflows what they need
- ``errors``     everything that can go wrong in a way we know; ``log_words`` the words of the log;
  ``ports`` what more than one workflow needs of the world
"""
