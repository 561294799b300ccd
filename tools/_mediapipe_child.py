"""Classifies images with MediaPipe, for tools/check_mediapipe.py.

It runs in the environment that has mediapipe, so it imports nothing of this package. Its arguments
are a model and images; it prints one JSON object: {"version": ..., "results": [[{"index", "name",
"score"}, ...] for each image]}, {"missing": ...} or {"error": ...}.
"""

import json
import sys
from typing import Any


def main(model: str, images: list[str]) -> dict[str, Any]:
    """Classifies the images."""
    try:
        import mediapipe
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        return {"missing": str(error)}
    options = vision.ImageClassifierOptions(base_options=BaseOptions(model_asset_path=model))
    results = []
    try:
        with vision.ImageClassifier.create_from_options(options) as classifier:
            for path in images:
                image = mediapipe.Image.create_from_file(path)
                (found,) = classifier.classify(image).classifications
                results.append(
                    [
                        {"index": c.index, "name": c.category_name, "score": c.score}
                        for c in found.categories
                    ]
                )
    except (OSError, RuntimeError, ValueError) as error:
        return {"error": " ".join(str(error).split())}
    return {"version": mediapipe.__version__, "results": results}


if __name__ == "__main__":
    json.dump(main(sys.argv[1], sys.argv[2:]), sys.stdout)
