"""Features are computed once for the same weights and pictures, also between runs."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as pl
import numpy as np
import pytest
import torch
from PIL import Image
from probes import lines
from small_runs import RECORDER, SMALL, composed, phases, train_small

from imageclf import InputError
from imageclf.callbacks import precompute
from imageclf.callbacks.precompute import compute_features, feature_key, rounding, stored_features
from imageclf.configs import to_plain
from imageclf.data.pictures.cache import entries
from imageclf.training.build import build_parts, build_trainer
from imageclf.training.parts.table import read_table
from imageclf.training.run_config import RunConfig, parse

HEAD = phases(one={"n_cycles": 2, "lr": 1e-2, "unfreeze_to": "head", "augment": False, "precompute": True})


@pytest.fixture(scope="module")
def bitmaps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Draw two classes of ten pictures, all of one size in bytes."""
    root, generator = tmp_path_factory.mktemp("bitmaps"), np.random.default_rng(0)
    for number in range(20):
        path = root / ("dark" if number % 2 else "light") / f"{number:02}.bmp"
        path.parent.mkdir(exist_ok=True)
        pixels = generator.integers(0, 120, (24, 30, 3), dtype=np.uint8) + np.uint8(120 * (number % 2))
        Image.fromarray(pixels).save(path)
    return root


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, torch.Tensor]]:
    """Note whatever features are computed, and compute them."""
    noted: list[tuple[str, torch.Tensor]] = []
    compute = precompute.compute_features

    def note(trainer: Any, module: Any, data: Any, split: Any, size: int, stored: Any) -> torch.Tensor:
        noted.append((split, compute(trainer, module, data, split, size, stored)))
        return noted[-1][1]

    monkeypatch.setattr(precompute, "compute_features", note)
    return noted


