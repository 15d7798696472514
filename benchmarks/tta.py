"""Time validation with test-time augmentation against validation without: `python benchmarks/tta.py`.

Five views of each picture cost five forward passes, and each picture is read once for all of them; by
turns, in one process, from the store of shrunk pictures.
"""

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from composed import composed, conclude, on_cpu

from imageclf.evaluation.predicting import mean_of_views, predict
from imageclf.evaluation.tta_presets import weighted_views


def main() -> None:
    """Run the benchmark; the last line of the output is one of JSON with all figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("overrides", nargs="*", help="of imageclf-train: data.size=64 model=resnet34 ...")
    options = parser.parse_args()
    on_cpu(options.threads)
    with tempfile.TemporaryDirectory(prefix="imageclf-tta-") as folder:
        run = composed(Path(folder), options.overrides)
        _, module, data = run.parts
        data.setup("fit")
        trainer, views = run.trainer(), weighted_views("fastai07", 4, None)

        def plain() -> None:
            """Validate as every epoch does."""
            predict(trainer, module, data, "train", data.loading.size, (0,))

        def tta() -> None:
            """Validate with the mean over all views."""
            seen = predict(trainer, module, data, "train", data.loading.size, views.numbers)
            mean_of_views(seen, views.weights)

        jobs: dict[str, Callable[[], None]] = {"tta": tta, "plain": plain}
        seconds: dict[str, list[float]] = {name: [] for name in jobs}
        # The first round fills caches and is not counted.
        for number in range(options.rounds + 1):
            for name, job in jobs.items():
                started = time.perf_counter()
                job()
                if number > 0:
                    seconds[name].append(time.perf_counter() - started)
    conclude(seconds, "tta", "plain", most=5.2)


if __name__ == "__main__":
    main()
