"""What rows of tables are called for the variants that quantize otherwise, or not at all."""

import pytest

from qtdog_tf.evaluation.method_names import average_name, method_name


@pytest.mark.parametrize(
    ("variant", "name"),
    [
        ("erm", "ERM"),
        ("qtdog7_m1", "QT-DoG 7 bits (m1)"),
        ("frozen_float", "frozen at K, float"),
        ("inq5", "INQ 5 bits"),
        ("noise7", "noise as of 7 bits"),
        ("uniform1e-4_m2", "noise in +-1e-4 (m2)"),
        ("ptq_obc4", "PTQ (OBC) 4 bits"),
        ("ptq_rtn7_m1", "PTQ (RTN) 7 bits (m1)"),
        ("eoq7", "EoQ 7 bits"),
        ("eoa", "EoA"),
        ("erm_ensemble", "ERM ensemble"),
        ("frozen5_ensemble", "ensemble of frozen at K, 5 bits"),
        ("diwa", "DiWA"),
        ("diwa_qtdog7", "DiWA of QT-DoG 7 bits"),
        ("ensemble", "ensemble"),
        ("frozen_float_ptq_rtn7", "frozen_float_ptq_rtn7"),
    ],
)
def test_names(variant: str, name: str) -> None:
    assert method_name("erm", variant) == name
    combined = "SAM" if name == "ERM" else f"SAM + {name}"
    assert method_name("sam", variant) == combined


def test_the_moving_average_is_in_the_name_of_eoa() -> None:
    assert average_name("EoA", "sma") == "EoA" and average_name("EoA", "swad") == "EoA + SWAD"
    assert average_name("EoQ 7 bits", "sma") == "EoQ 7 bits + SMA"
    assert average_name("distilled + QT-DoG 7 bits", "sma") == "distilled + QT-DoG 7 bits + SMA"


def test_selective_freezing_is_named_after_what_it_does() -> None:
    assert method_name("saqat", "erm") == "SAGM-freeze"
    assert method_name("saqat", "qtdog4") == "SAGM-freeze + QT-DoG 4 bits"
