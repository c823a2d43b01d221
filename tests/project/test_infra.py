"""What deploys the app, read as text: Bicep, azd, workflows, editor and container files, and their documentation.

No compiler and no Azure here. These tests hold the files against each other and against the app: a parameter nobody
documents, a role that went missing, a setting host.json does not know, a script that is not there, a package that
carries too much. What one file says on its own, the compiler says better (ci.yml runs it).
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import re
import runpy
import shutil
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.apps import ROOT

INFRA = ROOT / "infra"
BICEP = sorted(path.name for path in INFRA.glob("*.bicep"))
GIVEN_BY_AZD = {"environmentName", "location"}

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
BUILT_IN_ROLES = {
    "Storage Blob Data Owner": "b7e6dc6d-f1e8-4753-8033-0f276bb0955b",
    "Storage Queue Data Contributor": "974c5e8b-45b9-4653-ba55-5f855dd0fb88",
    "Storage Table Data Contributor": "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3",
    "Monitoring Metrics Publisher": "3913510d-42f4-4e42-8a64-420c390055eb",
    "Durable Task Data Contributor": "0ad04412-c4d5-4796-b79c-f76d14c8d402",
}
# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations
NOT_ON_FLEX = {
    "FUNCTIONS_EXTENSION_VERSION",
    "FUNCTIONS_WORKER_RUNTIME",
    "FUNCTIONS_WORKER_RUNTIME_VERSION",
    "FUNCTIONS_WORKER_PROCESS_COUNT",
    "SCM_DO_BUILD_DURING_DEPLOYMENT",
    "ENABLE_ORYX_BUILD",
    "WEBSITE_RUN_FROM_PACKAGE",
    "WEBSITE_CONTENTSHARE",
    "WEBSITE_CONTENTAZUREFILECONNECTIONSTRING",
    "WEBSITE_VNET_ROUTE_ALL",
}


@cache
def text(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


@cache
def bicep(name: str) -> dict[str, Any]:
    """The file as pycep reads it: parameters, variables, resources, modules, outputs by symbol."""
    from pycep import BicepParser  # a fifth of a second, for one of the processes that import this

    return dict(BicepParser().parse(text=text(f"infra/{name}")))


def source(name: str) -> str:
    return text(f"infra/{name}")


@cache
def host_json() -> dict[str, Any]:
    return dict(json.loads(text("host.json")))


def description(declared: dict[str, Any]) -> str:
    return next((d["argument"] for d in declared["decorators"] if d["type"] == "description"), "")


def body(symbol: dict[str, Any]) -> dict[str, Any]:
    """The properties of a resource or module, whatever loop or condition stands before them."""
    config = symbol["config"]
    while "config" in config:
        config = config["config"]
    return dict(config)


def resources(kind: str, *files: str) -> list[dict[str, Any]]:
    return [r for f in files or BICEP for r in bicep(f)["resources"].values() if r["type"] == kind]


def strings(tree: Any) -> list[str]:
    if isinstance(tree, dict):
        return [s for key, value in tree.items() for s in [str(key), *strings(value)]]
    if isinstance(tree, list):
        return [s for value in tree for s in strings(value)]
    return [tree] if isinstance(tree, str) else []


def app_settings() -> dict[str, Any]:
    """Every setting the template may give the app, of either backend."""
    found: dict[str, Any] = {}

    def collect(tree: Any) -> None:
        for key, value in tree.items() if isinstance(tree, dict) else []:
            if re.fullmatch(r"[A-Z_]{2,}|AzureWebJobsStorage.*|AzureFunctionsJobHost__.*", key):
                found[key] = value
            collect(value)

    (settings,) = resources("Microsoft.Web/sites/config", "app.bicep")
    collect(body(settings)["properties"])
    return found


# Bicep


def test_the_template_is_what_these_tests_know() -> None:
    assert BICEP == ["app.bicep", "main.bicep", "network.bicep", "scheduler.bicep"]


@pytest.mark.parametrize("name", BICEP)
def test_everything_declared_is_described(name: str) -> None:
    file = bicep(name)
    for kind in ("parameters", "outputs"):
        for symbol, declared in file[kind].items():
            assert description(declared), f"{name}: {symbol} has no description"


def test_every_parameter_has_a_default_unless_azd_gives_it() -> None:
    without = {name for name, p in bicep("main.bicep")["parameters"].items() if p["default"] is None}
    assert without == GIVEN_BY_AZD


@pytest.mark.parametrize("name", BICEP)
def test_modules_are_local_and_get_exactly_what_they_take(name: str) -> None:
    for symbol, module in bicep(name).get("modules", {}).items():
        assert module["type"] == "local", f"{name}: {symbol} is not a file of ours"
        takes = bicep(module["detail"]["path"])["parameters"]
        assert set(body(module)["params"]) == set(takes), f"{name}: {symbol}"
        assert all(p["default"] is None for p in takes.values()), "defaults live in main.bicep only"


def test_every_symbol_is_used() -> None:
    for name in BICEP:
        code = re.sub(r"//.*", "", text(f"infra/{name}"))
        for kind in ("parameters", "variables"):
            for symbol in bicep(name).get(kind, {}):
                assert len(re.findall(rf"\b{symbol}\b", code)) > 1, f"{name}: {symbol} is never used"


def test_azd_maps_every_parameter_with_the_same_default() -> None:
    mapped = json.loads(text("infra/main.parameters.json"))["parameters"]
    declared = bicep("main.bicep")["parameters"]
    assert set(mapped) == set(declared)
    for name, entry in mapped.items():
        value, default = entry["value"], declared[name]["default"]
        if not isinstance(value, str):
            assert value == default, name
        elif match := re.fullmatch(r"\$\{(\w+)=(.*)\}", value):
            assert match[2] == (str(default).lower() if isinstance(default, bool) else str(default)), name
            assert f"`{match[1]}`" in text("docs/deploy.md"), f"docs/deploy.md does not name {match[1]}"
        else:
            assert re.fullmatch(r"\$\{\w+\}", value) and default in (None, ""), name


def test_no_parameter_shares_a_name_with_something_the_shell_may_already_hold() -> None:
    taken = {
        "PYTHON_VERSION",
        "PYTHONPATH",
        "LOCATION",
        "HOSTNAME",
        "NAME",
        "TAGS",
    }  # python images set the first
    names = set(re.findall(r"\$\{(\w+)", text("infra/main.parameters.json")))
    assert not names & taken


def test_the_identity_has_the_roles_that_durable_functions_needs_and_no_others() -> None:
    roles = bicep("app.bicep")["variables"]["storageRoles"]["value"]
    storage = {"Storage Blob Data Owner", "Storage Queue Data Contributor", "Storage Table Data Contributor"}
    assert set(roles.values()) == {BUILT_IN_ROLES[role] for role in storage}
    access = {symbol: body(r) for symbol, r in bicep("app.bicep")["resources"].items() if "scope" in body(r)}
    assert {symbol: r["scope"] for symbol, r in access.items()} == {
        "storageAccess": "storage",
        "insightsAccess": "insights",
    }
    guids = set(re.findall(r"'([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'", "".join(map(source, BICEP))))
    assert guids == set(BUILT_IN_ROLES.values())


def test_no_key_and_no_password_opens_anything() -> None:
    (storage,) = resources("Microsoft.Storage/storageAccounts")
    properties = body(storage)["properties"]
    assert properties["allowSharedKeyAccess"] is False
    assert properties["allowBlobPublicAccess"] is False
    assert properties["minimumTlsVersion"] == "TLS1_2"
    assert properties["supportsHttpsTrafficOnly"] is True
    (container,) = resources("Microsoft.Storage/storageAccounts/blobServices/containers")
    assert body(container)["properties"]["publicAccess"] == "None"
    (insights,) = resources("Microsoft.Insights/components")
    assert body(insights)["properties"]["DisableLocalAuth"] is True
    (app,) = resources("Microsoft.Web/sites")
    assert body(app)["properties"]["httpsOnly"] is True
    assert body(app)["properties"]["siteConfig"]["minTlsVersion"] == "1.2"
    policies = resources("Microsoft.Web/sites/basicPublishingCredentialsPolicies")
    assert {body(p)["name"]: body(p)["properties"]["allow"] for p in policies} == {"ftp": False, "scm": False}


def test_no_secret_is_asked_for_or_handed_out() -> None:
    for name in BICEP:
        code = re.sub(r"//.*", "", source(name))
        assert not re.search(r"\blist\w*\(|AccountKey|SharedAccessKey|@secure|getSecret", code), name
    for symbol, output in bicep("main.bicep")["outputs"].items():
        assert not re.search(r"ConnectionString|InstrumentationKey", " ".join(strings(output["value"]))), (
            symbol
        )


def test_storage_is_reached_by_identity_through_all_three_services() -> None:
    settings = app_settings()
    assert "AzureWebJobsStorage" not in settings
    for service in ("blob", "queue", "table"):
        assert f"AzureWebJobsStorage__{service}ServiceUri" in settings
    assert settings["AzureWebJobsStorage__credential"] == "managedidentity"
    assert "AzureWebJobsStorage__clientId" in settings
    assert settings["APPLICATIONINSIGHTS_AUTHENTICATION_STRING"].endswith(";Authorization=AAD")
    assert bicep("network.bicep")["variables"]["services"]["value"] == ["blob", "queue", "table"]


def test_the_app_is_flex_consumption_as_flex_wants_it() -> None:
    (plan,) = resources("Microsoft.Web/serverfarms")
    assert body(plan)["sku"] == {"name": "FC1", "tier": "FlexConsumption"}
    (app,) = resources("Microsoft.Web/sites")
    config = body(app)["properties"]["functionAppConfig"]
    assert config["runtime"] == {"name": "python", "version": "pythonVersion"}
    assert config["deployment"]["storage"]["authentication"]["type"] == "UserAssignedIdentity"
    assert set(body(app)["properties"]["siteConfig"]) == {"minTlsVersion"}, "Flex takes little of siteConfig"
    assert not NOT_ON_FLEX & set(app_settings())


# Bicep against host.json


def test_the_template_takes_the_hub_name_from_host_json() -> None:
    reads = re.search(r"loadJsonContent\('(.+?)'\)\.([\w.]+)", source("app.bicep"))
    assert reads and (INFRA / reads[1]).resolve() == ROOT / "host.json"
    value: Any = host_json()
    for part in reads[2].split("."):
        value = value[part]
    # Both backends must take it: the extension wants letters and digits, the scheduler 3 to 64 characters.
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9]{2,44}", value)


def test_app_settings_override_only_what_the_scale_controller_may_miss() -> None:
    overrides = {
        name.split("__", 1)[1] for name in app_settings() if name.startswith("AzureFunctionsJobHost__")
    }
    assert overrides == {
        "extensions__durableTask__storageProvider__type",
        "extensions__durableTask__storageProvider__connectionStringName",
        "extensions__durableTask__storageProvider__maxQueuePollingInterval",
    }
    # And host.json leaves these to them: what it says would win the argument with the scale controller only.
    assert "type" not in host_json()["extensions"]["durableTask"].get("storageProvider", {})


def test_the_scheduler_is_addressed_by_the_setting_in_host_json() -> None:
    name = bicep("app.bicep")["variables"]["schedulerSettingName"]["value"]
    prefix = "AzureFunctionsJobHost__extensions__durableTask__storageProvider__"
    settings = app_settings()
    assert settings[f"{prefix}type"] == "azureManaged"
    assert settings[f"{prefix}connectionStringName"] == "schedulerSettingName"
    assert "'${schedulerSettingName}': 'Endpoint=" in source("app.bicep")
    assert f'"connectionStringName": "{name}"' in text("docs/deploy.md")


def test_python_on_azure_is_one_the_project_promises() -> None:
    parameter = bicep("main.bicep")["parameters"]["pythonVersion"]
    allowed = next(d["argument"] for d in parameter["decorators"] if d["type"] == "allowed")
    assert parameter["default"] == runpy.run_path(str(ROOT / "scripts" / "doctor.py"))["PYTHON"] == "3.12"
    assert set(allowed) <= set(workflow("ci")["jobs"]["test"]["strategy"]["matrix"]["python"])


# azd


def test_azure_yaml_points_at_what_is_there() -> None:
    config = yaml.safe_load(text("azure.yaml"))
    assert (ROOT / config["infra"]["path"] / f"{config['infra']['module']}.bicep").is_file()
    ((service, settings),) = config["services"].items()
    assert (settings["language"], settings["host"]) == ("python", "function")
    for needed in ("function_app.py", "host.json", "requirements.txt"):
        assert (ROOT / settings["project"] / needed).is_file()
    assert f"'azd-service-name': '{service}'" in source("app.bicep"), "azd finds the app by this tag"
    hooks = config["hooks"]["postdeploy"]
    assert set(hooks) == {"posix", "windows"}
    for hook in hooks.values():
        for script in re.findall(r"[\w/]+\.py", hook["run"]):
            assert (ROOT / script).is_file()


def test_the_hook_gets_what_it_reads_from_the_outputs() -> None:
    read = set(re.findall(r"""env(?:\.get\(|\[)"(\w+)\"""", text("scripts/smoke.py")))
    assert {"SERVICE_API_URI", "AZURE_FUNCTION_APP_ID"} <= read
    assert read - set(bicep("main.bicep")["outputs"]) == {"BASE_URL", "FUNCTIONS_KEY"}


