r"""Quantizes the models of a finished float run after training (PTQ), and evaluates them.

  Round-to-nearest at 7 bits, beside the run, where tools.compare lists it:
    python -m tools.quantize_run --run=runs/a/night-trial0/erm --method=rtn --bits=7

  Optimal brain quantization (OBC), which calibrates on training images of the source domains:
    python -m tools.quantize_run --run=runs/a/night-trial0/erm --method=obc --bits=4

The layers that training had wrapped are quantized (every convolution; with --quantize_dense dense
layers too), one step size a channel, the one that rounding loses least with. The new folder is that
of a run, so tools.evaluate, tools.export_tflite and tools.ensemble take it. The same command goes
on with what an interrupted one left, and prints the table of what is finished.

OBC of EfficientNet-Lite0 takes minutes a model, of ResNet-50 hours: 2/3 d^3 operations for each
output channel of d weights.
"""

from pathlib import Path

from absl import flags
from tqdm import tqdm

from qtdog_tf.data import open_domains
from qtdog_tf.evaluation import open_run
from qtdog_tf.evaluation.quantized_report import quantized_table
from qtdog_tf.evaluation.quantized_run import models_of, quantize_run, variant_name
from qtdog_tf.export import calibration_choice
from qtdog_tf.quantization.post_training_settings import OBC, PostTrainingSettings
from tools._flags import define_flags, settings_from_flags
from tools._main import refuse_arguments, run_tool

FLAGS = flags.FLAGS
define_flags(PostTrainingSettings)
flags.DEFINE_string(
    "run", None, "Folder of a float run: <output>/<targets>-trial<k>/erm.", required=True
)
flags.DEFINE_string(
    "output", "", "Folder for the quantized run. Default: named after the method, beside the run."
)
flags.DEFINE_list(
    "models",
    "",
    "Which models of the run (selected_sma, selected, ...). Default: all that there are.",
)


def main(argv: list[str]) -> None:
    """Quantizes what is missing and prints the table."""
    refuse_arguments(argv)
    settings = settings_from_flags(PostTrainingSettings)
    run = open_run(FLAGS.run)
    models = models_of(run, FLAGS.models)
    output = Path(FLAGS.output) if FLAGS.output else run.path.parent / variant_name(run, settings)
    domain_set = open_domains(run.data)
    pixels = None
    if settings.method == OBC and run.owns(domain_set):
        pixels = calibration_choice(
            run, domain_set, settings.calibration_images, settings.calibration_seed
        ).pixels
    with Bars() as bars:
        summary = quantize_run(run, output, settings, models, domain_set, pixels, bars.advance)
    print(quantized_table(summary))
    print(f"\nquantized run: {output}")


class Bars:
    """One progress bar after the other, on a terminal only."""

    def __init__(self) -> None:
        self._bar: tqdm | None = None
        self._name = ""

    def advance(self, name: str, part: int, whole: int) -> None:
        """Shows that `part` more of `whole` is done of what goes by that name."""
        if self._bar is None or name != self._name or self._bar.n >= whole:
            self.close()
            self._name = name
            self._bar = tqdm(total=whole, desc=name, disable=None, leave=False)
        self._bar.update(part)

    def close(self) -> None:
        """Ends the bar that is there."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def __enter__(self) -> "Bars":
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


if __name__ == "__main__":
    run_tool(main)
