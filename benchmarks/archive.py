"""Archives: the manifest's memory, the overhead of a file, throughput beside cjxl and opj_compress.

Each part is written to ``--json`` as it is measured; a run that was stopped goes on with the parts
that are not there yet, or that were measured with other options. ``--fresh`` begins anew,
``--only`` takes some parts. ``benchmarks/archive_page.py`` puts the figures into docs/scale.md.

The same PNG files go to all contestants, in as many processes as there are ``--jobs``, one thread
each. Where cjxl and opj_compress are on the PATH, ``xargs -P`` starts them, a process a file, as a
shell loop does; elsewhere the same libraries run through imagecodecs in a pool of processes, which
spares them the start of a process a file. The figures say which.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import re
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np

from xraycodec import Stored, compress, read
from xraycodec.archive.run import cores
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.files import decode, encode
from xraycodec.image import XRay

MANIFEST = """
import json, os, resource, sys, time
from pathlib import Path
from xraycodec.archive.manifest import Manifest
from xraycodec.archive.records import Compressed, Found, Outcome

path, count = Path(sys.argv[1]), int(sys.argv[2])
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
result, started = {"entries": count, "before_bytes": peak()}, time.perf_counter()

def lap(name):
    global started
    result[name] = round(time.perf_counter() - started, 2)
    started = time.perf_counter()

def found():
    for i in range(count):
        name = f"ward{i % 100:03}/study{i // 1000:06}/image{i:09}.dcm"
        yield Found(f"/archive/originals/{name}", f"{name}.xrc", 2**20 + i, i, False)

with Manifest(path, write=True) as manifest:
    manifest.add(found())
    lap("scan_seconds")
    text = lambda i: f"{i:064x}"
    done = lambda i: Compressed(2**20 + i, i, text(i), text(i), 2**18, text(i), 2e6, False)
    while items := manifest.claim(16):
        manifest.record([Outcome(each.id, 1, 0.1, done(each.id - 1)) for each in items], 3)
    lap("record_seconds")
    manifest.add(found())
    lap("rescan_seconds")
    assert manifest.counts()["done"] == count
result["peak_bytes"] = peak()
result["manifest_bytes"] = os.path.getsize(path)
print(json.dumps(result))
"""

PEERS = {
    "JPEG XL e7": ("cjxl", '{tool} "$1" "$2" -d 0 -e 7 --num_threads=1 --quiet', ".jxl"),
    "JPEG 2000 (OpenJPEG)": ("opj_compress", '{tool} -i "$1" -o "$2" -threads 1', ".jp2"),
}


def measure_manifest(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return seconds and peak memory of a process that keeps so many synthetic entries."""
    command = [sys.executable, "-c", MANIFEST, str(work / "m.sqlite3"), str(arguments.entries)]
    found: dict[str, Any] = json.loads(
        subprocess.run(command, check=True, capture_output=True).stdout
    )
    return found


def build(source: Path, target: Path, jobs: int, *options: str) -> tuple[float, dict[str, Any]]:
    """Return the wall seconds of ``xrc archive build``, and the archive's report."""
    xrc = [sys.executable, "-m", "xraycodec", "archive"]
    started = time.perf_counter()
    subprocess.run(
        [*xrc, "build", source, "-o", target, "--jobs", str(jobs), "-q", *options], check=True
    )
    seconds = time.perf_counter() - started
    done = subprocess.run([*xrc, "report", target, "--json"], check=True, capture_output=True)
    return seconds, json.loads(done.stdout)


