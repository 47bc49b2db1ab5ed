"""What kustomize makes of base and overlays: valid by the real schemas, bounded, no secrets."""

from __future__ import annotations

import copy
import gzip
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import click
import jsonschema
import kubernetes_validate
import pytest
import yaml
from ray.scripts.scripts import start

from ganlib.cli.main import ganlib
from ganlib.cluster import notice
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
def test_a_worker_of_ray_that_is_to_go_gives_notice_in_time(place: str) -> None:
    """What the hook does on a node of a real Ray: tests/cluster/test_preemption.py."""
    (cluster,) = [one for one in rendered(place) if one["kind"] == "RayCluster"]
    (group,) = cluster["spec"]["workerGroupSpecs"]
    (worker,) = group["template"]["spec"]["containers"]
    *python, module, seconds = worker["lifecycle"]["preStop"]["exec"]["command"]
    assert (python, module) == (["python", "-P", "-m"], notice.__name__)
    assert int(seconds) < group["template"]["spec"]["terminationGracePeriodSeconds"]


@pytest.mark.parametrize("place", PLACES)
def test_who_has_the_home_has_it_where_ganlib_looks_for_it_and_all_may_write(place: str) -> None:
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in rendered(place)}
    told = by_name["ConfigMap", "ganlib"]["data"]
    found = 0
    for one in rendered(place):
        for container in containers(one):
            mounts = {m["name"]: m["mountPath"] for m in container.get("volumeMounts", ())}
            if "home" in mounts:
                found += 1
                assert mounts["home"] == told["GANLIB_HOME"]
                assert {"configMapRef": {"name": "ganlib"}} in container["envFrom"]
    assert found >= 3  # Prefect's worker, Ray's head and its workers
    (mode,) = by_name["PersistentVolumeClaim", "home"]["spec"]["accessModes"]
    assert mode == ("ReadWriteOnce" if place == "overlays/dev" else "ReadWriteMany")


@pytest.mark.parametrize("place", PLACES)
def test_what_a_service_or_a_probe_asks_listens(place: str) -> None:
    by_name = {(one["kind"], one["metadata"]["name"]): one for one in rendered(place)}
    for (kind, name), one in by_name.items():
        if kind == "Service":
            server = by_name["Deployment", name]["spec"]["template"]
            assert one["spec"]["selector"].items() <= server["metadata"]["labels"].items()
            (container,) = server["spec"]["containers"]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            assert {p["targetPort"] for p in one["spec"]["ports"]} <= set(ports)
            assert f"--port={ports['http']}" in container["args"]
            assert "--host=0.0.0.0" in container["args"]
            for probe in ("readinessProbe", "livenessProbe"):
                (asked,) = (v for v in container[probe].values() if isinstance(v, dict))
                assert asked["port"] in ports
    (cluster,) = [one for one in rendered(place) if one["kind"] == "RayCluster"]
    (head,) = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    page = {port["name"]: port["containerPort"] for port in head["ports"]}["dashboard"]
    (worker,) = containers(by_name["Deployment", "prefect-worker"])
    address = {one["name"]: one.get("value") for one in worker["env"]}["RAY_ADDRESS"]
    assert address == f"http://{cluster['metadata']['name']}-head-svc:{page}"


@pytest.mark.parametrize("place", PLACES)
def test_what_kuberay_hands_on_to_ray_start_are_options_of_it(place: str) -> None:
    known = {option for one in start.params for option in one.opts}
    for one in rendered(place):
        if one["kind"] in CUSTOM:
            spec = one["spec"].get("rayClusterSpec", one["spec"])
            for group in (spec["headGroupSpec"], *spec.get("workerGroupSpecs", ())):
                assert {f"--{name}" for name in group["rayStartParams"]} <= known


@pytest.mark.parametrize("place", PLACES)
def test_the_namespace_enforces_what_the_pods_keep_to(place: str) -> None:
    (space,) = [one for one in rendered(place) if one["kind"] == "Namespace"]
    assert space["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for one in rendered(place):
        assert one["metadata"].get("namespace", "ganlib") == space["metadata"]["name"] == "ganlib"


@pytest.mark.parametrize("place", PLACES)
def test_kubernetes_tokens_are_ray_s_head_s_alone(place: str) -> None:
    """It asks for the pods of its autoscaler; nothing else talks to Kubernetes."""
    accounts = {
        one["metadata"]["name"]: one.get("automountServiceAccountToken", True)
        for one in rendered(place)
        if one["kind"] == "ServiceAccount"
    }
    assert accounts == {"ganlib": False, "ganlib-ray": True}
    heads = [pod["containers"][0]["name"] for one in rendered(place) for pod in pods(one)
             if accounts[pod["serviceAccountName"]]]  # fmt: skip
    assert heads == ["ray-head"]


@pytest.mark.parametrize("place", PLACES)
def test_kuberay_s_operator_reaches_the_head_and_nothing_else(place: str) -> None:
    """From its own namespace: it submits jobs and asks how they are."""
    policies = [one["spec"] for one in rendered(place) if one["kind"] == "NetworkPolicy"]
    (operator,) = [one for one in policies if one["podSelector"]]
    assert operator["podSelector"] == {"matchLabels": {"ray.io/node-type": "head"}}
    (rule,) = operator["ingress"]
    assert rule["from"] == [
        {
            "namespaceSelector": {},
            "podSelector": {"matchLabels": {"app.kubernetes.io/name": "kuberay-operator"}},
        }
    ]
    (cluster,) = [one for one in rendered(place) if one["kind"] == "RayCluster"]
    (head,) = cluster["spec"]["headGroupSpec"]["template"]["spec"]["containers"]
    assert {port["port"] for port in rule["ports"]} == {p["containerPort"] for p in head["ports"]}


def test_one_run_on_a_cluster_of_its_own_ends_and_is_cleared_away() -> None:
    (job,) = [one["spec"] for one in rendered("overlays/gpu") if one["kind"] == "RayJob"]
    with click.Context(ganlib, info_name="ganlib") as context:
        name, *words = job["entrypoint"].split()
        _, command, rest = ganlib.resolve_command(context, words)
        assert (name, command is not None) == ("ganlib", True)
        command.make_parser(context).parse_args(rest)
    assert job["preRunningDeadlineSeconds"] < job["activeDeadlineSeconds"] <= 86_400
    assert job["backoffLimit"] == 1  # the home is on no node of it: the next goes on
    gone = {
        (r["condition"]["jobStatus"], r["policy"]) for r in job["deletionStrategy"]["deletionRules"]
    }
    assert {("SUCCEEDED", "DeleteCluster"), ("FAILED", "DeleteCluster")} <= gone


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
