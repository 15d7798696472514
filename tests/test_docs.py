"""Every command of the README, of the guides and of the page on GPUs is one that works."""

import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.errors import ConfigCompositionException
from omegaconf import DictConfig
from warm_start import WarmStart

from imageclf.configs import CONF_DIR
from imageclf.training.check_keys import check

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
# Pages whose commands run one after the other, in one folder.
GUIDES = (
    "README",
    "docs/data",
    "docs/lesson",
    "docs/sweeps",
    "docs/resume",
    "docs/predict",
    "docs/run-directory",
)
PAGES = {name: (ROOT / f"{name}.md").read_text(encoding="utf-8") for name in GUIDES}


def commands_of(page: str) -> list[str]:
    """Return the commands of a page's blocks of shell."""
    blocks = re.findall(r"```bash\n(.*?)```", page, re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line]


# A page may repeat a command of another one.
COMMANDS = list(dict.fromkeys(command for page in PAGES.values() for command in commands_of(page)))
# tests/commands/test_new.py runs imageclf-new.
HYDRA = [each for each in COMMANDS if each.startswith("imageclf-") and not each.startswith("imageclf-new")]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
GPU_PAGE = (ROOT / "docs/gpu.md").read_text(encoding="utf-8")
GPU_COMMANDS = re.findall(r"^imageclf-.*$", GPU_PAGE, re.MULTILINE)
GPU_KEYS = sorted(set(re.findall(r"`((?:trainer|data|model)[a-z_.]*=[^`]+)`", GPU_PAGE)))
MAINS = {
    "imageclf-train": "train",
    "imageclf-plan": "plan",
    "imageclf-lr-find": "lr_find",
    "imageclf-batch-size": "batch_size",
    "imageclf-predict": "predict",
    "imageclf-analyse": "analyse",
    "imageclf-cache": "cache",
    "imageclf-collect": "collect",
    "imageclf-export": "export",
    "imageclf-prefetch": "prefetch",
}
# Commands with keys of their own, not those of a training.
OUTSIDE = ("imageclf-predict", "imageclf-cache", "imageclf-collect", "imageclf-export", "imageclf-prefetch")

# Made small, but otherwise as the README has them.
SMALL = [
    "model.backbone=test_efficientnet",
    "model.weights=none",
    "data.size=32",
    "data.num_workers=0",
    "callbacks.lr_finder.num_steps=4",
    "trainer.accelerator=cpu",
]


@pytest.mark.parametrize("name", GUIDES)
def test_each_page_holds_commands(name: str) -> None:
    assert commands_of(PAGES[name])


def test_all_commands_are_known() -> None:
    others = {command.split()[0] for command in COMMANDS if command not in HYDRA}
    assert others == {"imageclf-new", "make", "torchrun"}
    assert {command.split()[0] for command in HYDRA} == set(MAINS)


def test_the_first_command_comes_early_in_the_readme() -> None:
    lines = README.splitlines()
    assert next(number for number, line in enumerate(lines, 1) if line.startswith("```")) <= 25


@pytest.mark.parametrize("target", ["demo", "test", "test-all", "check", "rename"])
def test_make_knows_the_target(target: str) -> None:
    dry = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=False)
    assert dry.returncode == 0, dry.stderr


def test_the_page_on_gpus_holds_commands_and_keys() -> None:
    assert len(GPU_COMMANDS) == 8
    assert len(GPU_KEYS) > 8


@pytest.mark.parametrize("override", GPU_KEYS)
@pytest.mark.sampled(3)
def test_a_key_that_the_page_on_gpus_names_passes_the_check(
    override: str, composed: Callable[..., DictConfig]
) -> None:
    from omegaconf import OmegaConf

    from imageclf.configs.entry import with_plus
    from imageclf.training.run_config import RunConfig

    try:
        cfg = composed(override)
    except ConfigCompositionException as error:
        # As the command does with what the YAML leaves out.
        cfg = composed(*with_plus([override], error))
    check(OmegaConf.to_container(cfg, resolve=True), RunConfig)


@pytest.fixture(scope="module")
def laid_out(tmp_path_factory: pytest.TempPathFactory, pictures: Path) -> Path:
    """Return a folder with the pictures that the README names."""
    folder = tmp_path_factory.mktemp("readme")
    lay_out(folder, pictures)
    return folder


