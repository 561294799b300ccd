"""What a table of an ablation is made of."""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from qtdog_tf.published import SOURCE, TARGET, Figure, published

# Of a run quantized after training: method and bits.
_PTQ = re.compile(r"ptq_(rtn|obc)(\d)")


@dataclasses.dataclass(frozen=True)
class Paper:
    """Where the paper prints the row.

    Attributes:
        table: see `published`.
        method: see `published`.
        bits: see `published`.
        setting: what else the row stands for, see `Figure`.
    """

    table: str
    method: str
    bits: int = 32
    setting: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def figures(self, part: str) -> dict[str, Figure]:
        """The printed figures by data set, means over targets.

        Args:
            part: `TARGET` or `SOURCE`.
        """
        found = published(
            table=self.table, method=self.method, bits=self.bits, part=part, domain=""
        )
        # A table that has one setting in common prints it with every row.
        return {f.data: f for f in found if self.setting.items() <= f.setting.items()}


@dataclasses.dataclass(frozen=True)
class AblationRow:
    """One row.

    Attributes:
        label: what it is called; unique in its table.
        experiment: the flagfile `configs/ablations/<experiment>.flags` trains its runs.
        variant: which of the experiment's runs; "ptq_obc7": its run "erm", quantized afterwards.
        paper: where the paper prints it; None for a control of our own.
        model: which model of the run, see `MODELS`, where the row decides that; empty: the one that
            is asked for.
        pooled: whether it is the ensemble of that variant's runs, which the experiment's `members`
            are, and not a run of its own.
    """

    label: str
    experiment: str
    variant: str
    paper: Paper | None = None
    model: str = ""
    pooled: bool = False

    @property
    def trained(self) -> str:
        """The variant that is trained for it."""
        return "erm" if self.after_training else self.variant

    @property
    def after_training(self) -> tuple[str, int] | None:
        """Method and bits of a quantization after training; None if there is none."""
        match = _PTQ.fullmatch(self.variant)
        return (match[1], int(match[2])) if match else None


@dataclasses.dataclass(frozen=True)
class AblationTable:
    """One table.

    Attributes:
        name: of --table.
        title: what is varied.
        section: of the specification.
        rows: in the order of print.
        reference: label of the row that the others are compared with.
        in_domain: whether it is about the domains trained on: no domain is held out then, and the
            figure is of their test part.
        data: the data sets whose figures are printed beside; empty: all that the paper has.
        against: labels of rows; of the paper's orderings only those of one of them are looked at.
            Empty: all.
        fixed: settings that tell its rows apart; given for all of them they would belie the labels.
    """

    name: str
    title: str
    section: str
    rows: tuple[AblationRow, ...]
    reference: str
    in_domain: bool = False
    data: tuple[str, ...] = ()
    against: tuple[str, ...] = ()
    fixed: tuple[str, ...] = ()

    @property
    def experiments(self) -> tuple[str, ...]:
        """The names of the experiments, each once."""
        return tuple(dict.fromkeys(row.experiment for row in self.rows))

    @property
    def key(self) -> str:
        """The value in the row of a summary that is compared."""
        return "source_test" if self.in_domain else "target_in"

    @property
    def part(self) -> str:
        """The part that the paper's figures are to be of."""
        return SOURCE if self.in_domain else TARGET
