"""Public names of a package that are imported when they are first used.

TensorFlow takes seconds to import, which a program's `--help` or an error about a flag should not
wait for.
"""

from collections.abc import Mapping
from importlib import import_module
from typing import Any


def import_name(package: str, module_of: Mapping[str, str], name: str) -> Any:
    """What a package's `__getattr__` returns.

    Args:
        package: full name of the package.
        module_of: for each public name, the module below `package` that defines it.
        name: the name asked for.

    Raises:
        AttributeError: if `name` is not among them.
    """
    if name not in module_of:
        raise AttributeError(f"module {package!r} has no attribute {name!r}")
    return getattr(import_module(f"{package}.{module_of[name]}"), name)
