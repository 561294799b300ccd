"""Which runs there are to be: targets, splits, members and variants."""

import dataclasses

from qtdog_tf.errors import UserError
from qtdog_tf.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class PlanSettings(Settings):
    """Settings that say which runs to train; each is a flag of `tools/train.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    target_domains: tuple = setting(
        ("all",),
        "Domains to hold out together; or all: each in turn; or pairs: each, and every two of them "
        "(for leave-one-domain-out cross-validation); or none: train on every domain.",
    )
    source_domains: tuple = setting((), "Domains to train on. Default: all that are no target.")
    trial_seeds: tuple = setting(("0",), "Splits to train with, one run each (paper: 0,1,2).")
    members: int = setting(
        1,
        "Runs of each trial, averaged in an ensemble (paper: 5), each with its own seed and split: "
        "member m of M of trial t is the trial t*M+m.",
        at_least=1,
    )
    variants: tuple = setting(
        ("qtdog7",),
        "What happens from quantize_step on, several from one float phase: erm (nothing: float to "
        "the end; under another --algorithm it is that one), qtdog<bits>, frozen<bits> (released "
        "code), frozen_float (control), inq<bits> (powers of two, portion by portion), noise<bits> "
        "(uniform noise of the size of the rounding error on float weights), uniform<a> (noise in "
        "[-a, a), the paper's control, for example uniform1e-4); with _m1, _m2, ... behind it on "
        "other batches, for tools.ensemble.",
    )
    check_data: bool = setting(
        True, "Open every image before training; see also python -m tools.check_data."
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for text in self.trial_seeds:
            if not text.strip().isdecimal():
                raise UserError(
                    f"trial_seeds must be whole numbers such as 0,1,2; received {text!r}"
                )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise UserError(
                "trial_seeds must be one or more different numbers; received "
                f"{list(self.trial_seeds)}"
            )

    @property
    def seeds(self) -> list[int]:
        """The trial seeds as integers."""
        return [int(text) for text in self.trial_seeds]
