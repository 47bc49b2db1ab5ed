"""What kustomize makes of base and overlays: valid by the real schemas, bounded, no secrets."""

from __future__ import annotations

import copy
import gzip
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.infra.kustomize import containers, pods, render

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "infra" / "kubernetes"
SCHEMAS = Path(__file__).parent / "schemas"
PLACES = ("base", "overlays/dev", "overlays/gpu")
VERSION = "1.34"
CUSTOM = {"RayCluster": "rayclusters", "RayJob": "rayjobs"}
MADE_BY_HAND = {
    "ganlib": {
        "prefect-database", "prefect-auth", "mlflow-database", "mlflow-artifacts",
        "mlflow-secret-key", "mlflow-password",
    },
    "ganlib-ray": {"auth_token"},
}  # fmt: skip
"""The secrets that infra/README.md says how to make, the first from a copy of example.env."""


@cache
def rendered(place: str) -> tuple[dict[str, Any], ...]:
    return tuple(render(KUBERNETES / place))


@cache
def definition(kind: str) -> Any:
    """KubeRay's schema, closed: Kubernetes drops unknown fields silently, we want to know."""
    packed = (SCHEMAS / f"ray.io_{CUSTOM[kind]}.yaml.gz").read_bytes()
    told = yaml.load(gzip.decompress(packed), yaml.CSafeLoader)
    (v1,) = [one for one in told["spec"]["versions"] if one["name"] == "v1"]
    schema = v1["schema"]["openAPIV3Schema"]
    schema["properties"]["metadata"] = {"type": "object"}
    return jsonschema.Draft7Validator(closed(schema))


def closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    told = {key: closed(value) for key, value in schema.items()}
    if isinstance(told.get("properties"), dict) and told.get("type") == "object":
        told.setdefault("additionalProperties", False)
    if told.get("x-kubernetes-int-or-string"):
        told["type"] = ["integer", "string"]
        told.pop("anyOf", None)
    return told


def problem(one: dict[str, Any]) -> str:
    """Why the object is not valid; empty if it is."""
    try:
        if one["kind"] in CUSTOM:
            definition(one["kind"]).validate(one)
        else:
            kubernetes_validate.validate(one, VERSION, strict=True)
    except (jsonschema.ValidationError, kubernetes_validate.ValidationError) as error:
        return f"{one['kind']} {one['metadata']['name']}: {error.message}"
    return ""


@pytest.mark.parametrize("place", PLACES)
def test_every_object_is_valid(place: str) -> None:
    assert [told for one in rendered(place) if (told := problem(one))] == []


@pytest.mark.parametrize("number", range(len(rendered("overlays/gpu"))))
def test_a_misspelt_field_of_any_object_is_found(number: int) -> None:
    one = copy.deepcopy(rendered("overlays/gpu")[number])
    for inner in (*pods(one), one):
        inner["resuorces"] = {}
        assert "resuorces" in problem(one)
        del inner["resuorces"]
        assert not problem(one)


def test_every_file_is_reached() -> None:
    told = {"kustomization.yaml"}
    for place in PLACES:
        told |= set(
            yaml.safe_load((KUBERNETES / place / "kustomization.yaml").read_text())["resources"]
        )
    there = {path.name for path in KUBERNETES.rglob("*.yaml")}
    assert there - told == {"gpu-workers.yaml"}  # a patch
    (cluster,) = [one for one in rendered("overlays/gpu") if one["kind"] == "RayCluster"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    assert (group["groupName"], group["minReplicas"], group["maxReplicas"]) == ("gpu", 0, 8)
    (worker,) = group["template"]["spec"]["containers"]
    assert worker["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert {one["key"] for one in group["template"]["spec"]["tolerations"]} == {
        "nvidia.com/gpu",
        "ganlib/spot",
    }


def test_dev_asks_for_no_gpu_and_little_memory() -> None:
    gigabytes = 0.0
    for one in rendered("overlays/dev"):
        for container in containers(one):
            assert "nvidia.com/gpu" not in container["resources"]["limits"]
            asked = container["resources"]["requests"]["memory"]
            gigabytes += float(asked[:-2]) / {"Mi": 1024, "Gi": 1}[asked[-2:]]
    assert gigabytes <= 8


@pytest.mark.parametrize("place", PLACES)
def test_no_pod_is_root_unbounded_or_may_rise(place: str) -> None:
    for one in rendered(place):
        for pod in pods(one):
            assert pod["securityContext"]["runAsNonRoot"] is True, one["metadata"]["name"]
            # Else the service mlflow would be MLFLOW_PORT, which MLflow takes for a setting.
            assert pod["enableServiceLinks"] is False
            assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
            for container in pod["containers"]:
                assert set(container["resources"]["limits"]) >= {"cpu", "memory"}
                assert container["securityContext"]["allowPrivilegeEscalation"] is False
                assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}


