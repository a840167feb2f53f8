"""docker-compose.yml, as far as it can be held to its word without a Docker engine."""

from __future__ import annotations

import os
import random
import re
import shutil
import stat
import subprocess
import sys
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import click
import orjson
import pytest
import yaml

from compose.application import body
from otel_llmcost import Pricer
from otel_llmcost.audit import Defaults, audit
from otel_llmcost.cli import cli
from otel_llmcost.ledger import connect, parse_dsn
from otel_llmcost.ledger.access import access_statements
from otel_llmcost.settings import PREFIX, Settings
from tests.collector.binary import collector_binary

ROOT: Final = Path(__file__).parents[2]
FILE: Final = ROOT / "docker-compose.yml"
COMPOSE: Final = yaml.safe_load(FILE.read_text())
SERVICES: Final[dict[str, dict[str, Any]]] = COMPOSE["services"]
OURS: Final = [name for name, service in SERVICES.items() if str(service["image"]).startswith("otel-llmcost:")]
ONCE: Final = {"schema", "users"}
NOBODY_TO_ASK: Final = {"agent", "gateway"}
"""Their image has one program, which cannot ask; the gateway is asked by the receiver in its network."""
GO: Final = {**os.environ, "GOTOOLCHAIN": "local", "GOSUMDB": "off", "GOFLAGS": "-mod=readonly"}
"""The modules are those that go.sum names."""


every_service = pytest.mark.parametrize("service", [pytest.param(held, id=name) for name, held in SERVICES.items()])


def validate(file: Path) -> subprocess.CompletedProcess[str]:
    """Load a file as `docker compose config` does; without Go skip, but in CI fail."""
    if shutil.which("go") is None:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say("no Go, which runs Compose's own library")
    command = ["go", "run", ".", str(file)]
    return subprocess.run(command, cwd=Path(__file__).parent / "validator", env=GO, capture_output=True, text=True)


def test_compose_itself_accepts_the_file_and_refuses_a_wrong_one(tmp_path: Path) -> None:
    """With every profile, every reference between its parts, and no variable that is not set."""
    accepted = validate(FILE)
    assert (accepted.returncode, accepted.stderr) == (0, "")
    wrong = tmp_path / "docker-compose.yml"
    wrong.write_text(FILE.read_text().replace("condition: service_healthy", "condition: service_well"))
    refused = validate(wrong)
    assert refused.returncode == 1
    assert "condition" in refused.stderr


@every_service
def test_no_service_has_more_rights_than_it_needs(service: dict[str, Any]) -> None:
    """Not root, no capabilities but those of the database, a read-only root but for the database, a pinned image."""
    assert int(str(service["user"]).split(":")[0]) > 0
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    is_database = "/var/lib/clickhouse" in str(service.get("volumes"))
    assert service.get("read_only", False) is not is_database
    assert bool(service.get("cap_add")) is is_database
    assert "privileged" not in service
    assert "docker.sock" not in str(service)
    assert re.fullmatch(r"[\w./-]+:\d+\.\d+(\.\d+)?", service["image"])


@every_service
def test_nothing_listens_beyond_this_machine(service: dict[str, Any]) -> None:
    """A published port names 127.0.0.1, and no service takes the host's network."""
    assert all(re.fullmatch(r"127\.0\.0\.1:\d+:\d+", port) for port in service.get("ports", ()))
    assert service.get("network_mode", "service:gateway") == "service:gateway"


def test_the_receiver_can_be_reached_by_the_gateway_alone() -> None:
    """So it takes no token: it listens on the loopback address of the network that it shares with the gateway."""
    assert SERVICES["otel-llmcost"]["network_mode"] == "service:gateway"
    assert "ports" not in SERVICES["gateway"]
    assert SERVICES["otel-llmcost"]["command"][-1] == "127.0.0.1:4318"


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_how_it_is(name: str) -> None:
    """By a health check, or by ending; those that cannot are checked by another."""
    service = SERVICES[name]
    assert ("healthcheck" in service) is (name not in ONCE | NOBODY_TO_ASK)
    for needed, how in service.get("depends_on", {}).items():
        assert (how["condition"] == "service_completed_successfully") is (needed in ONCE)
        assert (how["condition"] == "service_healthy") is ("healthcheck" in SERVICES[needed])
    assert "http://127.0.0.1:13134/" in SERVICES["otel-llmcost"]["healthcheck"]["test"]


