"""
HTTP requests and pages.

``requests`` reads what a browser sent, ``responses`` says what goes back, ``consent_pages`` fills the
templates in ``pages``, ``consent_routes`` joins them to the workflow.
"""
