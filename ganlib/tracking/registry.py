"""Registered models: written once per digest, fetched by name and alias, listed as a table."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ganlib.config import fingerprint
from ganlib.errors import Damaged, InputError, NotFound, Refused
from ganlib.storage import Home, holding, read_json
from ganlib.tracking.card import card
from ganlib.tracking.connection import connect, error_code, explained, is_own, tracking_uri
from ganlib.tracking.package import write_package
from ganlib.tracking.runs import experiment_id

if TYPE_CHECKING:
    import pandas as pd
    from mlflow import MlflowClient

CANDIDATE = "candidate"
DIGEST = "ganlib.digest"
WAIT_S = 900.0


@dataclass(frozen=True)
class RegisteredVersion:
    """`uri` is `models:/name/version`; `digest` is of the exported folder's bytes."""

    name: str
    version: int
    uri: str
    digest: str


def digest_of(folder: Path) -> str:
    """SHA-256 of an exported model folder: names and bytes, nothing of times or places."""
    total = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = hashlib.sha256(path.read_bytes()).hexdigest()
        total.update(f"{path.relative_to(folder).as_posix()} {data}\n".encode())
    return total.hexdigest()


def register(
    home: Home,
    model_folder: Path,
    *,
    name: str,
    run_id: str | None,
    metrics: Mapping[str, float],
    dataset_fingerprint: str,
    config: Mapping[str, Any],
    experiment: str = "ganlib/models",
    tags: Mapping[str, str] | None = None,
    evidence: str = "",
) -> RegisteredVersion:
    """Make an exported model a version of `name`, as `candidate`; the same bytes only once.

    `run_id` is MLflow's (`run_of`), none to link no run. `experiment` holds the model if there is
    no run. `evidence` is Markdown for the card. Raises StorageError when MLflow is away, Damaged
    when the folder is not whole, Refused for a generator that collapsed while it was trained.
    """
    # Between the look and the writing nobody else of this home may write the same bytes.
    lock = home.locks / f"register-{name}.lock"
    with explained(f"registering {name}"), holding(lock, f"registering {name}", wait=WAIT_S):
        client = connect(home)
        digest = digest_of(model_folder)
        found = version_with(client, name, digest)
        if found is not None:
            return found
        network = read_json(model_folder / "network.json")
        _refuse_collapsed(name, network)
        if run_id is not None:
            experiment = client.get_run(run_id).info.experiment_id
        else:
            experiment = experiment_id(client, home, experiment, tracking_uri(home))
        told = {
            DIGEST: digest,
            "ganlib.kind": network["kind"],
            "ganlib.dataset": dataset_fingerprint,
            "ganlib.config": fingerprint(dict(config)),
            **{f"ganlib.metric.{key}": f"{value:.6g}" for key, value in metrics.items()},
            **(tags or {}),
        }
        model_id = _log(client, model_folder, name, network, experiment, run_id, told)
        ensure_model(client, name, f"{network['kind'].capitalize()}s of ganlib; see the aliases.")
        text = card(
            name=name,
            kind=network["kind"],
            network=network,
            metrics=metrics,
            dataset_fingerprint=dataset_fingerprint,
            config=config,
            evidence=evidence,
        )
        made = client.create_model_version(
            name,
            source=f"models:/{model_id}",
            run_id=run_id,
            model_id=model_id,
            tags=told,
            description=text,
        )
        client.set_registered_model_alias(name, CANDIDATE, made.version)
        return _version(made)


def _refuse_collapsed(name: str, network: Mapping[str, Any]) -> None:
    verdict = str(network.get("meta", {}).get("verdict", ""))
    if verdict.startswith("collapsed"):
        raise Refused(f"{name} is not registered", (f"it {verdict} while it was trained",))


