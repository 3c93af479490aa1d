"""The house, held to its plan: who may import whom, what a cold start costs, and what no file may say."""

from __future__ import annotations

import ast
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
APP = "function_app"

# What a module may name beyond the standard library, by its name; the longest match decides. "shared.core"
# stands for all of that room. An import inside a function or under TYPE_CHECKING is an import like any other:
# a type that a room may not name is a dependency that it should not have.
DOORS: dict[str, tuple[str, ...]] = {
    # The whole tree of what can go wrong, and the words of the log: anyone may name them, they name nobody.
    "shared": (),
    "shared.errors": (),
    "shared.log_words": (),
    # Deciding. Third-party parsers and validators are as pure as it is.
    "shared.core": ("shared.core", "shared.errors", "shared.log_words"),
    "shared.core.address": ("shared.errors", "idna"),
    "shared.core.message": ("shared.core", "shared.errors", "pydantic"),
    "shared.core.intake": ("shared.core", "shared.errors", "pydantic"),
    "shared.core.rendering": ("shared.core", "shared.errors", "jinja2"),
    "shared.core.sandbox": ("shared.core", "shared.errors", "jinja2", "markupsafe"),
    "shared.core.plain_text": ("shared.core", "shared.errors", "inscriptis"),
    "shared.core.field_types": ("shared.core", "shared.errors", "pydantic"),
    "shared.core.schedule": ("shared.core", "shared.errors", "pydantic"),
    "shared.core.recurrence": ("shared.core", "shared.errors", "cronsim"),
    "shared.core.certificate": ("shared.core", "shared.errors", "cryptography"),
    # What two workflows need of the world, as protocols.
    "shared.ports": (
        "shared.core",
        "shared.courier.Carried",  # for the types of what those who carry and admit answer
        "shared.desk.NotNow",
        "shared.desk.Seat",
        "shared.desk.Service",
    ),
    # The keeper of grants: sending and upkeep share it, so it is no workflow; it speaks through protocols.
    "shared.grants": ("shared.core", "shared.errors"),
    # Two that a workflow is given, of core alone: what makes a message ready, and what tells its events.
    "shared.composer": ("shared.core", "shared.errors"),
    "shared.herald": ("shared.core", "shared.errors", "shared.ports"),
    # Where nobody listens; and the API of OpenTelemetry, where somebody does.
    "shared.telemetry": ("shared.core", "shared.ports"),
    # What is said of senders: as event, in the log, by mail to operators.
    "shared.alarms": ("shared.core", "shared.log_words", "shared.ports"),
    "shared.operators": ("shared.core", "shared.ports"),
    # Giving and taking grants, for consent, upkeep and HTTP alike; and test mails, for the page and HTTP.
    "shared.connections": ("shared.core", "shared.errors", "shared.log_words"),
    "shared.trial_mail": ("shared.core", "shared.ports"),
    # What sending writes with: the ledger, the event and the line in the log.
    "shared.scribe": ("shared.core", "shared.errors", "shared.log_words", "shared.ports"),
    # What the workflows that send share: senders are coordinated across instances, through protocols.
    "shared.register": ("shared.core",),
    "shared.desk": ("shared.core", "shared.register"),
    "shared.line_service": ("shared.core", "shared.desk"),
    "shared.tender": ("shared.core", "shared.desk"),
    "shared.pacer": (
        "shared.core",
        "shared.desk",
        "shared.line_service",
        "shared.register",
        "shared.tender",
    ),
    "shared.line": ("shared.core", "shared.ports"),
    "shared.holds": (
        "shared.core",
        "shared.log_words",
        "shared.ports",
        "shared.register",
        "shared.scribe",  # for how soon is soon
    ),
    # What the queue and HTTP share: taking messages back, and giving them another time.
    "shared.amender": ("shared.core", "shared.errors", "shared.log_words", "shared.ports", "shared.scribe"),
    # What carries one message.
    "shared.courier": (
        "shared.core",
        "shared.errors",
        "shared.log_words",
        "shared.ports",
        "shared.composer.Composed",  # for the type of what its composer answers
    ),
    # The environment and mail.toml, the second half of the settings.
    "shared.settings": ("shared.core", "shared.config_tables", "shared.errors", "shared.mail_config"),
    "shared.mail_config": ("shared.core", "shared.config_tables", "shared.service_config"),
    "shared.service_config": ("shared.core", "shared.config_tables"),
    "shared.config_tables": (),
    # One file for each thing that happens.
    "shared.workflows": ("shared.core", "shared.errors", "shared.log_words", "shared.ports"),
    "shared.workflows.upkeep": (
        "shared.core",
        "shared.errors",
        "shared.log_words",
        "shared.ports",
        "shared.grants",  # for the type of what its keeper answers
    ),
    "shared.workflows.send": (
        "shared.core",
        "shared.errors",
        "shared.log_words",
        "shared.ports",
        "shared.desk",
        "shared.scribe",
    ),
    "shared.workflows.serve_line": (
        "shared.core",
        "shared.errors",
        "shared.log_words",
        "shared.ports",
        "shared.desk",
        "shared.scribe",
    ),
    "shared.workflows.release": (
        "shared.core",
        "shared.errors",
        "shared.log_words",
        "shared.ports",
        "shared.scribe",
    ),
    # Schedules, and what is asked over HTTP, are checked field by field.
    "shared.workflows.schedules": (
        "shared.core",
        "shared.errors",
        "shared.log_words",
        "shared.ports",
        "shared.scribe.SOON",
        "pydantic",
    ),
    # One outside system for each file, and one SDK; azure.core is the ground that Azure's SDKs stand on.
    "shared.adapters": ("shared.core", "shared.errors"),
    "shared.adapters.entra": (
        "shared.core",
        "shared.errors",
        "msal",
        "requests",
    ),  # requests: MSAL's transport
    "shared.adapters.graph": ("shared.core", "shared.errors", "requests"),
    # Any other provider: what is asked, over whom, and who answered, each in its file.
    "shared.adapters.client_authentication": (
        "shared.core",
        "shared.errors",
        "authlib",
        "cryptography",
        "joserfc",
    ),
    "shared.adapters.oauth_client": (
        "shared.core",
        "shared.errors",
        "shared.adapters.client_authentication",
        "authlib",
        "joserfc",
        "requests",
        "urllib3",
    ),
    "shared.adapters.openid_identity": ("shared.core", "shared.errors", "shared.adapters.oauth_client"),
    "shared.adapters.custom_oauth": (
        "shared.core",
        "shared.errors",
        "shared.adapters.oauth_client",
        "shared.adapters.openid_identity",
        "authlib",
    ),
    "shared.adapters.open_telemetry": ("shared.core", "opentelemetry"),
    "shared.adapters.managed_identity": ("shared.core", "shared.errors", "azure.core"),
    "shared.adapters.key_vault": ("shared.core", "shared.errors", "azure.core", "azure.keyvault.secrets"),
    # How the storage account is reached; it names no service's SDK, and those who do are built on it.
    "shared.adapters.storage_account": ("shared.errors", "azure.core", "requests", "urllib3"),
    "shared.adapters.storage_queue": (
        "shared.core",
        "shared.errors",
        "shared.adapters.storage_account",
        "azure.core",
        "azure.storage.queue",
    ),
    "shared.adapters.blob_container": (
        "shared.core",
        "shared.errors",
        "shared.adapters.storage_account",
        "azure.core",
        "azure.storage.blob",
    ),
    "shared.adapters.blob_templates": ("shared.core", "shared.errors", "shared.adapters.blob_container"),
    # The one that knows Azure Tables; what keeps something in a table is built on it.
    "shared.adapters.table_client": (
        "shared.core",
        "shared.errors",
        "shared.adapters.storage_account",
        "azure.core",
        "azure.data.tables",
    ),
    "shared.adapters.table_consents": (
        "shared.core",
        "shared.errors",
        "shared.adapters.table_client",
        "cryptography",
    ),
    "shared.adapters.table_leases": ("shared.core", "shared.errors", "shared.adapters.table_client"),
    "shared.adapters.table_ledger": ("shared.core", "shared.errors", "shared.adapters.table_client"),
    "shared.adapters.table_schedules": ("shared.core", "shared.errors", "shared.adapters.table_client"),
    "shared.adapters.table_senders": ("shared.core", "shared.errors", "shared.adapters.table_client"),
    "shared.adapters.table_waiting": ("shared.core", "shared.errors", "shared.adapters.table_client"),
    # The pool opens sessions, a session speaks through a wire.
    "shared.adapters.smtp_pool": ("shared.core", "shared.errors", "shared.adapters.smtp_session"),
    "shared.adapters.smtp_session": ("shared.core", "shared.errors", "shared.adapters.smtp_wire"),
    # Requests and pages.
    "shared.web": ("shared.core", "shared.errors", "shared.web", "shared.workflows", "jinja2"),
    # What a process is built of: every room but workflows and web.
    "shared.wiring": (
        "shared.adapters",
        "shared.alarms",
        "shared.amender",
        "shared.composer",
        "shared.connections",
        "shared.core",
        "shared.courier",
        "shared.errors",
        "shared.log_words",
        "shared.grants",
        "shared.herald",
        "shared.holds",
        "shared.operators",
        "shared.pacer",
        "shared.ports",
        "shared.register",
        "shared.scribe",
        "shared.settings",
        "shared.telemetry",
        "shared.trial_mail",
        "azure.core",
        "azure.identity",
    ),
    # The composition root. Of a workflow it names what that asks for, and nothing that happens (see below).
    "shared.services": ("shared.adapters", "shared.line", "shared.wiring", "shared.workflows"),
    # Every function on one page. Of core it says two words: it hands a workflow its delivery, and gives away
    # the schema.
    APP: ("azure.functions", "shared.services", "shared.settings", "shared.web", "shared.workflows"),
}
OF_CORE = ("shared.core.delivery.Delivery", "shared.core.message.json_schema")

