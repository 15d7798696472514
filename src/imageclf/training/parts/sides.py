"""What a run's pictures will be shrunk to, before its model is built: then one decoding serves for all."""

from typing import Any

from imageclf.data.views.geometry import stored_side
from imageclf.model import expected_crop_pct
from imageclf.schedule import Schedule
from imageclf.training.parts.augmentation import build_augmentation


def stored_sides(config: dict[str, Any]) -> dict[int, int]:
    """Return what `stored_side` says for each size of a run; nothing where only the model can tell.

    Raises:
        InputError: a part of the config refuses its values.
    """
    crop_pct = expected_crop_pct(config["model"]["backbone"])
    if crop_pct is None:
        return {}
    node = config["data"]
    sizes = Schedule.from_plain(config["schedule"]["phases"]).sizes(node["size"])
    max_zoom = build_augmentation(config["transforms"]).max_zoom
    return {size: stored_side(size, node["resize"], max_zoom, crop_pct) for size in sorted(sizes)}