def measure_overhead(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return what a file costs above reading and coding it, from tiny files without a model.

    The difference between many and few files leaves the start of processes out.
    """
    image = XRay(np.arange(576, dtype="u2").reshape(24, 24), 12)
    data = encode(image, "png")
    few, many = 200, 200 + arguments.tiny
    seconds, cpu = {}, {}
    for count in (few, many):
        folder = work / f"tiny{count}"
        for number in range(count):
            path = folder / f"{number % 50}" / f"{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        before = cpu_seconds()
        seconds[count], _ = build(
            folder, work / f"out{count}", 1, "--codec", "stored", "--no-verify"
        )
        cpu[count] = cpu_seconds() - before
    started, began = time.perf_counter(), time.process_time()
    for path in (work / f"tiny{many}").rglob("*.png"):
        compress(decode(path.read_bytes()), Stored())
    codec_ms = 1000 * (time.perf_counter() - started) / many
    codec_cpu_ms = 1000 * (time.process_time() - began) / many
    file_ms = 1000 * (seconds[many] - seconds[few]) / arguments.tiny
    file_cpu_ms = 1000 * (cpu[many] - cpu[few]) / arguments.tiny
    return {
        "files": arguments.tiny,
        "file_ms": round(file_ms, 3),
        "codec_ms": round(codec_ms, 3),
        "overhead_ms": round(file_ms - codec_ms, 3),
        "overhead_cpu_ms": round(file_cpu_ms - codec_cpu_ms, 3),
    }


def cpu_seconds() -> float:
    """Processor time of every child so far, and of theirs."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def images_of(data: Path, count: int) -> list[Path]:
    """Radiographs of the test split, then of the others."""
    folders = (data / "nih-cxr8" / split for split in ("test", "validation", "train"))
    return [path for folder in folders for path in sorted(folder.glob("*.jxl"))][:count]


def as_png(files: list[Path], folder: Path) -> float:
    """Write radiographs as PNG files, which every contestant reads; return their megapixels."""
    folder.mkdir()
    pixels = 0
    for path in files:
        image = read(path)
        pixels += image.pixels.size
        (folder / f"{path.stem}.png").write_bytes(encode(image, "png"))
    return pixels / 1e6


def encode_peer(task: tuple[str, Path, Path]) -> None:
    name, source, target = task
    pixels = decode(source.read_bytes()).pixels
    if name.startswith("JPEG XL"):
        data = imagecodecs.jpegxl_encode(pixels, effort=7, lossless=True, numthreads=1)
    else:
        data = imagecodecs.jpeg2k_encode(pixels, level=0, reversible=True, numthreads=1)
    target.write_bytes(data)


def version_of(tool: str) -> str:
    """The first version number in a tool's help."""
    done = subprocess.run([tool, "-h"], capture_output=True, text=True, check=False)
    found = re.search(r"v(\d+\.\d+[.\d]*\d)", done.stdout + done.stderr)
    return found[1] if found else "of an unknown version"


def run_peer(name: str, files: list[Path], target: Path, jobs: int) -> tuple[float, str]:
    """Return the wall seconds of a peer over all files, and how it was run."""
    tool, line, suffix = PEERS[name]
    target.mkdir()
    pairs = [(path, target / (path.stem + suffix)) for path in files]
    if place := shutil.which(tool):
        names = "\0".join(str(path) for pair in pairs for path in pair)
        script = line.format(tool=place) + " >/dev/null 2>&1"
        started = time.perf_counter()
        subprocess.run(
            ["xargs", "-0", "-n2", f"-P{jobs}", "sh", "-c", script, "sh"],
            input=names.encode(),
            check=True,
        )
        seconds = time.perf_counter() - started
        return seconds, f"{tool} {version_of(place)} by xargs -P{jobs}"
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        pool.map(encode_peer, [(name, *pairs[0])] * jobs, chunksize=1)  # loads what it takes
        started = time.perf_counter()
        pool.map(encode_peer, [(name, *pair) for pair in pairs], chunksize=1)
        return time.perf_counter() - started, f"imagecodecs in {jobs} processes"


def row(
    seconds: float, files: int, megapixels: float, size_bytes: int, **more: Any
) -> dict[str, Any]:
    return {
        "seconds": round(seconds, 2),
        "images_per_s": round(files / seconds, 3),
        "mp_per_s": round(megapixels / seconds, 3),
        "size_bytes": size_bytes,
        **more,
    }


def measure_throughput(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return wall seconds and bytes of every contestant over the same files on the same cores."""
    files = images_of(arguments.data, arguments.images)
    if not files:
        raise SystemExit(f"no radiographs below {arguments.data}/nih-cxr8; set XRAYCODEC_DATA")
    source = work / "png"
    megapixels = as_png(files, source)
    pngs = sorted(source.iterdir())
    size = partial(row, files=len(pngs), megapixels=megapixels)
    result: dict[str, Any] = {
        "images": len(pngs),
        "megapixels": round(megapixels, 3),
        "png_bytes": sum(path.stat().st_size for path in pngs),
        "jobs": arguments.jobs,
        "rows": {},
        "scaling": [],
    }
    for name, options in {
        "xrc archive, lattice best": ("--profile", "best", "--no-verify"),
        "xrc archive, lattice fast": ("--profile", "fast", "--no-verify"),
        "xrc archive, lattice fast, verified": ("--profile", "fast"),
        "xrc archive, stored": ("--codec", "stored", "--no-verify"),
    }.items():
        seconds, report = build(source, work / name.replace(" ", "-"), arguments.jobs, *options)
        core_seconds = report["core_seconds"]
        result["rows"][name] = size(
            seconds, size_bytes=report["output_bytes"], core_seconds=core_seconds, how="xrc archive"
        )
    for name in PEERS:
        target = work / name.replace(" ", "-")
        seconds, how = run_peer(name, pngs, target, arguments.jobs)
        size_bytes = sum(path.stat().st_size for path in target.iterdir())
        result["rows"][name] = size(
            seconds, size_bytes=size_bytes, core_seconds=round(seconds * arguments.jobs, 2), how=how
        )
    jobs = 1
    while jobs <= arguments.jobs:
        seconds, _ = build(source, work / f"jobs{jobs}", jobs, "--profile", "fast", "--no-verify")
        result["scaling"].append({"jobs": jobs, "images_per_s": round(len(pngs) / seconds, 3)})
        jobs *= 2
    return result


def measure_deep(work: Path, arguments: argparse.Namespace) -> dict[str, Any]:
    """Return bytes and core seconds of the 12-bit radiographs, as DICOM files."""
    source = work / "deep"
    source.mkdir()
    pixels = 0
    for path in sorted((arguments.data / "deep").glob("*.dcm")):
        image = read(path)
        if image.bits_stored == 12:
            shutil.copyfile(path, source / path.name)
            pixels += image.pixels.size
    files = list(source.iterdir())
    if not files:
        raise SystemExit(f"no 12-bit radiographs below {arguments.data}/deep")
    result: dict[str, Any] = {
        "images": len(files),
        "megapixels": round(pixels / 1e6, 3),
        "rows": {},
    }
    for profile in ("best", "fast"):
        options = ("--profile", profile, "--no-verify")
        _, report = build(source, work / f"deep-{profile}", arguments.jobs, *options)
        result["pixel_bytes"] = report["pixel_bytes"]
        result["file_bytes"] = report["size_bytes"]
        result["rows"][f"lattice {profile}"] = {
            "size_bytes": report["output_bytes"],
            "core_seconds": report["core_seconds"],
        }
    return result


Part = Callable[[Path, argparse.Namespace], dict[str, Any]]
PARTS: dict[str, tuple[Part, tuple[str, ...]]] = {
    "manifest": (measure_manifest, ("entries",)),
    "overhead": (measure_overhead, ("tiny",)),
    "throughput": (measure_throughput, ("images", "jobs")),
    "deep": (measure_deep, ("jobs",)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("runs/archive.json"))
    parser.add_argument("--work", type=Path, default=Path("runs/archive"), help="scratch folder")
    parser.add_argument("--only", choices=PARTS, action="append", help="measure these parts only")
    parser.add_argument("--fresh", action="store_true", help="measure again what is there")
    parser.add_argument("--entries", type=int, default=1_000_000, help="of the manifest")
    parser.add_argument("--tiny", type=int, default=2000, help="files for the overhead")
    parser.add_argument("--images", type=int, default=96, help="radiographs for the throughput")
    parser.add_argument("--jobs", type=int, default=cores(), help="processes")
    arguments = parser.parse_args()
    arguments.data = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    kept = json.loads(arguments.json.read_text()) if arguments.json.exists() else {}
    parts: dict[str, Any] = {} if arguments.fresh else kept.get("parts", {})
    for name in arguments.only or PARTS:
        measure, options = PARTS[name]
        asked = {option: getattr(arguments, option) for option in options}
        if parts.get(name, {}).get("options") == asked:
            print(f"{name}: there already")
            continue
        shutil.rmtree(arguments.work, ignore_errors=True)
        arguments.work.mkdir(parents=True)
        environment = describe_environment()
        parts[name] = {
            "options": asked,
            "environment": environment,
            **measure(arguments.work, arguments),
        }
        shutil.rmtree(arguments.work)
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps({"parts": parts}, indent=1) + "\n")
        print(name, json.dumps(parts[name], indent=1))


if __name__ == "__main__":
    main()