# Rooms that may not touch the world, the clock, chance or the log themselves.
NEVER_IN_CORE = (
    "asyncio", "concurrent", "ftplib", "http.client", "logging", "multiprocessing", "os", "pathlib", "random",
    "secrets", "select", "selectors", "shutil", "signal", "smtplib", "socket", "ssl", "subprocess", "sys",
    "tempfile", "threading", "time", "urllib.request", "uuid", "warnings",
)  # fmt: skip
NEVER: dict[str, tuple[str, ...]] = {
    "shared": ("local", "tests", "benchmarks", "importlib"),
    "shared.core": NEVER_IN_CORE,
    "shared.workflows": tuple(name for name in NEVER_IN_CORE if name != "logging"),
    "shared.grants": tuple(name for name in NEVER_IN_CORE if name != "threading"),
    "shared.alarms": (*(name for name in NEVER_IN_CORE if name != "logging"), "shared.adapters", "azure"),
    "shared.connections": (
        *(name for name in NEVER_IN_CORE if name != "logging"),
        *("shared.adapters", "azure"),
    ),
    "shared.telemetry": (*NEVER_IN_CORE, "shared.adapters", "azure"),
    "shared.operators": (*NEVER_IN_CORE, "shared.adapters", "azure"),
    "shared.trial_mail": (*NEVER_IN_CORE, "shared.adapters", "azure"),
    "shared.composer": (*NEVER_IN_CORE, "shared.adapters", "azure"),
    "shared.herald": (*NEVER_IN_CORE, "shared.adapters", "azure"),
    "shared.scribe": (*(name for name in NEVER_IN_CORE if name != "logging"), "shared.adapters", "azure"),
    "shared.amender": (*(name for name in NEVER_IN_CORE if name != "logging"), "shared.adapters", "azure"),
    "shared.courier": (*(name for name in NEVER_IN_CORE if name != "logging"), "shared.adapters", "azure"),
    "shared.holds": (*(name for name in NEVER_IN_CORE if name != "logging"), "shared.adapters", "azure"),
    "shared.register": (*NEVER_IN_CORE, "shared.adapters", "azure"),
    "shared.line": (*(name for name in NEVER_IN_CORE if name != "threading"), "shared.adapters", "azure"),
    "shared.desk": (*(name for name in NEVER_IN_CORE if name != "threading"), "shared.adapters", "azure"),
    "shared.line_service": (
        *(name for name in NEVER_IN_CORE if name != "threading"),
        *("shared.adapters", "azure"),
    ),
    "shared.pacer": (*(name for name in NEVER_IN_CORE if name != "threading"), "shared.adapters", "azure"),
    # Its thread looks after leases while the others send.
    "shared.tender": (
        *(name for name in NEVER_IN_CORE if name not in {"concurrent", "logging", "threading"}),
        *("shared.adapters", "azure"),
    ),
    "shared.ports": NEVER_IN_CORE,
    "shared.adapters": ("os",),
    "shared.web": ("os", "socket", "ssl", "threading"),
    APP: ("os", "local", "tests"),
}
# The zones of the world are data, and come with the app as the package tzdata.
STILL: dict[str, tuple[str, ...]] = {"shared.core.timetable": ("importlib.resources",)}


