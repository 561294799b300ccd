"""What a person may choose when a data set is prepared."""

from dataclasses import dataclass

from qtdog_tf.settings import Settings, setting

NO_DUPLICATES = "none"


@dataclass(frozen=True)
class PrepareSettings(Settings):
    """Choices: which images there are, what they show, and what is refused."""

    duplicates: str = setting(
        "",
        "DomainNet only, required there: DomainBed's list domain_net_duplicates.txt; none keeps "
        "duplicates.",
    )
    checksums: str = setting(
        "",
        "A list of the archives' SHA-256 as sha256sum writes it; another archive is refused. Those "
        "of MNIST and Fashion-MNIST are known without.",
    )
    seed: int = setting(
        0, "MNIST's variants only: which image goes to which domain, and noise.", at_least=0
    )
    resampling: str = setting(
        "bilinear",
        "Rotation only: bilinear as in DomainBed, bicubic as in its fork.",
        choices=("bilinear", "bicubic"),
    )
    strict: bool = setting(
        False, "Refuse a data set whose counts or checksums are not the known ones."
    )
