"""Variants: what runs do from step K on. They share seed and float phase, and fork at step K.

A name may end in "_m<k>", k from 1: the same variant on other batches from step K on. Such forks
are members of an ensemble for a demonstration, in a fraction of the time; the paper's members are
trained from step 0 with splits of their own (`members.py`).
"""

import dataclasses
import re

from qtdog_tf.errors import UserError
from qtdog_tf.quantization.lsq import MAX_BITS, MIN_BITS

# What run.json calls their mode. They are no modes of the wrappers, see `wrapper_mode`.
NOISE, INQ = "noise", "inq"
_MODES = {
    "erm": "off",
    "frozen_float": "frozen_float",
    "qtdog": "train",
    "frozen": "frozen",
    "noise": NOISE,
    "inq": INQ,
}
_PATTERN = re.compile(r"(qtdog|frozen|noise|inq)(-?\d+)")
# No "_m" of a member in it, and one way to write each number: 1e-4, 5e-5, 2.5e-3.
_AMPLITUDE = re.compile(r"uniform([1-9](?:\.\d*[1-9])?e-[1-9]\d?)")
_MEMBER = re.compile(r"(.+)_m([1-9]\d*)")
FLOAT_BITS = 32


@dataclasses.dataclass(frozen=True)
class Variant:
    """One way to go on from step K.

    Attributes:
        name: "erm", "frozen_float", "qtdog<bits>", "frozen<bits>", "inq<bits>", "noise<bits>" or
            "uniform<a>", with "_m<k>" for a member beside the first; the name of its folder.
        mode: "train", "frozen", "off" or "frozen_float", see `QuantizeWrapper`; or "noise", "inq".
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
    def wrapper_mode(self) -> str:
        """Mode of the quantize wrappers from step K on."""
        return "train" if self.mode in (NOISE, INQ) else self.mode

    @property
    def lsq_bits(self) -> int | None:
        """Bit width of LSQ's codes; None if LSQ has no part in it."""
        return self.bits if self.mode in ("train", "frozen") else None

    @property
    def noise_bits(self) -> int | None:
        """Of "noise<bits>": the bit width whose rounding error the noise has the size of."""
        match = _PATTERN.fullmatch(self.base)
        return int(match[2]) if match and self.mode == NOISE else None

    @property
    def noise_amplitude(self) -> float | None:
        """Of "uniform<a>": a, the largest change of a weight."""
        match = _AMPLITUDE.fullmatch(self.base)
        return float(match[1]) if match else None

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
            the convolutions frozen at step K), "noise7" (float weights with uniform noise of the
            size of the rounding error at 7 bits in training), "inq5" (powers of two, portion by
            portion), with any bits from 2 to 8; "uniform1e-4" (noise in [-a, a) for all weights,
            the paper's control); and "_m<k>" behind any of these, see above.

    Raises:
        UserError: for another name or bit width.
    """
    base, member = split_member(name)
    suffix = f"_m{member}" if member else ""
    if base in ("erm", "frozen_float"):
        return Variant(name, _MODES[base], FLOAT_BITS)
    if _AMPLITUDE.fullmatch(base):
        return Variant(name, NOISE, FLOAT_BITS)
    match = _PATTERN.fullmatch(base)
    if not match:
        raise UserError(
            f"unknown variant {name!r}: use erm, frozen_float, qtdog<bits>, frozen<bits>, "
            "inq<bits>, noise<bits> or uniform<a>, for example qtdog7 or uniform1e-4, and _m<k> "
            "behind it for another member, for example qtdog7_m1"
        )
    bits = int(match[2])
    if not MIN_BITS <= bits <= MAX_BITS:
        raise UserError(f"variant {name!r}: bits must be from {MIN_BITS} to {MAX_BITS}")
    mode = _MODES[match[1]]
    return Variant(f"{match[1]}{bits}{suffix}", mode, FLOAT_BITS if mode == NOISE else bits)


def parse_variants(names: tuple[str, ...]) -> tuple[Variant, ...]:
    """The variants of those names.

    Raises:
        UserError: for an unknown name, none, or one twice.
    """
    variants = tuple(parse_variant(name.strip()) for name in names)
    if not variants or len({v.name for v in variants}) < len(variants):
        raise UserError(f"variants must be one or more different names, received {list(names)}")
    return variants
