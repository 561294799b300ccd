"""How a run is carried out: nothing here decides its outcome, unless something fails.

Several devices give other last bits than one, as another processor does; checkpoints record both.
"""

import dataclasses

from qtdog_tf.errors import UserError
from qtdog_tf.settings import Settings, setting

STOP, SKIP = "stop", "skip"
NONE, MIRRORED, MULTI_WORKER = "none", "mirrored", "multi_worker"


@dataclasses.dataclass(frozen=True)
class RunSettings(Settings):
    """Settings of how training is carried out; each is a flag of `tools/train.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    checkpoint_every: int = setting(
        0,
        "Save the full state every n steps, beside after each evaluation; 0: after these only. "
        "SIGTERM and Ctrl-C save at once in any case.",
        at_least=0,
    )
    keep_checkpoints: int = setting(
        2, "Checkpoints kept; the one before steps in for a damaged one.", at_least=1
    )
    on_bad_image: str = setting(
        STOP,
        "When a training image cannot be read any more in the middle of training: stop, or skip "
        "it: another image of its domain takes its place, and skipped.json and the summary count "
        "it. Images of evaluations always stop.",
        choices=(STOP, SKIP),
    )
    resume_elsewhere: bool = setting(
        False,
        "Go on from a checkpoint of another processor, other versions or another number of "
        "threads: the bits are then not those of an uninterrupted run, and the summary says so.",
    )
    check_memory: bool = setting(
        True, "Refuse to start if the memory that training takes is not there."
    )
    strategy: str = setting(
        NONE,
        "Devices that train one run together: none (one device), mirrored (all GPUs of this "
        "machine, or those that devices names; TensorFlow's MirroredStrategy). multi_worker is "
        "refused: a sweep gives each machine runs of its own.",
        choices=(NONE, MIRRORED, MULTI_WORKER),
    )
    devices: tuple = setting(
        (), "Devices of strategy mirrored, GPU:0,GPU:1 for example. Default: all GPUs."
    )

    def check_with(self, steps_per_execution: int) -> None:
        """Refuses a training run that these settings cannot carry out.

        Args:
            steps_per_execution: of its `TrainSettings`.

        Raises:
            UserError: if images are to be skipped where a failure hides which steps were done.
        """
        if self.on_bad_image == SKIP and steps_per_execution > 1:
            raise UserError(
                f"steps_per_execution ({steps_per_execution}) must be 1 with --on_bad_image=skip: "
                "of several steps at once, those before a bad image would go unrecorded"
            )
