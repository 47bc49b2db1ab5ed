"""The team's stack: valid by the schema, pinned, on loopback alone, secrets from outside."""

from __future__ import annotations

import configparser
import json
import re
from pathlib import Path
from typing import Any

import click
import jsonschema
import pytest
import yaml
from ray.scripts.scripts import cli

from ganlib.stages import jobs

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "infra" / "compose"
SCHEMA = json.loads((Path(__file__).parent / "schemas" / "compose-spec.json").read_text())
TEXT = (FOLDER / "compose.yaml").read_text()
STACK: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, Any] = STACK["services"]
ENV = dict(
    line.split("=", 1)
    for line in (FOLDER / "example.env").read_text().splitlines()
    if line and not line.startswith("#")
)
VALIDATOR = jsonschema.Draft7Validator(SCHEMA)


def filled(text: str, values: dict[str, str]) -> str:
    """Compose's own substitution, as far as it is used: ${NAME:-default} and ${NAME:?message}."""

    def value(match: re.Match[str]) -> str:
        found = values.get(match["name"], "")
        if not found and match["kind"] == ":?":
            raise KeyError(match["name"])
        return found or match["text"]

    return re.sub(r"\$\{(?P<name>\w+)(?P<kind>:[-?])(?P<text>[^}]*)\}", value, text)


def test_the_file_is_valid_and_a_planted_mistake_is_found() -> None:
    assert [error.message for error in VALIDATOR.iter_errors(STACK)] == []
    wrong = yaml.safe_load(TEXT.replace("healthcheck:", "healthchek:", 1))
    assert "healthchek" in next(VALIDATOR.iter_errors(wrong)).message


def test_every_variable_is_in_the_example_and_the_example_holds_no_secret() -> None:
    named = set(re.findall(r"\$\{(\w+)", TEXT))
    assert named == set(ENV)
    needed = set(re.findall(r"\$\{(\w+):\?", TEXT))
    assert {name for name, value in ENV.items() if not value} == needed
    assert not [line for line in TEXT.splitlines()
                if re.search(r"(?i)(password|secret|token|auth_string)\w*: (?!.*\$\{)", line)
                and "RAY_AUTH_MODE" not in line]  # fmt: skip
    values = {name: value or f"planted-{name}" for name, value in ENV.items()}
    assert "${" not in filled(TEXT, values)
    with pytest.raises(KeyError, match="POSTGRES_PASSWORD"):
        filled(TEXT, values | {"POSTGRES_PASSWORD": ""})


def test_every_service_is_pinned_watched_and_on_loopback() -> None:
    for name, service in SERVICES.items():
        image = filled(service["image"], ENV)
        assert re.search(r":\d[\w.-]*$", image), (name, image)
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), (name, port)
        if name not in ("bucket", "worker"):
            assert service["healthcheck"]["test"][0] == "CMD", name
        for other, how in service.get("depends_on", {}).items():
            needs = "service_completed_successfully" if other == "bucket" else "service_healthy"
            assert how["condition"] == needs
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in STACK["volumes"], (name, volume)
        for config in service.get("configs", ()):
            assert config["source"] in STACK["configs"]


def test_of_the_s3_server_only_what_asks_for_keys_is_reached_and_its_health_is_got() -> None:
    """Its filer and master ask nobody anything; `--spider` is a HEAD, which it answers with 404."""
    s3 = SERVICES["s3"]
    assert {"-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0"} <= set(s3["command"])
    assert any(flag.startswith("-s3.config=") for flag in s3["command"])
    assert s3["healthcheck"]["test"][:2] == ["CMD", "wget"]
    assert "--spider" not in s3["healthcheck"]["test"]


def test_our_image_runs_everything_but_the_database_and_s3() -> None:
    foreign = {name for name, service in SERVICES.items() if "GANLIB_IMAGE" not in service["image"]}
    assert foreign == {"postgres", "s3"}
    for name in set(SERVICES) - foreign:
        assert SERVICES[name]["cap_drop"] == ["ALL"]
        assert SERVICES[name]["security_opt"] == ["no-new-privileges:true"]


