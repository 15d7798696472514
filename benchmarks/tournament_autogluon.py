"""AutoGluon in tournament.py, run by a Python that has autogluon.multimodal; imageclf is not imported here.

`PYTHON tournament_autogluon.py RUN_DIR BATCH_SIZE EPOCHS SEED`; RUN_DIR holds pictures.csv (image, label,
split) and `weights`, a backbone as timm writes it. The last line of the output is one of JSON.
"""

import json
import sys
import time
from pathlib import Path

import pandas as pd
from autogluon.multimodal import MultiModalPredictor


def main() -> None:
    """Train with the preset medium_quality, and print the answers and the seconds of CPU that it took."""
    run_dir = Path(sys.argv[1])
    batch_size, epochs, seed = (int(word) for word in sys.argv[2:])
    table = pd.read_csv(run_dir / "pictures.csv")
    train, valid, hidden = (
        table[table.split == split].drop(columns="split").reset_index(drop=True)
        for split in ("train", "valid", "hidden")
    )
    started = time.process_time()
    predictor = MultiModalPredictor(
        label="label", problem_type="multiclass", presets="medium_quality", path=str(run_dir / "model")
    )
    predictor.fit(
        train,
        tuning_data=valid,
        seed=seed,
        hyperparameters={
            "model.names": ["timm_image"],
            "model.timm_image.checkpoint_name": str(run_dir / "weights"),
            "optim.max_epochs": epochs,
            # A step of its default, 128 pictures, is an epoch here.
            "env.batch_size": batch_size,
            "env.per_gpu_batch_size": batch_size,
            "env.num_gpus": 0,
            "env.num_workers": 0,
            "env.num_workers_inference": 0,
            "env.precision": 32,
        },
    )
    answers = predictor.predict(hidden.drop(columns="label"), as_pandas=False)
    seconds = time.process_time() - started
    print(json.dumps({"answers": [int(each) for each in answers], "seconds": seconds}))


if __name__ == "__main__":
    main()
