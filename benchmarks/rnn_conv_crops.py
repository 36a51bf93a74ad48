"""RNN-Conv on the paper's test crops, through real files, beside the linear floor.

For N = 128 and 256: 500 random N x N crops of test patients, each compressed to ``.xrc`` bytes.
Rows: the paper's figures, the KLT of 16 x 16 blocks with uniform 8-bit codes
and with codes companded as RNN-Conv's are, and RNN-Conv. Mean PSNR is the mean over crops of each
crop's PSNR (an exact crop counts as 100 dB); pooled PSNR is that of the mean squared error.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from xraycodec import RnnConv, XRay, decompress
from xraycodec.codecs.rnn_conv.model import pack_for_segment
from xraycodec.container import build, hash_pixels
from xraycodec.evaluation.benchmark.environment import describe_environment
from xraycodec.evaluation.crops import Crops, find_splits, load_crops
from xraycodec.evaluation.klt import BlockTransform, learn_klt, reconstruct
from xraycodec.evaluation.metrics import mse, ssim

RATIOS = (2, 4, 8, 16, 32, 64)
DECODED = 20
SEED = 2019
KLT_BLOCKS = 80_000
EXACT_DB = 100.0
PAPER = {
    128: {2: (36.0152, 0.9645), 4: (35.9795, 0.9592), 8: (35.9325, 0.9579)},
    256: {2: (34.9721, 0.9525), 4: (34.9002, 0.9517), 8: (34.8701, 0.9509)},
}


def fidelity(crops: Crops, results: Crops) -> dict[str, float]:
    """Mean and pooled PSNR in dB, mean SSIM, over ``(crop, N, N)``."""
    errors = np.array([mse(a, b) for a, b in zip(crops, results, strict=True)])
    psnr = np.minimum(10 * np.log10(255**2 / np.maximum(errors, 1e-12)), EXACT_DB)
    return {
        "psnr_db": round(float(psnr.mean()), 4),
        "pooled_psnr_db": round(float(10 * np.log10(255**2 / errors.mean())), 4),
        "ssim": round(
            float(np.mean([ssim(a, b, 255) for a, b in zip(crops, results, strict=True)])), 5
        ),
    }


def rnn_conv(crops: Crops, ratio: int, threads: int) -> dict[str, Any]:
    """Put every crop into a file; the payload leaves out the container's fixed parts.

    The encoder reports the decoder's pixels; that they are what a file decodes to is checked on
    the first crops of each row.
    """
    codec = RnnConv(float(ratio), crops.shape[1], threads)
    results, file_bytes, payload_bytes = np.empty_like(crops), 0, 0
    for k, crop in enumerate(crops):
        image = XRay(np.ascontiguousarray(crop), 8)
        encoded = codec.encode(image)
        digest = hash_pixels(encoded.pixels, 8)
        data = build(encoded.header, encoded.parameters, encoded.payloads, digest)
        results[k] = encoded.pixels[0]
        if k < DECODED and not np.array_equal(decompress(data).pixels, results[k]):
            raise SystemExit(f"crop {k} at ratio {ratio} decodes to other pixels")
        file_bytes += len(data)
        payload_bytes += sum(map(len, encoded.payloads))
    return fidelity(crops, results) | {
        "file_ratio": round(crops.size / file_bytes, 3),
        "payload_ratio": round(crops.size / payload_bytes, 3),
        "payload_bpp": round(8 * payload_bytes / crops.size, 4),
    }


def measure_row(
    size: int, ratio: int, crops: Crops, transform: BlockTransform, threads: int
) -> dict[str, Any]:
    """Return one row of a table: the floors, RNN-Conv, and the paper where it has a figure."""
    beta = 256 // ratio
    row = {
        "ratio": ratio,
        "beta": beta,
        "klt": fidelity(crops, reconstruct(transform, crops, beta)),
        "klt_companded": fidelity(crops, reconstruct(transform, crops, beta, 3.0)),
        "rnn_conv": rnn_conv(crops, ratio, threads),
    }
    if ratio in PAPER[size]:
        psnr, similarity = PAPER[size][ratio]
        row["paper"] = {"psnr_db": psnr, "ssim": similarity}
    return row


def measure(
    data: Path, cache: Path, sizes: list[int], count: int, log: Callable[[str], None]
) -> dict[str, Any]:
    """Return every row for each segment size, a process of one thread for each row."""
    train = load_crops(data, "train", 128, SEED, cache, KLT_BLOCKS // 64)
    transform = learn_klt(np.asarray(train), 16)
    tables: dict[str, Any] = {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as pool:
        for size in sizes:
            crops = np.asarray(load_crops(data, "test", size, SEED, cache))[:count]
            jobs = [pool.submit(measure_row, size, ratio, crops, transform, 1) for ratio in RATIOS]
            rows = []
            for job in jobs:
                rows.append(job.result())
                found, klt = rows[-1]["rnn_conv"], rows[-1]["klt"]
                log(
                    f"N {size} ratio {rows[-1]['ratio']}: rnn-conv {found['psnr_db']:.2f} dB"
                    f" {found['ssim']:.4f}, payload {found['payload_ratio']:.1f}:1;"
                    f" klt {klt['psnr_db']:.2f} dB,"
                    f" companded {rows[-1]['klt_companded']['psnr_db']:.2f} dB"
                )
            model = pack_for_segment(size).digest.hex()
            tables[str(size)] = {"crops": len(crops), "model": model, "rows": rows}
    return tables


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    default = Path(os.environ.get("XRAYCODEC_DATA", "../shared/data"))
    parser.add_argument("--data", type=Path, default=default)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--crops", type=int, default=500, help="fewer for a quick look")
    parser.add_argument(
        "--segments",
        type=int,
        nargs="+",
        choices=(128, 256),
        default=[128, 256],
        help="with one of them, the other's figures in the JSON stay as they are",
    )
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "xrc-crops")
    arguments = parser.parse_args()
    find_splits(arguments.data)
    result = describe_environment() | {
        "seed": SEED,
        "segments": measure(
            arguments.data,
            arguments.cache,
            arguments.segments,
            arguments.crops,
            lambda line: print(line, flush=True),
        ),
    }
    if arguments.json and arguments.json.exists():
        kept = json.loads(arguments.json.read_text())["segments"]
        result["segments"] = dict(sorted((kept | result["segments"]).items()))
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
