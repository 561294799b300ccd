"""Variants: what runs do from step K on. They share seed and float phase, and fork at step K."""

import dataclasses
import re

from qtdog_tf.errors import UserError
from qtdog_tf.quantization.lsq import MAX_BITS, MIN_BITS

_MODES = {"erm": "off", "frozen_float": "frozen_float", "qtdog": "train", "frozen": "frozen"}
_PATTERN = re.compile(r"(qtdog|frozen)(-?\d+)")
FLOAT_BITS = 32


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to go on from step K.

    Attributes:
        name: "erm", "frozen_float", "qtdog<bits>" or "frozen<bits>"; the name of its folder.
        mode: mode of the quantize wrappers from step K on.
        bits: bit width of the codes; 32 where nothing is quantized.
    """

    name: str
    mode: str
    bits: int

    @property
    def is_erm(self) -> bool:
        """Whether nothing changes at step K."""
        return self.mode == "off"

    @property
    def quantized(self) -> bool:
        """Whether the weights are quantized from step K on."""
        return self.bits != FLOAT_BITS


def parse_variant(name: str) -> Variant:
    """The variant of that name.

    Args:
        name: "erm" (float throughout), "qtdog7" (the paper: 7 bits, latent weights and step sizes
            learn), "frozen7" (released code: neither learns), "frozen_float" (float weights of
            the convolutions frozen at step K), with any bits from 2 to 8.

    Raises:
        UserError: for another name or bit width.
    """
    if name in ("erm", "frozen_float"):
        return Variant(name, _MODES[name], FLOAT_BITS)
    match = _PATTERN.fullmatch(name)
    if not match:
        raise UserError(
            f"unknown variant {name!r}: use erm, frozen_float, qtdog<bits> or frozen<bits>, "
            "for example qtdog7"
        )
    bits = int(match[2])
    if not MIN_BITS <= bits <= MAX_BITS:
        raise UserError(f"variant {name!r}: bits must be from {MIN_BITS} to {MAX_BITS}")
    return Variant(f"{match[1]}{bits}", _MODES[match[1]], bits)


def parse_variants(names: tuple[str, ...]) -> tuple[Variant, ...]:
    """The variants of those names.

    Raises:
        UserError: for an unknown name, none, or one twice.
    """
    variants = tuple(parse_variant(name.strip()) for name in names)
    if not variants or len({v.name for v in variants}) < len(variants):
        raise UserError(f"variants must be one or more different names, received {list(names)}")
    return variants
