"""Asks PyTorch, which is no dependency, in an environment of its own. See _torch_child.py."""

import json
import subprocess
from pathlib import Path
from typing import Any

from qtdog_tf.errors import UserError

CHILD = Path(__file__).with_name("_torch_child.py")
INSTALL = "python -m venv .venv-torch && .venv-torch/bin/pip install torch torchvision"


def ask_torch(python: str, **order: Any) -> dict[str, Any]:
    """What _torch_child.py answers.

    Args:
        python: the interpreter of the environment.
        order: what it is to do.

    Raises:
        UserError: if torch is not installed there, or the program fails.
    """
    command = [python, str(CHILD), json.dumps(order)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except OSError as error:
        raise UserError(f"--python={python} cannot be run: {error.strerror}") from error
    except subprocess.CalledProcessError as error:
        last = ([*error.stderr.splitlines(), ""])[-1 - bool(error.stderr)]
        raise UserError(f"PyTorch ended with code {error.returncode}: {last}") from error
    answer = json.loads(done.stdout)
    if "missing" in answer:
        raise UserError(
            f"{python} has no torch ({answer['missing']}): `{INSTALL}`, then add "
            "--python=.venv-torch/bin/python"
        )
    return answer