@dataclass(frozen=True)
class Import:
    """One imported name, with its line, whether it is imported when the module is, and whether ever."""

    name: str
    line: int
    at_start: bool
    typing_only: bool


@dataclass(frozen=True)
class Module:
    name: str
    path: Path
    tree: ast.Module

    @property
    def imports(self) -> list[Import]:
        typing_only = {
            inner
            for node in ast.walk(self.tree)
            if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
            for inner in ast.walk(node)
        }
        top = set(self.tree.body)
        found = []
        for node in ast.walk(self.tree):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            typing = node in typing_only
            at_start = node in top and not typing
            found += [Import(name, node.lineno, at_start, typing) for name in _names(node, self.name)]
        return found


def _names(node: ast.Import | ast.ImportFrom, module: str) -> list[str]:
    """Every name that a statement imports, in full: ``from a import b`` is ``a.b``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    package = ".".join(module.split(".")[: -node.level]) if node.level else ""
    origin = ".".join(part for part in (package, node.module or "") if part)
    return [f"{origin}.{alias.name}" for alias in node.names]


def _module(path: Path) -> Module:
    parts = path.relative_to(ROOT).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text("utf-8")))


MODULES = [_module(path) for path in sorted([ROOT / f"{APP}.py", *(ROOT / "shared").rglob("*.py")])]
EACH_MODULE = pytest.mark.parametrize("module", MODULES, ids=lambda module: module.name)


def _inside(name: str, room: str) -> bool:
    return name == room or name.startswith(f"{room}.")


def _doors(module: str) -> tuple[str, ...]:
    return DOORS[max((room for room in DOORS if _inside(module, room)), key=len)]


def _closed(module: Module) -> list[str]:
    """What a module imports through a door that it does not have."""
    found = []
    for imported in module.imports:
        name = imported.name
        is_standard = name.partition(".")[0] in sys.stdlib_module_names
        if not is_standard and not any(_inside(name, door) for door in _doors(module.name)):
            found.append(f"line {imported.line}: {name}")
    return found


def test_every_room_is_looked_at() -> None:
    names = {module.name for module in MODULES}
    assert {APP, "shared.core.message", "shared.workflows.send", "shared.adapters.smtp_pool"} <= names
    assert {room for room in DOORS if room not in names} == set()


@EACH_MODULE
def test_a_module_imports_only_what_its_room_may(module: Module) -> None:
    closed = _closed(module)
    if module.name == APP:
        closed = [said for said in closed if said.partition(": ")[2] not in OF_CORE]
    assert closed == []


@EACH_MODULE
def test_a_module_keeps_clear_of_what_its_room_may_never_touch(module: Module) -> None:
    never = [name for room, names in NEVER.items() if _inside(module.name, room) for name in names]
    touched = [
        f"line {imported.line}: {imported.name}"
        for imported in module.imports
        if any(_inside(imported.name, name) for name in never)
        and imported.name not in STILL.get(module.name, ())
    ]
    assert touched == []


def test_the_app_imports_core_only_where_it_is_called() -> None:
    (app,) = (module for module in MODULES if module.name == APP)
    at_start = [imported.name for imported in app.imports if imported.at_start]
    assert [name for name in at_start if name.startswith(("shared.core", "shared.adapters"))] == []
    assert [name for name in at_start if name.startswith(("shared.workflows", "shared.web"))] == []


@pytest.mark.parametrize(
    "room",
    [
        *("shared.amender", "shared.composer", "shared.courier", "shared.herald", "shared.holds"),
        *("shared.grants", "shared.line", "shared.register", "shared.workflows"),
    ],
)
def test_a_workflow_is_given_what_it_needs_and_names_it_for_its_type_alone(room: str) -> None:
    named = {
        f"{module.name} line {imported.line}: {imported.name}"
        for module in MODULES
        if _inside(module.name, "shared.workflows")
        for imported in module.imports
        if _inside(imported.name, room) and not imported.typing_only
    }
    assert named == set()


def test_the_composition_root_names_of_a_workflow_only_what_it_asks_for() -> None:
    (services,) = (module for module in MODULES if module.name == "shared.services")
    named = {
        imported.name.rpartition(".")[2] for imported in services.imports if "workflows" in imported.name
    }
    assert {name for name in named if not name.endswith("Tools")} <= {"Health"}


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        module.name
        for module in MODULES
        for node in ast.walk(module.tree)
        if isinstance(node, ast.Attribute) and re.fullmatch(r"os\.(environb?|getenvb?)", ast.unparse(node))
    }
    importers = {
        module.name
        for module in MODULES
        if any(re.fullmatch(r"os\.(environb?|getenvb?)", imported.name) for imported in module.imports)
    }
    assert readers | importers == {"shared.settings"}


PURE = [
    module
    for module in MODULES
    if any(
        _inside(module.name, room)
        for room in (
            *("shared.core", "shared.workflows", "shared.grants"),
            *("shared.composer", "shared.herald", "shared.ports"),
            *("shared.courier", "shared.holds", "shared.line", "shared.pacer"),
            *("shared.desk", "shared.line_service", "shared.tender"),
            *("shared.amender", "shared.register", "shared.scribe"),
        )
    )
]


@pytest.mark.parametrize("module", PURE, ids=lambda module: module.name)
def test_what_decides_and_what_happens_are_given_the_time_and_touch_no_file(module: Module) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    forbidden = {"datetime.now", "datetime.utcnow", "datetime.today", "date.today", "print", "open", "input"}
    assert calls & forbidden == set()


@EACH_MODULE
def test_no_import_is_hidden_from_these_tests(module: Module) -> None:
    calls = {ast.unparse(node.func) for node in ast.walk(module.tree) if isinstance(node, ast.Call)}
    assert calls & {"__import__", "exec", "eval", "importlib.import_module", "import_module"} == set()


OURS = sorted(
    path
    for top in ("shared", "local", "tests", "docs", "benchmarks", "infra")
    for path in (ROOT / top).rglob("*.py")
    if not any(part.startswith(".") or part == "node_modules" for part in path.relative_to(ROOT).parts)
)


def test_no_module_shadows_the_standard_library_or_says_nothing_by_its_name() -> None:
    stems = {path.stem: path.relative_to(ROOT).as_posix() for path in OURS}
    vague = {"utils", "util", "helpers", "helper", "common", "manager", "base", "misc"}
    assert [stems[stem] for stem in stems if stem in vague] == []
    shadowing = [stem for stem in stems if stem in sys.stdlib_module_names and stem != "__main__"]
    assert [stems[stem] for stem in shadowing] == []


# A cold start.

NOT_AT_START = (
    "authlib",
    "azure.data",
    "azure.identity",
    "azure.keyvault",
    "azure.storage",
    "cryptography",
    "inscriptis",
    "jinja2",
    "lxml",
    "msal",
    "opentelemetry",
    "pydantic",
    "requests",
)
GOOD_SETTINGS = {
    "AzureWebJobsStorage": "UseDevelopmentStorage=true",
    "KEY_VAULT_URL": "https://contoso.vault.azure.net",
    "PUBLIC_URL": "https://mail.contoso.com",
    "OAUTH_TENANT_ID": "contoso.com",
    "OAUTH_CLIENT_ID": "client-id",
    "MAILBOX": "noreply@contoso.com",
}


def test_a_sentence_of_the_catalogue_loads_no_provider() -> None:
    """It is asked for at every message that is not accepted, and says where an administrator agrees."""
    script = (
        "import sys; from shared.services import Services; services = Services();"
        "sender = services.settings.senders['default'];"
        "assert services._explain('', sender) == '';"
        "assert 'adminconsent' in services._explain('admin-consent-required', sender);"
        "print(sorted({'msal', 'requests', 'authlib'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**os.environ, **GOOD_SETTINGS},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout.strip(), done.stderr) == ("[]", "")


@pytest.mark.parametrize("environment", [GOOD_SETTINGS, {}], ids=["good settings", "no settings"])
def test_a_cold_start_imports_no_sdk(environment: dict[str, str]) -> None:
    script = f"import sys, json, {APP}; print(json.dumps(sorted(sys.modules)))"
    kept = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT", "PYTHONPATH") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env={**kept, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(done.stdout)
    assert APP in loaded
    assert [name for name in loaded if any(_inside(name, sdk) for sdk in NOT_AT_START)] == []


# What no file may say.

# Written so that this file does not say it either.
SAYS = {
    "a folder of somebody's machine": r"(?<![\w.~-])/(?:[h]ome/(?!site\b)|[r]oot/|[w]ork/|[U]sers/)\w",
    "a folder of somebody's Windows": r"[A-Za-z]:\\+[U]sers\\+\w",
    "the host of a package registry": r"registry\.[n]pmjs|[n]pmjs\.com|[p]ypi\.org|python[h]osted",
}
SKIPPED = {"__pycache__", "node_modules"}
# In a second checkout of one repository this is a file that says where the first one lies.
NOT_OURS = {".git"}
KEPT = {".ci", ".github"}


def _text_files() -> list[Path]:
    found = []
    for folder, folders, files in os.walk(ROOT):
        folders[:] = [name for name in folders if name not in SKIPPED and (name[0] != "." or name in KEPT)]
        found += [Path(folder) / name for name in files if name not in NOT_OURS]
    return found


@pytest.mark.parametrize("kind", SAYS)
def test_no_file_names_what_is_not_the_projects(kind: str) -> None:
    said = []
    for path in _text_files():
        try:
            text = path.read_text("utf-8")
        except UnicodeDecodeError:
            continue  # a picture
        said += [f"{path.relative_to(ROOT)}: {match[0]}" for match in re.finditer(SAYS[kind], text)]
    assert said == []


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("/ho" + "me/ada/x", "a folder of somebody's machine"),
        ("cd /wo" + "rk/x", "a folder of somebody's machine"),
        ("C:\\Us" + "ers\\ada", "a folder of somebody's Windows"),
        ("https://py" + "pi.org/simple", "the host of a package registry"),
    ],
)
def test_it_would_be_seen(text: str, kind: str) -> None:
    assert re.search(SAYS[kind], text)
