"""What the studies that kill programs share: flags, and an empty folder to work in."""

from pathlib import Path

from absl import flags

from qtdog_tf.errors import UserError


def define_study_flags() -> None:
    """Defines --kill_seed and --report."""
    flags.DEFINE_integer("kill_seed", 0, "Chooses what is killed, and when.")
    flags.DEFINE_string("report", "", "Write what happened to this JSON file.")


def empty_folder(path: str) -> Path:
    """Makes the folder of a study.

    Raises:
        UserError: if there is something in it.
    """
    folder = Path(path)
    if folder.exists() and any(folder.iterdir()):
        raise UserError(f"{folder} holds files: choose a new or an empty folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder
