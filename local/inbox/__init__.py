"""
The web inbox: shows what the mail server accepted, and carries the server's control endpoint.

- `reading`: a received message taken apart for showing, whatever is wrong with it;
- `html_part`: an HTML body made safe to show in a frame;
- `web`: the routes;
- `pages/`: the templates and the stylesheet. They work without scripts, in light and dark.

What a mail contains is never trusted: every page escapes it and carries a content security policy, and HTML
is shown in a sandboxed frame that runs no script and loads nothing from the network.
"""

from local.inbox.web import inbox_app

__all__ = ["inbox_app"]
