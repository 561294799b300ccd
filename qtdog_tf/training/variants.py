"""Variants: what runs do from step K on. They share seed and float phase, and fork at step K.

A name may end in "_m<k>", k from 1: the same variant on other batches from step K on. Such forks
are members of an ensemble for a demonstration, in a fraction of the time; the paper's members are
trained from step 0 with splits of their own (`members.py`).
"""

import dataclasses
import re

from qtdog_tf.errors import UserError
from qtdog_tf.quantization.lsq import MAX_BITS, MIN_BITS

_MODES = {"erm": "off", "frozen_float": "frozen_float", "qtdog": "train", "frozen": "frozen"}
_PATTERN = re.compile(r"(qtdog|frozen)(-?\d+)")
_MEMBER = re.compile(r"(.+)_m([1-9]\d*)")
FLOAT_BITS = 32


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to go on from step K.

    Attributes:
        name: "erm", "frozen_float", "qtdog<bits>" or "frozen<bits>", with "_m<k>" for a member
            beside the first; the name of its folder.
        mode: mode of the quantize wrappers from step K on.
        bits: bit width of the codes; 32 where nothing is quantized.
    """

    name: str
    mode: str
    bits: int

    @property
    def base(self) -> str:
        """The name without "_m<k>"."""
        return split_member(self.name)[0]

    @property
    def member(self) -> int:
        """The k of "_m<k>", which chooses the batches from step K on; 0 without."""
        return split_member(self.name)[1]

    @property
    def is_erm(self) -> bool:
        """Whether nothing changes at step K."""
        return self.mode == "off"

    @property
    def quantized(self) -> bool:
        """Whether the weights are quantized from step K on."""
        return self.bits != FLOAT_BITS


def split_member(name: str) -> tuple[str, int]:
    """The name of a variant without its "_m<k>", and k; 0 without."""
    match = _MEMBER.fullmatch(name)
    return (match[1], int(match[2])) if match else (name, 0)


def parse_variant(name: str) -> Variant:
    """The variant of that name.

    Args:
        name: "erm" (float throughout), "qtdog7" (the paper: 7 bits, latent weights and step sizes
            learn), "frozen7" (released code: neither learns), "frozen_float" (float weights of
            the convolutions frozen at step K), with any bits from 2 to 8; and "_m<k>" behind any
            of these, see above.

    Raises:
        UserError: for another name or bit width.
    """
    base, member = split_member(name)
    suffix = f"_m{member}" if member else ""
    if base in ("erm", "frozen_float"):
        return Variant(name, _MODES[base], FLOAT_BITS)
    match = _PATTERN.fullmatch(base)
    if not match:
        raise UserError(
            f"unknown variant {name!r}: use erm, frozen_float, qtdog<bits> or frozen<bits>, "
            "for example qtdog7, and _m<k> behind it for another member, for example qtdog7_m1"
        )
    bits = int(match[2])
    if not MIN_BITS <= bits <= MAX_BITS:
        raise UserError(f"variant {name!r}: bits must be from {MIN_BITS} to {MAX_BITS}")
    return Variant(f"{match[1]}{bits}{suffix}", _MODES[match[1]], bits)


def parse_variants(names: tuple[str, ...]) -> tuple[Variant, ...]:
    """The variants of those names.

    Raises:
        UserError: for an unknown name, none, or one twice.
    """
    variants = tuple(parse_variant(name.strip()) for name in names)
    if not variants or len({v.name for v in variants}) < len(variants):
        raise UserError(f"variants must be one or more different names, received {list(names)}")
    return variants
