"""Read four batches in a folder with two workers, and print whether the memory of each is pinned."""

import json
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from presets import preset

from imageclf.data import PictureDataset, Request
from imageclf.data.loader import RequestLoader

if __name__ == "__main__":
    paths = [str(Path(sys.argv[1], f"{number}.png")) for number in range(8)]
    for path in paths:
        Image.new("RGB", (16, 16)).save(path)
    dataset = PictureDataset(paths, np.arange(8), preset("side_on"), "crop", 1.0, 0)
    loader = RequestLoader(dataset, 2, largest=3 * 2 * 16**2, pinned=torch.cuda.is_available())
    requests = [Request(rows, np.zeros(2, dtype=np.int64), 0, 16) for rows in np.arange(8).reshape(4, 2)]
    print(json.dumps([batch.images.is_pinned() for batch in loader.read(requests)]))
