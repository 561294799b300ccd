"""A Ray cluster of several nodes on this machine, any of which can be killed as a whole."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from qtdog_tf.sweep.ray_cluster import OBJECT_STORE, import_ray


class LocalCluster:
    """A head that runs no tasks, and nodes that do.

    Args:
        cluster: of `ray.cluster_utils`.
        nodes: its nodes without the head.
    """

    def __init__(self, cluster: Any, nodes: list[Any]) -> None:
        self._cluster = cluster
        self.nodes = nodes

    @property
    def address(self) -> str:
        """For `--ray_address`."""
        return self._cluster.address

    def processes(self, node: Any) -> list[int]:
        """The numbers of all processes of a node, those of its tasks too."""
        own = [info.process.pid for kind in node.all_processes.values() for info in kind]
        found = list(own)
        for pid in found:
            # Grows while it is walked: children of children.
            found += _children(pid)
        return found

    def kill(self, node: Any) -> list[int]:
        """Ends every process of a node by SIGKILL, as a loss of power does; returns their numbers.

        Training, which would save itself when its parent is gone, goes first.
        """
        pids = self.processes(node)
        for pid in reversed(pids):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.nodes.remove(node)
        self._cluster.remove_node(node, allow_graceful=False)
        return pids


def _children(pid: int) -> list[int]:
    with suppress(OSError):
        lists = [path.read_text() for path in Path(f"/proc/{pid}/task").glob("*/children")]
        return [int(child) for text in lists for child in text.split()]
    return []


@contextmanager
def local_cluster(nodes: int, cpus: int = 1) -> Iterator[LocalCluster]:
    """Begins a cluster, and ends what is left of it.

    Args:
        nodes: that run tasks.
        cpus: of each of these.

    Raises:
        UserError: if Ray is not installed.
    """
    import_ray()
    from ray.cluster_utils import Cluster

    common: dict[str, Any] = {"object_store_memory": OBJECT_STORE, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, **common})
    try:
        yield LocalCluster(
            cluster, [cluster.add_node(num_cpus=cpus, **common) for _ in range(nodes)]
        )
    finally:
        cluster.shutdown()