def test_the_hook_needs_nothing_that_azd_users_lack() -> None:
    tree = ast.parse(text("scripts/smoke.py"))
    imported = {
        alias.name.split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.Import) for alias in n.names
    }
    imported |= {(n.module or "").split(".")[0] for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)}
    assert imported <= set(sys.stdlib_module_names)


@pytest.mark.skipif(
    not shutil.which("git"), reason="needs git's reading of ignore files, which .funcignore shares"
)
def test_the_package_is_the_app_and_nothing_else(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    shutil.copy(ROOT / ".funcignore", tmp_path / ".git" / "info" / "exclude")
    top = [p.name + "/x" if p.is_dir() else p.name for p in ROOT.iterdir() if p.name != ".git"]
    inside = [str(p.relative_to(ROOT)) for p in (ROOT / "fan_out").rglob("*") if p.is_file()]
    ignored = subprocess.run(
        ["git", "-C", str(tmp_path), "check-ignore", "--no-index", "--stdin"],
        input="\n".join([*top, *inside, "local.settings.json", ".env", ".venv/x", ".dfhost/x"]),
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    kept = {name.removesuffix("/x") for name in set(top) - set(ignored)}
    assert kept == {"function_app.py", "fan_out", "host.json", "requirements.txt"}
    assert kept == set(runpy.run_path(str(ROOT / "scripts" / "doctor.py"))["PACKAGE"]), (
        "what the doctor examines"
    )
    kept_inside = set(inside) - set(ignored)
    app = {p for pattern in ("*.py", "statements/*.csv") for p in (ROOT / "fan_out").rglob(pattern)}
    assert kept_inside == {str(p.relative_to(ROOT)) for p in app}, "code, and the example's data"
    assert {"local.settings.json", ".env", ".venv/x", ".dfhost/x"} <= set(ignored)


# Workflows


def workflow(name: str) -> dict[str, Any]:
    return dict(yaml.safe_load(text(f".github/workflows/{name}.yml")))


WORKFLOWS = ["ci", "deploy", "release"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_a_workflow_may_read_only_and_runs_what_is_pinned(name: str) -> None:
    assert workflow(name)["permissions"] == {"contents": "read"}
    source = text(f".github/workflows/{name}.yml")
    uses = re.findall(r"uses: (.+)", source)
    assert uses
    for used in uses:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d[\d.]*", used), (
            f"{used} is not pinned to a commit"
        )
    assert not re.search(r"\bsecrets\.\w", source)
    for job in workflow(name)["jobs"].values():
        assert job["timeout-minutes"] <= 60


def test_only_the_deployment_and_the_publication_may_ask_for_a_login() -> None:
    jobs = {(name, job): body for name in WORKFLOWS for job, body in workflow(name)["jobs"].items()}
    assert {key: body["permissions"] for key, body in jobs.items() if "permissions" in body} == {
        ("deploy", "deploy"): {"contents": "read", "id-token": "write"},
        ("release", "publish"): {"id-token": "write"},
    }
    assert "run" not in str(workflow("release")["jobs"]["publish"]["steps"]), (
        "the login is for the upload alone"
    )


def test_ci_runs_the_commands_of_the_readme_everywhere() -> None:
    job = workflow("ci")["jobs"]["test"]
    assert job["strategy"]["matrix"] == {
        "os": ["ubuntu-latest", "macos-latest"],
        "python": ["3.10", "3.11", "3.12", "3.13"],
    }
    commands = [step["run"].split()[:2] for step in job["steps"] if "run" in step]
    assert commands == [["make", "lint"], ["make", "test"]]
    once = [step["run"].split() for step in workflow("ci")["jobs"]["whole"]["steps"] if "run" in step]
    assert once == [["make", "test-all", "test-in-process", "package", "PYTHON=python", "EXTRA=dev,browser"]]
    assert all(target in text(".ci/run") for target in ("lint", "test-all", "test-in-process", "package"))
    lowest = re.search(r'requires-python = ">=([\d.]+)"', text("pyproject.toml"))
    assert lowest and lowest[1] == job["strategy"]["matrix"]["python"][0]


def test_deploy_documents_every_variable_it_reads() -> None:
    for variable in re.findall(r"vars\.(\w+)", text(".github/workflows/deploy.yml")):
        assert f"`{variable}`" in text("docs/deploy.md"), variable


SHELL_USERS = [
    ".github/workflows/ci.yml",
    ".github/workflows/deploy.yml",
    ".github/workflows/release.yml",
    ".devcontainer/post-create.sh",
    ".ci/run",
    ".pre-commit-config.yaml",
]
PAGES = ["docs/deploy.md", "docs/func-start.md", "docs/scaling.md"]


@pytest.mark.parametrize("name", [*SHELL_USERS, *PAGES])
def test_every_make_target_and_script_that_is_named_exists(name: str) -> None:
    targets = set(re.findall(r"^([\w-]+):", text("Makefile"), re.M))
    for line in re.findall(r"(?:^|[`\s])make ((?:[a-z][\w-]*(?: |$|`))+)", text(name), re.M):
        for target in line.strip("` ").split():
            assert target in targets, f"{name}: make {target}"
    for script in re.findall(r"\bscripts/\w+\.\w+", text(name)):
        assert (ROOT / script).is_file(), f"{name}: {script}"


# Editor and container


def test_the_editor_starts_what_is_there() -> None:
    launch = {c["name"]: c for c in json.loads(text(".vscode/launch.json"))["configurations"]}
    tasks = {t["label"]: t for t in json.loads(text(".vscode/tasks.json"))["tasks"]}
    assert launch["Attach to Python Functions"]["preLaunchTask"] in tasks
    assert tasks["func: host start"]["dependsOn"] in tasks
    assert launch["dfhost"]["module"] == "dfhost" and (ROOT / "dfhost" / "__main__.py").is_file()
    settings = json.loads(text(".vscode/settings.json"))
    assert settings["azurite.skipApiVersionCheck"] is True
    assert settings["azureFunctions.deploySubpath"] == "."
    recommended = json.loads(text(".vscode/extensions.json"))["recommendations"]
    container = json.loads(text(".devcontainer/devcontainer.json"))
    assert container["customizations"]["vscode"]["extensions"] == recommended


@pytest.mark.skipif(not shutil.which("bash"), reason="the container has bash; this machine does not")
def test_the_container_is_made_by_a_script_that_parses() -> None:
    command = json.loads(text(".devcontainer/devcontainer.json"))["postCreateCommand"].split()
    assert command[0] == "bash" and (ROOT / command[1]).is_file()
    assert subprocess.run(["bash", "-n", str(ROOT / command[1])]).returncode == 0
    for name in re.findall(r"\bcp ([\w.]+)", text(command[1])):
        assert (ROOT / name).is_file()


# Documentation


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)#\s]+)\)", text(name)):
        if "://" not in target:
            assert (ROOT / "docs" / target).resolve().exists(), f"{name}: {target}"


def test_the_cost_model_prints_what_the_page_says() -> None:
    blocks = re.search(r"```python\n(.*?)```\s+```\n(.*?)```", text("docs/scaling.md"), re.S)
    assert blocks
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        exec(compile(blocks[1], "docs/scaling.md", "exec"), {})
    assert printed.getvalue() == blocks[2]


def test_the_pages_name_every_limit_that_host_json_sets() -> None:
    limits = {name for name in host_json()["extensions"]["durableTask"] if name.startswith("max")}
    assert limits
    for name in limits - {"maxConcurrentEntityFunctions"}:  # this app has no entity
        assert f"`{name}`" in text("docs/scaling.md"), name
