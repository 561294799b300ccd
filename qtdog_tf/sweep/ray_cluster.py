"""A Ray cluster: which one, what a run needs of it, and the way to it. Start from `connect`."""

import dataclasses
import os
from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError, one_line
from qtdog_tf.settings import Settings, setting

# Bytes; tasks hand over no more than how they ended.
OBJECT_STORE = 100 * 2**20
_REPOSITORY = Path(__file__).parents[2]


@dataclasses.dataclass(frozen=True)
class RaySettings(Settings):
    """Settings of the cluster; each is a flag of `tools/sweep.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    ray_address: str = setting(
        "",
        "Address of the Ray cluster, <host>:6379, or auto. Default: a cluster of this machine "
        "only, which ends with the sweep.",
    )
    cpus_per_run: int = setting(1, "Ray: processor cores that a run needs.", at_least=1)
    gpus_per_run: float = setting(
        0.0, "Ray: GPUs that a run needs; 0.5: two runs share one.", at_least=0.0
    )


def import_ray() -> Any:
    """The module `ray`.

    Raises:
        UserError: if it is not installed.
    """
    # No reports to its makers.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError as error:
        raise UserError(
            "engine ray needs Ray, which is not installed: python -m pip install '.[cluster]'"
        ) from error
    return ray


def connect(settings: RaySettings) -> Any:
    """Connects this process to the cluster.

    Args:
        settings: of the cluster.

    Returns:
        The module `ray`.

    Raises:
        UserError: if Ray is not installed, the cluster cannot be reached, or no node of it has what
            a run needs.
    """
    ray = import_ray()
    if not ray.is_initialized():
        here = {"include_dashboard": False, "object_store_memory": OBJECT_STORE}
        where: dict[str, Any] = {"address": settings.ray_address} if settings.ray_address else here
        # Workers begin in folders of their own.
        imports = {"env_vars": {"PYTHONPATH": str(_REPOSITORY)}}
        try:
            ray.init(**where, log_to_driver=False, logging_level="ERROR", runtime_env=imports)
        except (ConnectionError, RuntimeError, ValueError) as error:
            raise UserError(
                f"the Ray cluster at {settings.ray_address or 'this machine'} cannot be used "
                f"({one_line(error)}): begin one by `ray start --head`, and name its address by "
                "--ray_address"
            ) from error
    _check_nodes([node["Resources"] for node in ray.nodes() if node["Alive"]], settings)
    return ray


def _check_nodes(nodes: list[dict[str, float]], settings: RaySettings) -> None:
    wanted = {"CPU": settings.cpus_per_run, "GPU": settings.gpus_per_run}
    if not any(all(node.get(r, 0) >= n for r, n in wanted.items()) for node in nodes):
        there = ", ".join(f"{node.get('CPU', 0):g} and {node.get('GPU', 0):g}" for node in nodes)
        raise UserError(
            f"no node of the Ray cluster has {wanted['CPU']} CPUs and {wanted['GPU']:g} GPUs for a "
            f"run (there are {there}): lower --cpus_per_run or --gpus_per_run"
        )