@pytest.mark.parametrize("place", PLACES)
def test_the_container_that_kuberay_adds_may_no_more_than_the_others(place: str) -> None:
    """Else a namespace that enforces `restricted` refuses the head's pod."""
    (cluster,) = [one for one in rendered(place) if one["kind"] == "RayCluster"]
    assert cluster["spec"]["autoscalerOptions"]["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("place", PLACES)
def test_the_head_is_told_what_its_autoscaler_may_bring(place: str) -> None:
    """Or a run on a cluster that has scaled to nothing would be refused for want of CPUs."""
    (cluster,) = [one for one in rendered(place) if one["kind"] == "RayCluster"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    (head,) = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    told = {one["name"]: one.get("value") for one in head["env"]}
    for variable, resource in (("GANLIB_RAY_CPUS", "cpu"), ("GANLIB_RAY_GPUS", "nvidia.com/gpu")):
        each = int(worker["resources"]["limits"].get(resource, 0))
        assert told.get(variable, "0") == str(group["maxReplicas"] * each)


@pytest.mark.parametrize("place", PLACES)
def test_prefects_page_asks_where_the_browser_is(place: str) -> None:
    """By itself it would be told the address that the server listens on, 0.0.0.0."""
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in rendered(place)}
    server = by_name["Deployment", "prefect"]
    told = {one["name"]: one.get("value") for one in next(containers(server))["env"]}
    readme = (ROOT / "infra" / "README.md").read_text()
    assert told["PREFECT_UI_API_URL"] == "http://localhost:4200/api"
    assert "port-forward svc/prefect 4200\n" in readme


@pytest.mark.parametrize("place", PLACES)
def test_secrets_are_only_referred_to_and_all_of_them_are_explained(place: str) -> None:
    objects = rendered(place)
    assert "Secret" not in {one["kind"] for one in objects}
    for one in objects:
        for container in containers(one):
            for variable in container.get("env", ()):
                hidden = any(word in variable["name"] for word in ("PASSWORD", "TOKEN", "SECRET"))
                assert not (hidden and "value" in variable), variable["name"]
                key = variable.get("valueFrom", {}).get("secretKeyRef")
                assert key is None or key["key"] in MADE_BY_HAND[key["name"]]
    readme, example = ROOT / "infra" / "README.md", KUBERNETES / "example.env"
    told = readme.read_text()
    for name in MADE_BY_HAND:
        assert f"secret generic {name} --from-env-file=" in told
    assert "--from-literal" not in told  # or passwords are in everybody's list of processes
    lines = [line for line in example.read_text().splitlines() if not line.startswith("#")]
    assert {line.partition("=")[0] for line in lines} == MADE_BY_HAND["ganlib"]
    assert {f"{key}=" in told for key in MADE_BY_HAND["ganlib-ray"]} == {True}


@pytest.mark.parametrize("place", PLACES)
def test_what_is_named_is_there(place: str) -> None:
    """Claims, maps, accounts and services that pods and settings speak of."""
    there = {(one["kind"], one["metadata"]["name"]) for one in rendered(place)}
    for one in rendered(place):
        for pod in pods(one):
            assert ("ServiceAccount", pod["serviceAccountName"]) in there
            for volume in pod.get("volumes", ()):
                if "persistentVolumeClaim" in volume:
                    claim = volume["persistentVolumeClaim"]["claimName"]
                    assert ("PersistentVolumeClaim", claim) in there
                if "configMap" in volume:
                    assert ("ConfigMap", volume["configMap"]["name"]) in there
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in rendered(place)}
    settings = by_name["ConfigMap", "ganlib"]["data"]
    for variable in ("PREFECT_API_URL", "MLFLOW_TRACKING_URI"):
        host, port = settings[variable].split("/")[2].split(":")
        assert [one["port"] for one in by_name["Service", host]["spec"]["ports"]] == [int(port)]
        assert variable == "PREFECT_API_URL" or host in settings["MLFLOW_SERVER_ALLOWED_HOSTS"]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_listens_without_a_credential_or_beyond_the_namespace(place: str) -> None:
    policies = [one for one in rendered(place) if one["kind"] == "NetworkPolicy"]
    (whole,) = [one for one in policies if one["spec"]["podSelector"] == {}]
    assert whole["spec"]["ingress"] == [{"from": [{"podSelector": {}}]}]
    kinds = {
        one["spec"].get("type", "ClusterIP") for one in rendered(place) if one["kind"] == "Service"
    }
    assert kinds == {"ClusterIP"}
    clusters = [one["spec"].get("rayClusterSpec", one["spec"])
                for one in rendered(place) if one["kind"] in CUSTOM]  # fmt: skip
    assert clusters
    assert all(one["authOptions"]["mode"] == "token" for one in clusters)


@pytest.mark.skipif(shutil.which("kubectl") is None, reason="there is no kubectl")
@pytest.mark.parametrize("place", PLACES)
def test_our_kustomize_agrees_with_kubectl(place: str) -> None:
    done = subprocess.run(
        ["kubectl", "kustomize", str(KUBERNETES / place)], capture_output=True, check=True
    )

    def sorted_by_name(objects: Any) -> list[Any]:
        return sorted(objects, key=lambda one: (one["kind"], one["metadata"]["name"]))

    theirs = sorted_by_name(yaml.safe_load_all(done.stdout))
    assert sorted_by_name(rendered(place)) == theirs
