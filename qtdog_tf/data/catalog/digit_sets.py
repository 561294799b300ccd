"""RotatedMNIST, ColoredMNIST and RotatedFashionMNIST, as in section 6.1 of the specification.

They are made from the IDX files of MNIST and Fashion-MNIST by `qtdog_tf/data/mnist/`.
"""

from qtdog_tf.data.catalog.entry import Counts, DataSetEntry, Download

ANGLES = (0, 15, 30, 45, 60, 75)
# Image i belongs to domain i modulo the number of domains, so the first ones have one image more.
_SIXTHS = (11667, 11667, 11667, 11667, 11666, 11666)
_ROTATED = Counts("60,000 + 10,000 images", _SIXTHS)
IDX_FILES = {
    "train-images": "train-images-idx3-ubyte.gz",
    "train-labels": "train-labels-idx1-ubyte.gz",
    "t10k-images": "t10k-images-idx3-ubyte.gz",
    "t10k-labels": "t10k-labels-idx1-ubyte.gz",
}
_DOWNLOADS = tuple(Download(name, (f"{part}*",)) for part, name in IDX_FILES.items())
_MNIST_LICENCE = "CC BY-SA 3.0, as Keras' documentation of MNIST says"
_MNIST_SOURCE = "storage.googleapis.com/cvdf-datasets/mnist"

ROTATED_MNIST = DataSetEntry(
    name="rotated_mnist",
    title="RotatedMNIST",
    folder="rotated_mnist",
    domains=tuple(map(str, ANGLES)),
    labels=tuple(map(str, ANGLES)),
    classes=tuple(map(str, range(10))),
    counts=(_ROTATED,),
    licence=_MNIST_LICENCE,
    source=_MNIST_SOURCE,
    downloads=_DOWNLOADS,
    note="domains are angles in degrees; DomainBed's own permutation depends on torch's generator",
)

COLORED_MNIST = DataSetEntry(
    name="colored_mnist",
    title="ColoredMNIST",
    folder="colored_mnist",
    # In this order, DomainBed's, their names are sorted; "+90%" is no name for a split of TFDS.
    domains=("flip10", "flip20", "flip90"),
    labels=("+90%", "+80%", "-90%"),
    classes=("0", "1"),
    counts=(Counts("60,000 + 10,000 images", (23334, 23333, 23333)),),
    licence=_MNIST_LICENCE,
    source=_MNIST_SOURCE,
    downloads=_DOWNLOADS,
    note="class 1 is digits 0 to 4, class 0 digits 5 to 9, a quarter of them flipped; a domain's "
    "name says in how many percent of the images the colour differs from the class",
)

ROTATED_FASHION_MNIST = DataSetEntry(
    name="rotated_fashion_mnist",
    title="RotatedFashionMNIST",
    folder="rotated_fashion_mnist",
    domains=tuple(map(str, ANGLES)),
    labels=tuple(map(str, ANGLES)),
    classes=(
        "0_t-shirt_top",
        "1_trouser",
        "2_pullover",
        "3_dress",
        "4_coat",
        "5_sandal",
        "6_shirt",
        "7_sneaker",
        "8_bag",
        "9_ankle_boot",
    ),
    counts=(_ROTATED,),
    licence="MIT",
    source="Debian's package dataset-fashion-mnist, or github.com/zalandoresearch/fashion-mnist",
    downloads=_DOWNLOADS,
    note="not one of DomainBed's sets; it is RotatedMNIST made from Fashion-MNIST",
)