def test_addresses_name_services_and_their_ports() -> None:
    worker = SERVICES["worker"]["environment"]
    for variable, service in [
        ("PREFECT_API_URL", "prefect"),
        ("MLFLOW_TRACKING_URI", "mlflow"),
        ("AWS_ENDPOINT_URL_S3", "s3"),
    ]:
        host, port = worker[variable].split("/")[2].split(":")
        assert host == service in SERVICES
        assert any(bound.endswith(f":{port}") for bound in SERVICES[service]["ports"])
    hosts = SERVICES["mlflow"]["environment"]["MLFLOW_SERVER_ALLOWED_HOSTS"].split(",")
    assert {"mlflow", "mlflow:5000", "localhost:5000"} <= set(hosts)
    ray, port = worker["RAY_ADDRESS"].removeprefix("http://").split(":")
    assert f"--dashboard-port={port}" in SERVICES[ray]["command"]
    assert SERVICES["worker"]["volumes"] == SERVICES["ray"]["volumes"]  # one home, at one path


def test_servers_ask_for_what_the_worker_has() -> None:
    worker, prefect = SERVICES["worker"]["environment"], SERVICES["prefect"]["environment"]
    mlflow = SERVICES["mlflow"]["environment"]
    assert prefect["PREFECT_SERVER_API_AUTH_STRING"] == worker["PREFECT_API_AUTH_STRING"]
    assert "--app-name=basic-auth" in SERVICES["mlflow"]["command"]
    assert mlflow["MLFLOW_AUTH_ADMIN_PASSWORD"] == worker["MLFLOW_TRACKING_PASSWORD"]
    assert SERVICES["ray"]["environment"]["RAY_AUTH_MODE"] == "token"
    assert SERVICES["ray"]["environment"]["RAY_AUTH_TOKEN"] == worker["RAY_AUTH_TOKEN"]


def test_what_is_written_into_services_can_be_read_there() -> None:
    values = {name: value or f"planted-{name}" for name, value in ENV.items()}
    told = {name: filled(one["content"], values) for name, one in STACK["configs"].items()}
    (identity,) = json.loads(told["s3"])["identities"]
    assert identity["credentials"] == [
        {"accessKey": "planted-S3_ACCESS_KEY", "secretKey": "planted-S3_SECRET_KEY"}
    ]
    ini = configparser.ConfigParser()
    ini.read_string(told["mlflow"])
    assert ini["mlflow"]["database_uri"].endswith("@postgres/mlflow_users")
    made = set(re.findall(r"CREATE DATABASE (\w+);", told["databases"]))
    used = set(re.findall(r"@postgres/(\w+)", TEXT))
    assert used == made | {SERVICES["postgres"]["environment"]["POSTGRES_DB"]}
    compile(SERVICES["bucket"]["command"][0], "bucket", "exec")


def test_ray_takes_the_options_it_is_started_and_looked_at_with() -> None:
    ray = SERVICES["ray"]
    for words in ([*ray["entrypoint"], *ray["command"]], ray["healthcheck"]["test"][1:]):
        with click.Context(cli, info_name="ray") as context:
            assert words[0] == "ray"
            _, command, rest = cli.resolve_command(context, words[1:])
            assert command is not None
            command.make_parser(context).parse_args(list(rest))
    port = next(word for word in ray["command"] if word.startswith("--port=")).partition("=")[2]
    assert ray["healthcheck"]["test"][-1] == f"{ray['hostname']}:{port}"


def test_a_worker_that_is_stopped_may_first_end_the_job_that_it_watches() -> None:
    seconds = re.fullmatch(r"(\d+)s", SERVICES["worker"]["stop_grace_period"])
    assert seconds is not None
    assert int(seconds[1]) > jobs.STOP_S + jobs.ARRIVES_S + 10
