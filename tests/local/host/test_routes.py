import pytest

from local.host.routes import parse_template


@pytest.mark.parametrize(
    ("template", "path", "values"),
    [
        ("api/health", "/api/health", {}),
        ("api/health", "/API/Health/", {}),
        ("api/senders/{sender}", "/api/senders/noreply", {"sender": "noreply"}),
        ("api/senders/{sender}", "/api/senders/a%2Fb%20c", {"sender": "a/b c"}),
        ("api/senders/{sender?}", "/api/senders", {}),
        ("api/senders/{sender?}", "/api/senders/x", {"sender": "x"}),
        ("api/items/{id:int}", "/api/items/-5", {"id": "-5"}),
        ("api/items/{id:int:min(3)}", "/api/items/3", {"id": "3"}),
        ("api/items/{id:guid}", "/api/items/11111111-2222-4333-8444-555555555555", None),
        ("api/items/{id:length(2,4)}", "/api/items/abc", {"id": "abc"}),
        ("api/files/{*path}", "/api/files/a/b/c", {"path": "a/b/c"}),
        ("api/files/{*path}", "/api/files", {}),
        ("", "/", {}),
    ],
)
def test_paths_that_match(template: str, path: str, values: dict[str, str] | None) -> None:
    expected = {"id": "11111111-2222-4333-8444-555555555555"} if values is None else values
    assert parse_template(template).match(path) == expected


@pytest.mark.parametrize(
    ("template", "path"),
    [
        ("api/health", "/api/health/more"),
        ("api/health", "/health"),
        ("api/senders/{sender}", "/api/senders"),
        ("api/senders/{sender}", "/api/senders/"),
        ("api/senders/{sender}", "/api/senders/a/b"),
        ("api/items/{id:int}", "/api/items/five"),
        ("api/items/{id:int}", "/api/items/99999999999"),
        ("api/items/{id:guid}", "/api/items/5"),
        ("api/items/{id:alpha}", "/api/items/a1"),
        ("api/items/{id:bool}", "/api/items/yes"),
        ("api/items/{id:max(3)}", "/api/items/4"),
        ("api/items/{id:length(3)}", "/api/items/ab"),
    ],
)
def test_paths_that_do_not_match(template: str, path: str) -> None:
    assert parse_template(template).match(path) is None


@pytest.mark.parametrize("template", ["{a?}/b", "{*a}/b", "x{a}", "{a", "{a:nothing}", "{}"])
def test_templates_that_cannot_be_served_are_refused(template: str) -> None:
    with pytest.raises(ValueError, match="route"):
        parse_template(template)


def test_the_more_specific_template_goes_first() -> None:
    templates = [parse_template(text) for text in ("a/{*rest}", "a/{b}", "a/{b:int}", "a/b")]
    ordered = sorted(templates, key=lambda template: template.precedence)
    assert [template.text for template in ordered] == ["a/b", "a/{b:int}", "a/{b}", "a/{*rest}"]
