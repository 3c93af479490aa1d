"""The page about the Bicep says what is there."""

from __future__ import annotations

import re

from tests.infra.bicep import FILES, INFRA, MAIN, plain, read, text_of
from tests.infra.deployment import parameters_file
from tests.pages import without_code

PAGE = (INFRA / "README.md").read_text("utf-8")


def test_every_file_is_named_and_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)\s#]+)\)", without_code(PAGE))
    assert [link for link in links if not (INFRA / link).exists()] == []
    files = {path.relative_to(INFRA).as_posix() for path in FILES} | {
        path.name for path in INFRA.glob("*.json")
    }
    assert files <= set(links)


def test_every_parameter_is_listed_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| .+? \| (.*?) ?\|$", PAGE, re.MULTILINE))
    parameters = read(MAIN).of_kind("param")
    assert list(rows) == list(parameters_file().values())
    said = {"asked for", "the subscription's", "its host name", "nobody", ""}
    for name, variable in parameters_file().items():
        default = parameters[name].value
        if default is None:
            assert rows[variable] == "asked for"
        elif rows[variable] not in said:
            value = plain(default) if default.type == "string" else text_of(default)
            assert rows[variable] == f"`{value}`", variable


def test_every_value_that_a_command_reads_comes_out_of_the_deployment() -> None:
    named = set(re.findall(r"azd env get-value (\w+)", PAGE))
    assert named
    assert named <= read(MAIN).outputs.keys()