def _log(
    client: MlflowClient,
    folder: Path,
    name: str,
    network: Mapping[str, Any],
    experiment: str,
    run_id: str | None,
    tags: Mapping[str, str],
) -> str:
    """Write the model's files into MLflow; returns its id."""
    from mlflow.entities import LoggedModelOutput

    logged = client.create_logged_model(
        experiment, name=name, source_run_id=run_id, model_type=network["kind"], tags=dict(tags)
    )
    with tempfile.TemporaryDirectory(prefix="ganlib-model-") as scratch:
        written = write_package(
            folder, Path(scratch), logged=logged, run_id=run_id, metadata=dict(tags)
        )
        client.log_model_artifacts(logged.model_id, str(written))
    client.finalize_logged_model(logged.model_id, "READY")
    if run_id is not None:
        client.log_outputs(run_id, models=[LoggedModelOutput(logged.model_id, step=0)])
    return str(logged.model_id)


def ensure_model(client: MlflowClient, name: str, description: str) -> None:
    """Make the registered model `name` if it is not there."""
    try:
        client.create_registered_model(name, description=description)
    except Exception as error:
        if error_code(error) != "RESOURCE_ALREADY_EXISTS":
            raise


def versions_of(client: MlflowClient, name: str) -> list[Any]:
    """All versions of `name`, oldest first, with their tags; without aliases (MLflow's gap)."""
    out: list[Any] = []
    token = None
    while True:
        page = client.search_model_versions(f"name = '{name}'", max_results=1000, page_token=token)
        out.extend(page)
        token = page.token
        if not token:
            return sorted(out, key=lambda version: int(version.version))


def version_with(client: MlflowClient, name: str, digest: str) -> RegisteredVersion | None:
    for version in versions_of(client, name):
        if version.tags.get(DIGEST) == digest:
            return _version(version)
    return None


def registered(home: Home, name: str, model_folder: Path) -> RegisteredVersion | None:
    """The version of `name` with these bytes; none if there is none.

    A database that is not there yet is not waited for. Raises StorageError when MLflow is away.
    """
    if is_own(home, tracking_uri(home)) and not home.mlflow_db.exists():
        return None
    with explained(f"the versions of {name}"):
        return version_with(connect(home), name, digest_of(model_folder))


def get_version(client: MlflowClient, name: str, version: int) -> RegisteredVersion:
    return _version(client.get_model_version(name, str(version)))


def aliases_of(client: MlflowClient, name: str) -> dict[str, int]:
    """Alias -> version; empty when the model does not exist."""
    try:
        found = client.get_registered_model(name).aliases
    except Exception as error:
        if error_code(error) == "RESOURCE_DOES_NOT_EXIST":
            return {}
        raise
    return {str(alias): int(version) for alias, version in found.items()}


def _version(found: Any) -> RegisteredVersion:
    number = int(found.version)
    uri = f"models:/{found.name}/{number}"
    return RegisteredVersion(str(found.name), number, uri, str(found.tags.get(DIGEST, "")))


def resolve(home: Home, uri: str) -> RegisteredVersion:
    """The version behind `models:/name@alias`, `models:/name/3`, `name@alias` or `name` (champion).

    Raises NotFound naming the model or alias.
    """
    text = uri.removeprefix("models:/")
    name, at, alias = text.partition("@")
    with explained(f"the model {uri}"):
        client = connect(home)
        if not at:
            name, slash, number = text.partition("/")
            if slash:
                if not number.isdigit():
                    raise InputError(f"{uri}: {number} is not a version", where=uri)
                return get_version(client, name, int(number))
            alias = "champion"
        aliases = aliases_of(client, name)
        if alias not in aliases:
            known = ", ".join(sorted(aliases)) or "no aliases"
            raise NotFound(
                f"there is no model {name}@{alias}",
                where=uri,
                hint=f"{name} has {known}; ganlib status lists the models",
            )
        return get_version(client, name, aliases[alias])


