"""The one place that imports onnxruntime, with its telemetry switched off.

The import of onnxruntime 1.32 makes a device id and a database in the user's cache folder; seconds
later it looks up the host that collects events. It reads the variable that stops this when it is
imported, so that every process has to set it before. A contract in ``pyproject.toml`` forbids other
imports.
"""

from __future__ import annotations

import os
from typing import Any

from xraycodec.errors import ModelError

TELEMETRY_SWITCH = "ORT_DISABLE_TELEMETRY"


def load_onnxruntime() -> Any:
    """Import onnxruntime without telemetry, whatever the environment says."""
    os.environ[TELEMETRY_SWITCH] = "1"
    import onnxruntime

    # For a program that imported onnxruntime before: the variable comes too late for it.
    onnxruntime.disable_telemetry_events()
    return onnxruntime


def open_session(
    model: bytes, threads: int, *, spinning: bool = True, optimisation: str = "ENABLE_ALL"
) -> Any:
    """Load a network for the processor.

    Args:
        model: an ONNX file that a strict reader has passed.
        threads: 0 uses every core.
        spinning: whether threads that wait for work keep their cores busy.
        optimisation: one of onnxruntime's graph optimisation levels.

    Raises:
        ModelError: onnxruntime refuses the network.
    """
    onnxruntime = load_onnxruntime()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.enable_cpu_mem_arena = False  # it would keep the largest of each size for ever
    if not spinning:
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.__members__[
        f"ORT_{optimisation}"
    ]
    try:
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own exceptions share no public base
        raise ModelError(f"onnxruntime refuses the network: {error}") from error