@pytest.mark.parametrize("command", [*HYDRA, *GPU_COMMANDS])
@pytest.mark.sampled(3)
def test_the_command_composes_and_passes_the_check(
    command: str, composed: Callable[..., DictConfig], laid_out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from omegaconf import OmegaConf

    from imageclf.commands.batch_size import BatchSizeConfig
    from imageclf.commands.cache import CacheOptions
    from imageclf.commands.collect import CollectOptions
    from imageclf.commands.export import ExportOptions
    from imageclf.commands.lr_find import LrFindConfig
    from imageclf.commands.predict_options import PredictOptions
    from imageclf.commands.prefetch import PrefetchOptions
    from imageclf.training.run_config import RunConfig

    main, *words = shlex.split(command)
    monkeypatch.chdir(laid_out)
    # A sweep's values are tried one by one by the sweeper; the first stands for them here.
    overrides = [re.sub(r"=([^\[,]+),.*", r"=\1", word) for word in words if word != "-m"]
    folder = Path(CONF_DIR, "commands")
    folder = folder if (folder / f"{MAINS[main]}.yaml").exists() else Path(CONF_DIR)
    plain = OmegaConf.to_container(composed(*overrides, name=MAINS[main], folder=str(folder)), resolve=True)
    options = {
        "imageclf-lr-find": LrFindConfig,
        "imageclf-batch-size": BatchSizeConfig,
        "imageclf-predict": PredictOptions,
        "imageclf-cache": CacheOptions,
        "imageclf-collect": CollectOptions,
        "imageclf-export": ExportOptions,
        "imageclf-prefetch": PrefetchOptions,
    }
    check(plain, options.get(main, RunConfig))


@pytest.mark.parametrize(
    "path", sorted(set(re.findall(r"`(conf/[a-z_/.]*)`", "".join(PAGES.values()) + ARCHITECTURE)))
)
def test_a_config_that_a_page_names_exists(path: str) -> None:
    assert (ROOT / path).exists()


@pytest.mark.parametrize("path", sorted(set(re.findall(r"\((docs/[a-z_/.-]*)\)", README))))
def test_a_file_that_the_readme_links_exists(path: str) -> None:
    assert (ROOT / path).is_file()


def test_the_footer_of_the_site_names_whom_the_licence_names() -> None:
    settings = runpy.run_path(str(ROOT / "docs/conf.py"))
    assert (
        f"Copyright (c) {settings['project_copyright']}" in (ROOT / "LICENSE").read_text("utf-8").splitlines()
    )


@pytest.mark.long
def test_the_guides_run_from_the_first_command_to_the_last(
    tmp_path: Path, pictures: Path, warm_start: WarmStart, tmp_path_factory: pytest.TempPathFactory
) -> None:
    lay_out(tmp_path, pictures)
    outputs = tmp_path_factory.mktemp("outputs")
    # Those for a cluster need one: docs/cluster.md is run in tests/cluster.
    for command in (each for each in HYDRA if "cluster=slurm" not in each):
        main, *words = shlex.split(command)
        small = [] if main in OUTSIDE else [word for word in SMALL if not names_same(word, words)]
        script = str(Path(sys.executable).with_name(main))
        run = warm_start.run([script, *words, *small], tmp_path, os.environ, outputs)
        assert run.returncode == 0, f"{command}\n{run.stderr}"
    assert (tmp_path / "runs/mine/report.html").exists()
    assert len(list((tmp_path / "runs/train").glob("*/[0-3]/summary.json"))) == 4
    assert (tmp_path / "runs/mine/predictions/NEW.csv").exists()
    assert (tmp_path / "runs/mine/export/onnx/model.onnx").exists()
    assert (tmp_path / "runs/collect.html").exists()


def names_same(override: str, words: list[str]) -> bool:
    """Return whether the command sets the key itself; backbone and size are made small all the same."""
    key = override.partition("=")[0]
    return key not in ("model.backbone", "data.size") and any(word.startswith(f"{key}=") for word in words)


def lay_out(folder: Path, pictures: Path) -> None:
    """Put pictures where the README's placeholders name them."""
    shutil.copytree(pictures, folder / "PICTURES")
    for split in ("train", "valid"):
        shutil.copytree(pictures, folder / "FOLDERS" / split)
    (folder / "TABLE/train").mkdir(parents=True)
    (folder / "NEW").mkdir()
    rows = ["id,label"]
    for path in sorted(pictures.glob("*/*.png")):
        name = f"{path.parent.name}-{path.stem}"
        # The bytes are PNG whatever the suffix; what reads them looks at the bytes.
        shutil.copy(path, folder / "TABLE/train" / f"{name}.jpg")
        rows.append(f"{name},{path.parent.name}")
    shutil.copy(path, folder / "NEW")
    (folder / "TABLE/labels.csv").write_text("\n".join(rows) + "\n")