@every_service
def test_secrets_are_files_and_never_values(service: dict[str, Any]) -> None:
    """What sounds like a secret is the path of one that the service is given."""
    for name, value in service.get("environment", {}).items():
        if re.search("PASSWORD|SECRET|TOKEN|KEY", name):
            assert name.endswith("_FILE")
            assert value.removeprefix("/run/secrets/") in service["secrets"]
        assert "://" not in str(value)
    assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
    for secret in COMPOSE["secrets"].values():
        assert secret["file"].startswith("./.llmcost-secrets/")
    assert ".llmcost*/" in (ROOT / ".gitignore").read_text().splitlines()


@every_service
def test_settings_exist(service: dict[str, Any]) -> None:
    """Ours are settings of ours, the Collector's are named in its configuration."""
    known = {PREFIX + name.upper() for name in Settings.__dataclass_fields__}
    mounted = "".join(source.read_text() for source in mounts(service) if source.suffix == ".yaml")
    for name in service.get("environment", {}):
        if name.startswith(PREFIX):
            assert name in known
        elif name.startswith("LLMCOST_"):
            assert f"${{env:{name}:-" in mounted
        elif service["image"].startswith("otel-llmcost:"):
            assert name in (ROOT / "compose" / "entrypoint.sh").read_text()


def mounts(service: dict[str, Any]) -> list[Path]:
    """Give what a service gets of this repository."""
    sources = [Path(str(volume).split(":")[0]) for volume in service.get("volumes", ())]
    return [ROOT / source for source in sources if source.parts[0] not in COMPOSE["volumes"]]


@every_service
def test_what_is_mounted_is_there(service: dict[str, Any]) -> None:
    """Docker would make an empty folder of it; nothing of the repository can be written."""
    assert all(source.exists() for source in mounts(service))
    assert all(volume.endswith(":ro") for volume in service.get("volumes", ()) if str(volume).startswith("./"))


@pytest.mark.parametrize("name", OURS)
def test_our_commands_exist(name: str) -> None:
    """With these options; or a script of the image."""
    words = list(SERVICES[name]["command"])
    if words[0] == "python":
        assert (ROOT / "compose" / Path(words[1]).name).exists()
        return
    assert words.pop(0) == "otel-llmcost"
    command: click.Command = cli
    context = click.Context(cli)
    while isinstance(command, click.Group):
        found = command.get_command(context, words.pop(0))
        assert found is not None
        command = found
    command.make_context("otel-llmcost", words).close()


def test_the_image_is_made_of_files_that_are_here() -> None:
    """And runs as the user that the services name."""
    dockerfile = (ROOT / "compose" / "Dockerfile").read_text()
    for sources in re.findall(r"^COPY (.*) \S+$", dockerfile, re.MULTILINE):
        assert all((ROOT / source).exists() for source in sources.split())
    assert re.search(r"^FROM python:\d+\.\d+\.\d+-", dockerfile, re.MULTILINE)
    assert f"USER {SERVICES['otel-llmcost']['user']}\n" in dockerfile
    assert {"user": "10001:10001"}.items() <= SERVICES["agent"].items()  # the queues' volume is theirs, too


def test_the_collector_accepts_what_the_gateway_is_given() -> None:
    """The same files, in a real one."""
    files = [f"--config={source}" for source in mounts(SERVICES["gateway"])]
    found = subprocess.run([collector_binary(), "validate", *files], capture_output=True, text=True, env={})
    assert found.returncode == 0, found.stderr


def test_secrets_are_random_private_and_kept(tmp_path: Path) -> None:
    """The folder is for its owner; the files in it can be read by whichever user a container has."""
    folder = tmp_path / "secrets"
    runs: list[dict[str, str]] = []
    for _ in range(2):
        subprocess.run(["/bin/sh", str(ROOT / "compose" / "secrets.sh"), str(folder)], check=True, capture_output=True)
        runs.append({file.name: file.read_text() for file in folder.iterdir()})
    made = runs[0]
    assert runs == [made, made]
    assert made.keys() == COMPOSE["secrets"].keys()
    assert len(set(made.values())) == len(made)
    assert all(re.fullmatch("[0-9a-f]{48}", held) for held in made.values())
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()} == {0o444}


