import json
from pathlib import Path

import pytest

from local.host.app_settings import (
    UnresolvedSettingError,
    apply_local_settings,
    find_connection,
    is_disabled,
    resolve,
)
from local.host.options import StartError
from local.host.storage import host_id


def test_placeholders_are_replaced_wherever_they_stand() -> None:
    assert resolve("%A%-x-%B%", {"A": "1", "B": "2"}) == "1-x-2"
    assert resolve("0 */5 * * * *", {}) == "0 */5 * * * *"


@pytest.mark.parametrize("settings", [{}, {"A": ""}])
def test_a_missing_setting_is_named(settings: dict[str, str]) -> None:
    with pytest.raises(UnresolvedSettingError, match="set the app setting A"):
        resolve("%A%", settings)


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "local.settings.json").write_text(
        json.dumps({"Values": {"A": "file", "B": "file", "N": 5, "T": True}})
    )
    environment = {"A": "environment"}
    apply_local_settings(tmp_path, environment)
    assert environment == {"A": "environment", "B": "file", "N": "5", "T": "true"}


def test_no_file_is_no_error(tmp_path: Path) -> None:
    apply_local_settings(tmp_path, {})


@pytest.mark.parametrize("text", ["{", "[]", '{"Values": []}', '{"IsEncrypted": true, "Values": {}}'])
def test_a_bad_file_is_said(tmp_path: Path, text: str) -> None:
    (tmp_path / "local.settings.json").write_text(text)
    with pytest.raises(StartError, match=r"local\.settings\.json"):
        apply_local_settings(tmp_path, {})


def test_the_development_account_is_spelled_out() -> None:
    found = find_connection("AzureWebJobsStorage", {"AzureWebJobsStorage": "UseDevelopmentStorage=true"})
    assert found.connection_string is not None
    assert "QueueEndpoint=http://127.0.0.1:10001/devstoreaccount1" in found.connection_string


def test_a_connection_string_is_not_printed() -> None:
    found = find_connection("Mail", {"Mail": "AccountKey=secret"})
    assert found.connection_string == "AccountKey=secret"
    assert "secret" not in repr(found)


def test_a_prefixed_name_goes_first_as_in_the_real_host() -> None:
    settings = {"Storage": "second", "AzureWebJobsStorage": "first"}
    assert find_connection("Storage", settings).connection_string == "first"


def test_an_identity_stands_for_a_key() -> None:
    by_name = find_connection("", {"AzureWebJobsStorage__accountName": "contoso"})
    assert by_name.queue_uri == "https://contoso.queue.core.windows.net"
    assert by_name.blob_uri == "https://contoso.blob.core.windows.net"
    by_uri = find_connection("Mail", {"Mail__queueServiceUri": "https://q.example", "Mail__clientId": "id"})
    assert (by_uri.queue_uri, by_uri.blob_uri, by_uri.client_id) == ("https://q.example", None, "id")


def test_no_connection_names_the_setting() -> None:
    with pytest.raises(UnresolvedSettingError, match="set the app setting Mail"):
        find_connection("Mail", {})


@pytest.mark.parametrize("name", ["AzureWebJobs.send.Disabled", "AzureWebJobs_send_Disabled"])
@pytest.mark.parametrize(("value", "disabled"), [("1", True), ("True", True), ("0", False), ("", False)])
def test_a_function_can_be_disabled(name: str, value: str, *, disabled: bool) -> None:
    assert is_disabled("send", {name: value}) is disabled
    assert is_disabled("other", {name: value}) is False


def test_the_host_id_is_the_folders_unless_it_is_set() -> None:
    assert host_id(Path("/a"), {}) == host_id(Path("/a"), {})
    assert host_id(Path("/a"), {}) != host_id(Path("/b"), {})
    assert host_id(Path("/a"), {"AzureFunctionsWebHost__hostid": "mine"}) == "mine"
