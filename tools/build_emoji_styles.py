r"""Builds the data set emoji_styles at any size from the npm packages that its drawings come from.

    pip install resvg-py
    python -m tools.build_emoji_styles --packages=downloads --download --size=224 --output=emoji_224

The packages (22 MB) are the .tgz files of `npm pack`; --download runs npm for those that are
missing. The classes of the code points are those of the data set inside the package. Train on the
result with --data=emoji_224.
"""

import subprocess
import sys
from pathlib import Path

from absl import flags

from qtdog_tf.data.archive import pack_folder
from qtdog_tf.data.embedded import emoji_styles_root
from qtdog_tf.data.emoji_build import ATTRIBUTIONS, build_emoji_styles, resvg_renderer
from qtdog_tf.data.emoji_packages import PACKAGES, read_drawings
from qtdog_tf.data.folders import read_folder
from qtdog_tf.errors import UserError
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
flags.DEFINE_string("packages", "emoji_packages", "Folder of the .tgz files.")
flags.DEFINE_bool("download", False, "Get packages that are missing there with `npm pack`.")
flags.DEFINE_string("output", None, "Folder to write; must not exist.", required=True)
flags.DEFINE_integer("size", 64, "Edge of the images in pixels.", 8, 1024)
flags.DEFINE_integer("colours", 64, "Palette of each image; 0 keeps all colours.", 0, 256)
flags.DEFINE_string("archive", "", "Also pack the folder into this .zip, with reproducible bytes.")


def main(argv: list[str]) -> None:
    """Builds the folder and says what is in it."""
    refuse_arguments(argv)
    render = resvg_renderer()
    packages, output = Path(FLAGS.packages), Path(FLAGS.output)
    if FLAGS.download:
        download(packages)
    root = emoji_styles_root()
    counts = build_emoji_styles(
        read_folder(root),
        read_drawings(packages),
        output,
        size=FLAGS.size,
        colours=FLAGS.colours,
        attributions=describe((root / ATTRIBUTIONS).read_text(encoding="utf-8")),
        render=render,
    )
    print(f"{output}: " + ", ".join(f"{domain} {n} images" for domain, n in counts.items()))
    if FLAGS.archive:
        pack_folder(output, FLAGS.archive)
        print(f"packed into {FLAGS.archive}")


def describe(attributions: str) -> str:
    """Puts the size and the colours of these images into the text of the embedded ones."""
    colours = f"reduced to {FLAGS.colours} colours" if FLAGS.colours else "kept in all colours"
    return attributions.replace("64 x 64", f"{FLAGS.size} x {FLAGS.size}").replace(
        "reduced to 64 colours", colours
    )


def download(folder: Path) -> None:
    """Runs `npm pack` for the packages that are not in the folder.

    Raises:
        UserError: if npm is not installed or fails.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for package in PACKAGES:
        if (folder / package.file_name).exists():
            continue
        print(f"downloading {package.spec} ...", file=sys.stderr)
        command = ["npm", "pack", "--silent", package.spec, "--pack-destination", str(folder)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, check=False)
        except FileNotFoundError as error:
            raise UserError("--download takes npm, which is not installed") from error
        if done.returncode:
            reason = (done.stderr.strip() or done.stdout.strip() or "no message").splitlines()[-1]
            raise UserError(f"`npm pack {package.spec}` failed: {reason}")


if __name__ == "__main__":
    run_tool(main)
