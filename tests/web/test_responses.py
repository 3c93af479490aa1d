from __future__ import annotations

import json

from shared.web.responses import as_json, page, redirect


def test_a_body_and_headers_are_not_printed() -> None:
    response = page("canary", status=200, style="p { color: red }")
    assert "canary" not in repr(response)
    assert "canary" not in repr(redirect("https://login.example/?state=canary", cookie="canary"))


def test_the_style_is_hashed_as_it_is_written_in_utf_8() -> None:
    policy = page("", status=200, style="p::before { content: 'ü' }").headers["Content-Security-Policy"]
    assert "'sha256-" in policy
    assert policy != page("", status=200, style="").headers["Content-Security-Policy"]


def test_json_is_not_stored_either() -> None:
    response = as_json({"state": "ok"}, status=202)
    assert (response.status, response.content_type) == (202, "application/json")
    assert json.loads(response.body) == {"state": "ok"}
    assert response.headers["Cache-Control"] == "no-store"
