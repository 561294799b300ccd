"""The class names to show for a .tflite file: its own, those of a text file, or numbers."""

from pathlib import Path

from qtdog_tf.errors import UserError
from qtdog_tf.export.tflite.runner import TFLiteClassifier


def class_names(classifier: TFLiteClassifier, labels: Path | None = None) -> tuple[str, ...]:
    """Chooses the names of the classes.

    Args:
        classifier: an open file.
        labels: a text file with one name a line, which then counts more than the file's metadata.

    Returns:
        As many names as the file has classes; "class 0", "class 1", ... if there are none.

    Raises:
        UserError: if the text file cannot be read or does not fit.
    """
    if labels is None:
        numbers = (f"class {number}" for number in range(classifier.class_count))
        return classifier.classes or tuple(numbers)
    try:
        names = tuple(labels.read_text(encoding="utf-8").splitlines())
    except OSError as error:
        raise UserError(f"labels {labels} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"labels {labels} is no UTF-8 text: one class name a line") from error
    if len(names) != classifier.class_count:
        raise UserError(
            f"labels {labels} has {len(names)} lines, but {classifier.path} has "
            f"{classifier.class_count} classes: one class name a line is needed"
        )
    return names
