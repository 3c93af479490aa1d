"""
The Functions host for one machine: runs the function_app.py that Azure runs, on the SDK's own decoders.

Reading order:

- `run` starts the host from `options`: settings, socket, key, then `instance` here, or `supervisor` with
  several.
- `instance` is one process: it reads `host_json`, indexes the app with `app_index`, starts the listeners,
  stops them.
- `queue_listener` (with `message_lock` and `polling`), `timer_listener` (with `schedules` and `singleton`)
  and `http_listener` (with `routes` and `admin`) are the triggers.
- `invocation` runs functions; `bindings` turns what triggers have into what functions see, and back.
- `app_settings` and `storage` find settings and accounts; `stopping`, `lifeline`, `log_lines` and
  `start_page` do what they say.

What it does not have: bindings other than queue, timer and HTTP; retry policies; ending a function at
functionTimeout (a thread cannot be ended: it is logged); the key management of Azure (one key opens
everything).
"""