@pytest.mark.parametrize("name", ["schema", "otel-llmcost"])
def test_the_entrypoint_makes_the_dsn(name: str, tmp_path: Path) -> None:
    """Of the user, the place and the password's file; an empty password starts nothing."""
    password = tmp_path / "password"
    password.write_text("5ecre7")
    environment = {
        **os.environ,
        "LEDGER": SERVICES[name]["environment"]["LEDGER"],
        "LEDGER_PASSWORD_FILE": str(password),
    }
    script = "import os; print(os.environ['OTEL_LLMCOST_DSN'])"
    command = ["/bin/sh", str(ROOT / "compose" / "entrypoint.sh"), sys.executable, "-c", script]
    dsn = parse_dsn(subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.strip())
    assert f"{dsn.username}@{dsn.host}:{dsn.port}/{dsn.database}" == environment["LEDGER"]
    assert dsn.password == "5ecre7"
    password.write_text("")
    refused = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert refused.returncode == 1
    assert "is empty: run compose/secrets.sh" in refused.stderr


def test_users_get_roles_that_exist_and_hashes_of_passwords(tmp_path: Path) -> None:
    """ClickHouse's own parser reads every statement; no password is in one."""
    for name in COMPOSE["secrets"]:
        (tmp_path / name).write_text(f"{name} ' of this test")
    command = ["/bin/sh", str(ROOT / "compose" / "clickhouse" / "users.sh"), "--show"]
    shown = subprocess.run(
        command, env={**os.environ, "SECRETS": str(tmp_path)}, capture_output=True, text=True, check=True
    ).stdout
    assert "of this test" not in shown
    statements = [each.strip() for each in shown.split(";") if each.strip()]
    with connect("chdb://memory") as engine:
        for statement in statements:
            engine.command("SELECT formatQuery({sql:String})", {"sql": statement}, what="parse", database=False)
    roles = set(re.findall(r"CREATE ROLE IF NOT EXISTS (\w+)", " ".join(access_statements("llmcost").values())))
    assert set(re.findall(r"(?:ROLE|GRANT) (llmcost_\w+)", shown)) <= roles
    users = set(re.findall(r"CREATE USER IF NOT EXISTS (\w+)", shown))
    assert users == {"llmcost_app", "llmcost_dashboard"}
    assert SERVICES["otel-llmcost"]["environment"]["LEDGER"].split("@")[0] in users


def test_grafana_reads_as_the_reader_what_it_is_given() -> None:
    """The data source's user, database and secret, and the folder of the dashboards."""
    [source] = yaml.safe_load((ROOT / "grafana/provisioning/datasources/llmcost.yaml").read_text())["datasources"]
    assert source["jsonData"]["username"] == "llmcost_dashboard"
    assert SERVICES["schema"]["environment"]["LEDGER"].endswith(f"/{source['jsonData']['defaultDatabase']}")
    assert source["jsonData"]["host"] in SERVICES
    secret = re.fullmatch(r"\$__file\{/run/secrets/(\w+)\}", source["secureJsonData"]["password"])
    assert secret is not None
    assert secret[1] in SERVICES["grafana"]["secrets"]
    [provider] = yaml.safe_load((ROOT / "grafana/provisioning/dashboards/llmcost.yaml").read_text())["providers"]
    assert f"./grafana/dashboards:{provider['options']['path']}:ro" in SERVICES["grafana"]["volumes"]


def test_what_the_demo_application_sends_is_priced_and_owned() -> None:
    """Each of its spans is one request with a cost and a team."""
    sent = orjson.dumps(body(random.Random(7), 50, 1_795_000_000_000_000_000))
    found = audit(
        [("demo", BytesIO(sent))], pricer=Pricer.default(), settings=Settings(), defaults=Defaults(at_unix_ns=0)
    )
    assert len(found.requests) == 50
    assert {each.row["price_status"] for each in found.requests} == {"priced"}
    assert {each.row["team"] for each in found.requests} == {"search", "support", "growth"}
