from __future__ import annotations

import json

from shared.web.responses import page, public_json, redirect


def test_a_body_and_headers_are_not_printed() -> None:
    response = page("canary", status=200, style="p { color: red }")
    assert "canary" not in repr(response)
    assert "canary" not in repr(redirect("https://login.example/?state=canary", cookie="canary"))


def test_the_style_is_hashed_as_it_is_written_in_utf_8() -> None:
    policy = page("", status=200, style="p::before { content: 'ü' }").headers["Content-Security-Policy"]
    assert "'sha256-" in policy
    assert policy != page("", status=200, style="").headers["Content-Security-Policy"]


def test_what_may_hold_a_secret_is_not_stored() -> None:
    for response in (page("", status=200, style=""), redirect("https://login.example/", cookie="a=b")):
        assert response.headers["Cache-Control"] == "no-store"


def test_json_that_is_the_same_for_everybody_may_be_kept_for_an_hour_and_is_no_page() -> None:
    response = public_json({"title": "Grüße"}, content_type="application/schema+json")
    assert (response.status, response.content_type) == (200, "application/schema+json")
    assert json.loads(response.body) == {"title": "Grüße"}
    assert response.headers["Cache-Control"] == "public, max-age=3600"
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_forms_go_to_this_app_alone_and_only_where_there_are_some() -> None:
    for forms, said in ((False, "form-action 'none'"), (True, "form-action 'self'")):
        assert said in page("", status=200, style="", forms=forms).headers["Content-Security-Policy"]