@pytest.fixture
def run(bitmaps: Path, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that trains a head on features, in a run directory and with a cache of the test."""

    def train(name: str, *overrides: str, root: Path = bitmaps) -> Path:
        cache = f"data.cache_dir={tmp_path}/cache"
        return train_small(tmp_path / name, root, *HEAD, RECORDER, cache, *overrides)

    return train


def kept(tmp_path: Path) -> dict[str, np.ndarray]:
    """Return the features in the cache by their split; one of each."""
    found = [entry for entry in entries(tmp_path / "cache") if entry.kind == "features"]
    assert len(found) == len({entry.about["split"] for entry in found})
    return {entry.about["split"]: np.load(entry.folder / "features.npy") for entry in found}


def test_a_second_run_computes_no_features_and_trains_to_the_same_bits(run: Any, computed: Any) -> None:
    first = run("first")
    assert sorted(split for split, _ in computed) == ["train", "valid"]
    second = run("second")
    assert len(computed) == 2
    assert lines(first, "epoch") == lines(second, "epoch") != []


def test_kept_features_are_bitwise_those_that_are_computed_without_a_cache(
    run: Any, computed: Any, tmp_path: Path
) -> None:
    run("kept")
    computed.clear()
    run("computed", "data.cache=none")
    assert {split for split, _ in computed} == set(kept(tmp_path)) == {"train", "valid"}
    for split, features in computed:
        np.testing.assert_array_equal(kept(tmp_path)[split], features.numpy())


@pytest.mark.fault("Caches", "Features were kept of other weights of the same name", "They are computed anew")
def test_other_weights_of_the_same_name_are_computed_anew(run: Any, computed: Any) -> None:
    run("first")
    run("second", "seed=1", "data.split_seed=42")
    assert len(computed) == 4
    first, second = (features for split, features in (computed[0], computed[2]))
    assert first.shape == second.shape and not torch.equal(first, second)


def test_pictures_that_change_places_are_computed_anew(
    run: Any, computed: Any, bitmaps: Path, tmp_path: Path
) -> None:
    root = tmp_path / "copies"
    shutil.copytree(bitmaps, root)
    # All are trained on, so that they are where the table has them.
    run("first", "data.valid_pct=0", root=root)
    one, other = root / "dark" / "01.bmp", root / "light" / "10.bmp"
    contents = one.read_bytes(), other.read_bytes()
    assert len(contents[0]) == len(contents[1])
    one.write_bytes(contents[1])
    other.write_bytes(contents[0])
    run("second", "data.valid_pct=0", root=root)
    before, after = (features for _, features in computed)
    changed = (before != after).any(dim=1).nonzero().ravel().tolist()
    assert len(changed) == 2
    torch.testing.assert_close(after[changed], before[changed[::-1]], rtol=1e-5, atol=1e-6)


def test_without_a_cache_nothing_is_written_below_its_folder(run: Any, computed: Any, tmp_path: Path) -> None:
    for name in ("first", "second"):
        run(name, "data.cache=none")
    assert len(computed) == 4 and not (tmp_path / "cache").exists()


Parts = tuple[pl.Trainer, Any, Any]


@pytest.fixture
def parts(bitmaps: Path, tmp_path: Path) -> Callable[..., Parts]:
    """Return a function that builds what features are computed with."""

    def build(*overrides: str) -> Parts:
        typed = [*SMALL, f"data.root={bitmaps}", *HEAD, f"data.cache_dir={tmp_path}/cache", *overrides]
        config = parse(to_plain(composed(typed, tmp_path)), RunConfig)
        pl.seed_everything(config.seed, verbose=False)
        built = build_parts(config, read_table(config.data))
        return build_trainer(config.trainer, 1, tmp_path, []), built.module, built.data

    return build


@pytest.mark.parametrize(
    "override",
    [
        "data.resize=crop",
        "data.resize=random_resized_crop",
        "seed=1",
        "model.backbone=test_resnet",
        "trainer.precision=bf16-mixed",
        "data.split_seed=1",
    ],
)
@pytest.mark.sampled(3)
def test_whatever_changes_features_makes_them_anew(parts: Any, override: str) -> None:
    assert feature_key(*parts(override), "train", 32) != feature_key(*parts(), "train", 32)


def test_features_of_pictures_that_are_shrunk_to_another_size_first_are_others(parts: Any) -> None:
    built = [parts(f"transforms.max_zoom={zoom}") for zoom in (1.1, 2)]
    sides = [data._dataset.side_of(160) for _, _, data in built]
    keys = [feature_key(*each, "train", 160) for each in built]
    assert sides == [200, 320] and keys[0] != keys[1]


@pytest.mark.parametrize(
    "override",
    ["data.batch_size=7", "transforms=fastai2", "model.head.dropout=0.5", "schedule.phases.one.lr=1"],
)
@pytest.mark.sampled(3)
def test_what_changes_no_features_leaves_them_as_they_are(parts: Any, override: str) -> None:
    assert feature_key(*parts(override), "train", 32) == feature_key(*parts(), "train", 32)


def test_features_of_another_size_or_split_are_others(parts: Any) -> None:
    built = parts()
    assert len({feature_key(*built, split, size) for split in ("train", "valid") for size in (32, 48)}) == 4


@pytest.mark.parametrize(
    ("key", "two_alike", "other"),
    [
        ("data.cache", ("raw", "none"), "jpeg"),
        # On the device, views are resampled otherwise.
        ("data.device_store", ("off", "auto"), "on"),
    ],
)
def test_features_of_other_pixels_are_others(
    parts: Any, key: str, two_alike: tuple[str, str], other: str
) -> None:
    keys = []
    for value in (*two_alike, other):
        trainer, module, data = parts(f"{key}={value}")
        data.setup("fit")
        keys.append(feature_key(trainer, module, data, "train", 32))
    assert keys[0] == keys[1] != keys[2]


@pytest.mark.parametrize("part", ["mean", "std"])
def test_features_of_pictures_that_are_normalised_otherwise_are_others(parts: Any, part: str) -> None:
    built = parts()
    before = feature_key(*built, "train", 32)
    getattr(built[1].model, part).mul_(1.01)
    assert feature_key(*built, "train", 32) != before


HALF = "callbacks.precompute.stored=float16"


def test_half_precision_is_stored_and_rounds_to_three_digits(run: Any, tmp_path: Path) -> None:
    run("whole")
    whole = kept(tmp_path)
    shutil.rmtree(tmp_path / "cache")
    run("half", HALF)
    half = kept(tmp_path)
    assert {features.dtype for features in half.values()} == {np.dtype(np.float16)}
    for split, features in whole.items():
        np.testing.assert_allclose(half[split], features, rtol=1e-3, atol=1e-4)


@pytest.mark.long
def test_half_precision_is_the_same_from_the_store_and_without_one(run: Any) -> None:
    fresh, found, none = run("fresh", HALF), run("found", HALF), run("none", HALF, "data.cache=none")
    assert lines(fresh, "epoch") == lines(found, "epoch") == lines(none, "epoch") != []


@pytest.fixture
def on_card(monkeypatch: pytest.MonkeyPatch) -> Callable[..., dict[str, Any]]:
    """Return a function that says how features round on a card that is not there."""

    def of(
        card: str = "H100", exact: bool = False, matmul: str = "high", tf32: bool = True
    ) -> dict[str, Any]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(torch, "are_deterministic_algorithms_enabled", lambda: exact)
            patch.setattr(torch, "get_float32_matmul_precision", lambda: matmul)
            patch.setattr(torch.backends.cudnn, "allow_tf32", tf32)
            patch.setattr(torch.cuda, "get_device_name", lambda device: card)
            return rounding(torch.device("cuda"), torch.nn.Conv2d(3, 4, 3))

    return of


@pytest.mark.parametrize(
    "change", [{"matmul": "highest"}, {"tf32": False}, {"exact": True}, {"exact": True, "card": "A100"}]
)
def test_features_of_a_gpu_know_how_they_were_rounded(on_card: Any, change: dict[str, Any]) -> None:
    assert on_card(**change) not in (on_card(), on_card(exact=True, matmul="high") if len(change) > 1 else {})


def test_the_fast_path_takes_features_of_any_card(on_card: Any) -> None:
    assert on_card(card="A100") == on_card(card="H100")


def test_features_of_a_gpu_are_not_those_of_the_cpu(on_card: Any) -> None:
    assert rounding(torch.device("cpu"), torch.nn.Conv2d(3, 4, 3))["device"] != on_card()["device"]


@pytest.mark.parametrize("override", ["model.channels_last=false", "model.compile=eager"])
def test_features_of_other_kernels_are_others(parts: Any, override: str) -> None:
    assert feature_key(*parts(override), "train", 32) != feature_key(*parts(), "train", 32)


def test_features_in_half_precision_are_others(parts: Any) -> None:
    built = parts()
    assert feature_key(*built, "train", 32, "float16") != feature_key(*built, "train", 32)


@pytest.mark.fault("Caches", "A feature does not fit half precision", "It is refused, with the key")
def test_a_feature_beyond_half_precision_is_refused(parts: Any) -> None:
    trainer, module, data = parts()
    data.setup("fit")
    with torch.no_grad():
        # Random weights see next to nothing in noise; the last norm makes it much.
        module.model.backbone.bn2.bias.fill_(1e5)
    compute_features(trainer, module, data, "train", 32)
    with pytest.raises(InputError, match=r"^callbacks\.precompute\.stored=float16: a feature is not finite"):
        compute_features(trainer, module, data, "train", 32, "float16")


def test_features_that_were_kept_are_mapped_not_read(run: Any, parts: Any) -> None:
    run("first")
    trainer, module, data = parts()
    data.setup("fit")
    stored = stored_features(trainer, module, data, "train", 32)
    assert f"features/{feature_key(trainer, module, data, 'train', 32)}/features.npy" in mapped_files()
    # What is compared keeps the mapping alive until here.
    torch.testing.assert_close(stored, compute_features(trainer, module, data, "train", 32), rtol=0, atol=0)


def mapped_files() -> str:
    return Path("/proc/self/maps").read_text()
