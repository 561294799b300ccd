"""Settings of a sweep beside its experiments."""

import dataclasses

from qtdog_tf.algorithms.settings import ALGORITHMS
from qtdog_tf.errors import UserError
from qtdog_tf.settings import Settings, setting
from qtdog_tf.sweep.hparams import SEARCHES

LOCAL, RAY = "local", "ray"
ENGINES = (LOCAL, RAY)


@dataclasses.dataclass(frozen=True)
class SweepSettings(Settings):
    """Settings of a sweep; each is a flag of `tools/sweep.py`.

    Raises:
        UserError: for a value that is not allowed, naming the setting.
    """

    experiments: tuple = setting((), "Flagfiles of tools.train.")
    algorithms: tuple = setting(
        (),
        f"Do each experiment with each of these methods: {', '.join(ALGORITHMS)}. Default: its "
        "own.",
    )
    hparams_seeds: tuple = setting(
        ("0",),
        "Do each experiment with each of these draws of hyperparameters, other ones in each trial, "
        "as DomainBed does; 0: with the experiment's own.",
    )
    hparams_search: str = setting(
        SEARCHES[0],
        "What hyperparameters are drawn from: domainbed; eoa: weight decay and dropout only; swad: "
        "the grid of 18 of SWAD's paper.",
        choices=SEARCHES,
    )
    engine: str = setting(
        LOCAL,
        "Where runs are trained: local: on this machine; ray: on a Ray cluster.",
        choices=ENGINES,
    )
    workers: int = setting(1, "Runs at once on this machine.", at_least=1)
    threads: int = setting(
        0,
        "Processor threads of each run, which its last bits depend on, so they stay as they are "
        "for a sweep. 0: those of this machine, divided by workers, when the sweep begins.",
        at_least=0,
    )
    retries: int = setting(
        2, "How often a run is begun again that was killed or broke down.", at_least=0
    )
    probe_steps: int = setting(
        5, "Training steps that are timed for --plan, once for each group.", at_least=1
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        names = self.algorithms
        if set(names) - set(ALGORITHMS) or len(set(names)) < len(names):
            raise UserError(
                f"algorithms must be different ones of {', '.join(ALGORITHMS)}; received "
                f"{','.join(names)}"
            )
        draws = self.hparams_seeds
        whole = all(text.strip().isdecimal() for text in draws)
        if not whole or not draws or len(set(self.draws)) < len(draws):
            raise UserError(
                "hparams_seeds must be one or more different whole numbers such as 0,1,2; received "
                f"{','.join(draws)}"
            )

    @property
    def draws(self) -> list[int]:
        """The seeds of the draws as integers."""
        return [int(text) for text in self.hparams_seeds]
