"""PACS, VLCS, OfficeHome, TerraIncognita and DomainNet, as in section 6.1 of the specification.

Counts are DomainBed's, of the archives that its download script names.
"""

from qtdog_tf.data.catalog.domain_net_classes import DOMAIN_NET_CLASSES
from qtdog_tf.data.catalog.entry import Counts, DataSetEntry, Download

_SCRIPT = "the link in domainbed/scripts/download.py of github.com/facebookresearch/DomainBed"
_OFFICE_HOME_CLASSES = """
Alarm_Clock Backpack Batteries Bed Bike Bottle Bucket Calculator Calendar Candles Chair Clipboards
Computer Couch Curtains Desk_Lamp Drill Eraser Exit_Sign Fan File_Cabinet Flipflops Flowers Folder
Fork Glasses Hammer Helmet Kettle Keyboard Knives Lamp_Shade Laptop Marker Monitor Mop Mouse Mug
Notebook Oven Pan Paper_Clip Pen Pencil Postit_Notes Printer Push_Pin Radio Refrigerator Ruler
Scissors Screwdriver Shelf Sink Sneakers Soda Speaker Spoon TV Table Telephone ToothBrush Toys
Trash_Can Webcam
"""

PACS = DataSetEntry(
    name="pacs",
    title="PACS",
    folder="PACS",
    domains=("art_painting", "cartoon", "photo", "sketch"),
    labels=("A", "C", "P", "S"),
    classes=("dog", "elephant", "giraffe", "guitar", "horse", "house", "person"),
    counts=(Counts("DomainBed", (2048, 2344, 1670, 3929)),),
    licence=None,
    source=_SCRIPT,
    downloads=(Download("PACS.zip", ("pacs*", "kfold")),),
)

VLCS = DataSetEntry(
    name="vlcs",
    title="VLCS",
    folder="VLCS",
    domains=("Caltech101", "LabelMe", "SUN09", "VOC2007"),
    labels=("C", "L", "S", "V"),
    classes=("bird", "car", "chair", "dog", "person"),
    counts=(Counts("DomainBed", (1415, 2656, 3282, 3376)),),
    licence=None,
    source=_SCRIPT,
    downloads=(Download("VLCS.tar.gz", ("vlcs*",)),),
)

OFFICE_HOME = DataSetEntry(
    name="office_home",
    title="OfficeHome",
    folder="office_home",
    domains=("Art", "Clipart", "Product", "Real World"),
    labels=("A", "C", "P", "R"),
    classes=tuple(_OFFICE_HOME_CLASSES.split()),
    counts=(Counts("DomainBed", (2427, 4365, 4439, 4357)),),
    licence=None,
    source=_SCRIPT,
    downloads=(Download("office_home.zip", ("office*home*",)),),
    note="TensorFlow Datasets allows no space in a name, so its split is Real_World",
)

TERRA_INCOGNITA = DataSetEntry(
    name="terra_incognita",
    title="TerraIncognita",
    folder="terra_incognita",
    domains=("location_100", "location_38", "location_43", "location_46"),
    labels=("L100", "L38", "L43", "L46"),
    classes=(
        "bird",
        "bobcat",
        "cat",
        "coyote",
        "dog",
        "empty",
        "opossum",
        "rabbit",
        "raccoon",
        "squirrel",
    ),
    counts=(
        Counts("as in papers (24,788)", (4879, 9767, 4020, 6122)),
        Counts("as downloaded today (24,330)", (4741, 9736, 3970, 5883)),
    ),
    licence="Community Data License Agreement, permissive variant",
    source="lila.science/datasets/caltech-camera-traps (the subset CCT-20, small images)",
    downloads=(
        Download("eccv_18_all_images_sm.tar.gz", ("eccv_18_all_images*", "terra_incognita_im*")),
        Download("eccv_18_annotations.tar.gz", ("eccv_18_annotation*",)),
    ),
    note="an image annotated with two of the classes is in both",
)

DOMAIN_NET = DataSetEntry(
    name="domain_net",
    title="DomainNet",
    folder="domain_net",
    domains=("clipart", "infograph", "painting", "quickdraw", "real", "sketch"),
    labels=("clip", "info", "paint", "quick", "real", "sketch"),
    classes=DOMAIN_NET_CLASSES,
    counts=(Counts("DomainBed, without duplicates", (48129, 51605, 72266, 172500, 172947, 69128)),),
    licence=None,
    source="ai.bu.edu/M3SDA (clipart and painting: the cleaned ones, in folder groundtruth)",
    downloads=tuple(
        Download(f"{name}.zip", (name,))
        for name in ("clipart", "infograph", "painting", "quickdraw", "real", "sketch")
    ),
    duplicates=(704, 1596, 3493, 0, 2380, 1258),
    note="needs domainbed/misc/domain_net_duplicates.txt of github.com/facebookresearch/DomainBed",
)
