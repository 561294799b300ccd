"""What rows of tables are called for the variants that quantize otherwise, or not at all."""

import pytest

from qtdog_tf.evaluation.method_names import method_name


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
        ("frozen_float_ptq_rtn7", "frozen_float_ptq_rtn7"),
    ],
)
def test_names(variant: str, name: str) -> None:
    assert method_name("erm", variant) == name
    combined = "SAM" if name == "ERM" else f"SAM + {name}"
    assert method_name("sam", variant) == combined