def fetch(home: Home, uri: str, *, fresh: bool = False) -> Path:
    """The exported folder of a registered model, kept in the home's cache by its digest.

    `fresh` reads it from MLflow again. Raises NotFound, and Damaged when what MLflow holds is not
    what was registered.
    """
    version = resolve(home, uri)
    place = home.cache / "models" / version.digest
    if place.is_dir() and not fresh and digest_of(place) == version.digest:
        return place
    with explained(f"the model {uri}"), tempfile.TemporaryDirectory(prefix="ganlib-fetch-") as name:
        import mlflow.artifacts

        connect(home)
        folder = Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=f"{version.uri}/artifacts/model", dst_path=name
            )
        )
        found = digest_of(folder)
        if found != version.digest:
            raise Damaged(
                f"{version.uri} is damaged: its files have digest {found[:12]}, "
                f"and {version.digest[:12]} was registered",
                where=version.uri,
                hint="restore its artifacts, or roll back: ganlib model rollback",
            )
        _put(folder, place, version.digest)
    return place


def _put(folder: Path, place: Path, digest: str) -> None:
    """Copy `folder` to `place` so that whoever reads there sees whole models only."""
    if place.is_dir() and digest_of(place) == digest:
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=place.parent, prefix=".fetch-") as name:
        new = Path(name) / "new"
        shutil.copytree(folder, new)
        with suppress(FileNotFoundError):
            place.rename(Path(name) / "damaged")
        try:
            new.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster with the same bytes
                raise


def champion_network(home: Home, name: str) -> dict[str, Any] | None:
    """What the champion's network.json says; none if there is no champion.

    A database that is not there yet is not waited for. Raises StorageError when MLflow is away.
    """
    if is_own(home, tracking_uri(home)) and not home.mlflow_db.exists():
        return None
    with explained(f"the champion of {name}"):
        if "champion" not in aliases_of(connect(home), name):
            return None
    found: dict[str, Any] = read_json(fetch(home, f"{name}@champion") / "network.json")
    return found


def champion_dataset(home: Home, name: str) -> str | None:
    """The fingerprint of what the champion was trained on; none if there is no champion.

    A database that is not there yet is not waited for. Raises StorageError when MLflow is away.
    """
    if is_own(home, tracking_uri(home)) and not home.mlflow_db.exists():
        return None
    with explained(f"the champion of {name}"):
        client = connect(home)
        aliases = aliases_of(client, name)
        if "champion" not in aliases:
            return None
        found = client.get_model_version(name, str(aliases["champion"]))
    return str(found.tags["ganlib.dataset"])


def aliased_digests(home: Home) -> dict[str, str]:
    """Digest of its bytes -> `models:/name@alias`, of every version that holds an alias.

    Raises StorageError when MLflow is away.
    """
    if is_own(home, tracking_uri(home)) and not home.mlflow_db.exists():
        return {}
    found: dict[str, str] = {}
    with explained("the registered models"):
        client = connect(home)
        for model in client.search_registered_models(max_results=1000):
            for alias, number in aliases_of(client, model.name).items():
                version = client.get_model_version(model.name, str(number))
                found.setdefault(str(version.tags.get(DIGEST, "")), f"models:/{model.name}@{alias}")
    return found


def describe(home: Home) -> pd.DataFrame:
    """One row per version of the registered models: what it is, which aliases it holds, metrics."""
    import pandas as pd

    rows = []
    with explained("the registered models"):
        client = connect(home)
        for model in client.search_registered_models(max_results=1000):
            if model.name.endswith("-history"):
                continue
            aliases = aliases_of(client, model.name)
            for version in versions_of(client, model.name):
                number = int(version.version)
                held = sorted(alias for alias, of in aliases.items() if of == number)
                metrics = {
                    key.removeprefix("ganlib.metric."): float(value)
                    for key, value in version.tags.items()
                    if key.startswith("ganlib.metric.") and value != "not measured"
                }
                rows.append(
                    {
                        "model": model.name,
                        "version": number,
                        "aliases": ", ".join(held),
                        "kind": version.tags.get("ganlib.kind", ""),
                        "decision": version.tags.get("ganlib.decision", ""),
                        "created": pd.Timestamp(version.creation_timestamp, unit="ms"),
                        "run_id": version.run_id or "",
                        "digest": version.tags.get(DIGEST, "")[:12],
                        **metrics,
                    }
                )
    columns = ["model", "version", "aliases", "kind", "decision", "created", "run_id", "digest"]
    return pd.DataFrame(rows) if rows else pd.DataFrame(columns=columns)
