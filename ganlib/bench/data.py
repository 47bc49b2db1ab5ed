"""How fast a folder is prepared, against plain Pillow on one core, measured side by side."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ganlib.data.pool import usable_cores
from ganlib.data.sources.digits import DigitsSource
from ganlib.errors import StageFailed

CLASSES = 4
TARGET = 0.8
QUALITY = 85

# Each measurement has a process of its own: its peak memory is nobody else's.
PREPARE = """
import json, resource, sys, time
from pathlib import Path
from ganlib.config import DataConfig
from ganlib.data import prepare
arguments = json.loads(sys.argv[1])
config = DataConfig.model_validate(arguments["config"])
start = time.perf_counter()
dataset = prepare(config, Path(arguments["out"]), workers=arguments["workers"])
seconds = time.perf_counter() - start
used = {"parent": resource.getrusage(resource.RUSAGE_SELF),
        "worker": resource.getrusage(resource.RUSAGE_CHILDREN)}
peak = {name: found.ru_maxrss / 1024 for name, found in used.items()}
cpu = sum(found.ru_utime + found.ru_stime for found in used.values())
print(json.dumps({"seconds": seconds, "cpu_seconds": cpu, "peak_mb": peak,
                  "images": sum(dataset.counts.values())}))
"""
PLAIN = """
import json, sys, time
from pathlib import Path
from PIL import Image
arguments = json.loads(sys.argv[1])
side = arguments["size"]
paths = sorted(Path(arguments["folder"]).rglob("*.jpg"))[:: arguments["stride"]]
start, cpu = time.perf_counter(), time.process_time()
for path in paths:
    with Image.open(path) as image:
        image.convert("RGB").resize((side, side)).tobytes()
print(json.dumps({"seconds": time.perf_counter() - start, "images": len(paths),
                  "cpu_seconds": time.process_time() - cpu}))
"""


def bench_data(
    images: int = 20_000,
    *,
    size: int = 32,
    side: int = 96,
    rounds: int = 3,
    workers: int | None = None,
    search: tuple[Path, ...] = (),
    seed: int = 0,
    progress: Callable[[str, int, int], None] = lambda what, done, total: None,
) -> dict[str, Any]:
    """Prepare `images` JPEGs of `side` pixels to `size`, in turns with plain decode and resize.

    The pictures are random crops of the flower photographs in one of `search`, or of
    scikit-learn's digits. `ratio` is images/s over (one core's plain rate times the cores used).
    Peak memory is that of the preparing process and of its largest worker, at a quarter of the
    files and at all of them. CPU time per image, start-up included, says more than the ratio when
    others use the machine, as the load average tells.
    """
    cores = usable_cores()
    with tempfile.TemporaryDirectory(prefix="ganlib-bench-") as place:
        root = Path(place)
        source = _write_jpegs(root / "full", images, side, seed, search, progress)
        _quarter(root / "full", root / "quarter")
        turns = []
        for number in range(rounds):
            progress("measuring", number, rounds)
            plain = _run(
                PLAIN,
                {"folder": str(root / "full"), "size": size, "stride": max(1, images // 4000)},
            )
            full = _prepare(root / "full", root / f"out-{number}", size, workers)
            turns.append(
                {
                    "plain_images_per_s": plain["images"] / plain["seconds"],
                    "images_per_s": full["images"] / full["seconds"],
                    "plain_cpu_ms": 1000 * plain["cpu_seconds"] / plain["images"],
                    "cpu_ms": 1000 * full["cpu_seconds"] / full["images"],
                    "peak_mb": full["peak_mb"],
                    "load_average": os.getloadavg()[0],
                }
            )
        progress("measuring", rounds, rounds)
        quarter = _prepare(root / "quarter", root / "out-quarter", size, workers)
    used = min(workers or cores, cores)
    for turn in turns:
        turn["ratio"] = turn["images_per_s"] / (turn["plain_images_per_s"] * used)
    middle = sorted(turns, key=lambda turn: float(turn["ratio"]))[len(turns) // 2]
    return {
        "images": images,
        "pictures": source,
        "jpeg_pixels": side,
        "size": size,
        "seed": seed,
        "cores": used,
        "images_per_s": middle["images_per_s"],
        "plain_images_per_s_one_core": middle["plain_images_per_s"],
        "ratio": middle["ratio"],
        "cpu_ms_per_image": middle["cpu_ms"],
        "plain_cpu_ms_per_image": middle["plain_cpu_ms"],
        "target": TARGET,
        "passed": middle["ratio"] >= TARGET,
        "peak_mb": {"quarter": quarter["peak_mb"], "full": middle["peak_mb"]},
        "load_average": middle["load_average"],
        "rounds": turns,
    }


def _prepare(folder: Path, out: Path, size: int, workers: int | None) -> dict[str, Any]:
    config = {"source": {"kind": "folder", "path": str(folder)}, "size": size, "channels": 3}
    return _run(PREPARE, {"config": config, "out": str(out), "workers": workers})


def _run(code: str, arguments: dict[str, Any]) -> dict[str, Any]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    done = subprocess.run(
        [sys.executable, "-c", code, json.dumps(arguments)],
        capture_output=True,
        text=True,
        env=environment,
    )
    if done.returncode:
        raise StageFailed(f"a measurement failed: {done.stderr.strip()[-500:]}", where="bench data")
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _write_jpegs(
    folder: Path,
    images: int,
    side: int,
    seed: int,
    search: tuple[Path, ...],
    progress: Callable[[str, int, int], None],
) -> str:
    """Crops as JPEG files in class folders; returns what they are crops of."""
    random = np.random.default_rng(seed)
    title, pictures = _pictures(search)
    for label in range(CLASSES):
        (folder / f"class-{label}").mkdir(parents=True)
    for number in range(images):
        picture = next(pictures)
        edge = min(picture.size)
        cut = int(edge * random.uniform(0.7, 1.0))
        left, top = random.integers(0, edge - cut + 1, 2).tolist()
        crop = picture.resize((side, side), box=(left, top, left + cut, top + cut))
        path = folder / f"class-{number % CLASSES}" / f"{number:06d}.jpg"
        crop.save(path, quality=QUALITY)
        if number % 500 == 0:
            progress("writing pictures", number, images)
    return title


def _pictures(search: tuple[Path, ...]) -> tuple[str, Iterator[Image.Image]]:
    for root in search:
        archive = root / "flowers5" / "flowers5_128.zip"
        if archive.is_file():
            return "flowers5", cycle(_flowers(archive))
    digits = DigitsSource().image_NHWC[..., 0]
    return "digits", cycle([Image.fromarray(d).resize((128, 128)).convert("RGB") for d in digits])


def _flowers(archive: Path) -> list[Image.Image]:
    with zipfile.ZipFile(archive) as packed:
        names = [name for name in packed.namelist() if name.endswith(".jpg")][:1000]
        return [Image.open(io.BytesIO(packed.read(name))).convert("RGB") for name in names]


def _quarter(full: Path, quarter: Path) -> None:
    """The same files by hard links, one in four."""
    for folder in sorted(full.iterdir()):
        (quarter / folder.name).mkdir(parents=True)
        for path in sorted(folder.iterdir())[::4]:
            os.link(path, quarter / folder.name / path.name)
