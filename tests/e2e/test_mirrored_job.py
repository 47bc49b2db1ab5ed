"""What a job on a real Ray is told of storage, and what it is not: the nodes alone can sign."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from ganlib.bench.ray_nodes import ray_nodes
from tests.e2e.test_pipeline import GANLIB, TINY
from tests.s3 import KEY, SECRET, rclone

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

OURS = {"AWS_ACCESS_KEY_ID": "plantedkeyofours", "AWS_SECRET_ACCESS_KEY": "plantedsecretofours"}


def test_workers_of_a_job_mirror_with_the_nodes_own_credentials(tmp_path: Path) -> None:
    """We name the bucket and its server and hold keys that are refused there."""
    recipe, home, bucket = tmp_path / "tiny.yaml", tmp_path / "home", tmp_path / "s3" / "bucket"
    recipe.write_text(yaml.safe_dump(TINY))
    bucket.mkdir(parents=True)
    theirs = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    with rclone(tmp_path / "s3") as s3, ray_nodes(1, 1, **theirs) as nodes:
        env = {
            **{k: v for k, v in os.environ.items() if not k.startswith(("PREFECT", "MLFLOW"))},
            **nodes.client(),
            **OURS,
            "AWS_ENDPOINT_URL_S3": s3.endpoint,
            "GANLIB_MIRROR": "s3://bucket/team",
        }
        command = [GANLIB, "train", str(recipe), "--only", "classifiers", "--home", str(home)]
        command += ["--set", "cluster.classifier_workers=1", "--json"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=500)
        assert done.returncode == 0, done.stderr
        actors = nodes.ask("/api/v0/actors?detail=true&limit=1000")
        shown = json.dumps([nodes.ask("/api/jobs/"), actors])
        (job,) = [one for one in nodes.ask("/api/jobs/") if one["submission_id"]]
        shown += json.dumps(nodes.ask(f"/api/jobs/{job['submission_id']}/logs"))
        assert job["status"] == "SUCCEEDED"
        assert list(job["runtime_env"]["env_vars"]) == ["RAY_JOB_STOP_WAIT_TIME_S"]
        files = [*home.rglob("*"), *nodes.folder.rglob("*")]
        texts = [path.read_bytes() for path in files if path.is_file() and not path.is_symlink()]
    # Two classifiers' snapshots, which nobody but a worker that signs as a node does has put there.
    kept = {path.parents[1] for path in (bucket / "team").rglob("snapshots/*/meta.json")}
    assert len(kept) == 2, done.stderr
    assert "not mirrored" in done.stderr + done.stdout  # by us, at the end
    secrets = [*OURS.values(), SECRET]
    assert [word for word in secrets if word in shown] == []
    assert [word for word in secrets if any(word.encode() in text for text in texts)] == []
