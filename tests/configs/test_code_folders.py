"""Modules of the user's own: found in the folder of the command and in that of --config-dir, only there."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from imageclf import InputError
from imageclf.configs.instantiate import instantiate, locate_target
from imageclf.configs.own_code import code_folders, remember_folders


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Start in an empty folder, and forget afterwards what was found there."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "modules", {**sys.modules})
    monkeypatch.setenv("IMAGECLF_CODE_FOLDERS", "null")
    return tmp_path


def refusal(name: str) -> str:
    with pytest.raises(InputError) as refused:
        locate_target({"_target_": name}, "model.loss")
    return str(refused.value).removeprefix(f"model.loss._target_={name} cannot be imported: ")


def test_a_module_beside_the_user_is_found_and_so_is_what_it_imports_from_there(here: Path) -> None:
    (here / "own_part.py").write_text("from own_base import Base\nclass Part(Base): ...\n")
    (here / "own_base.py").write_text("class Base: ...\n")
    assert locate_target({"_target_": "own_part.Part"}, "model.loss").__name__ == "Part"


def test_a_package_beside_the_user_is_found(here: Path) -> None:
    (here / "own_package").mkdir()
    (here / "own_package/losses.py").write_text("class Loss: ...\n")
    assert locate_target({"_target_": "own_package.losses.Loss"}, "model.loss").__name__ == "Loss"


def test_the_folder_joins_the_path_last_and_only_once_a_module_in_it_is_named(here: Path) -> None:
    (here / "own_part.py").write_text("class Part: ...\n")
    locate_target({"_target_": "torch.nn.Identity"}, "model.head")
    assert str(here) not in sys.path
    locate_target({"_target_": "own_part.Part"}, "model.head")
    assert sys.path[-1] == str(here)


def test_an_installed_package_goes_before_a_file_of_its_name(here: Path) -> None:
    (here / "json.py").write_text("raise SystemExit('it was run')\n")
    said = refusal("json.Loss")
    assert said.endswith(f"has no Loss, and goes before {here}/json.py: give your module another name")
    assert str(here) not in sys.path


def test_the_folder_of_the_configs_is_searched_too(
    here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    configs = tmp_path_factory.mktemp("configs")
    (configs / "own_configs_part.py").write_text("class Part: ...\n")
    remember_folders([f"--config-dir={configs}", "seed=1"])
    assert code_folders() == [here, configs]
    assert locate_target({"_target_": "own_configs_part.Part"}, "model.loss").__name__ == "Part"


def test_a_folder_of_any_name_is_remembered_for_the_processes_that_a_command_starts(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    odd = here / 'at 10:30, "now"'
    odd.mkdir()
    monkeypatch.chdir(odd)
    remember_folders([])
    code = "from imageclf.configs.own_code import code_folders; print(code_folders()[0])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd="/", env=os.environ, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{odd}\n"


def test_a_module_that_is_nowhere_is_refused_with_the_places_and_the_remedy(here: Path) -> None:
    assert refusal("own_nowhere.Loss") == (
        f"no installed package is called own_nowhere, and there is no own_nowhere.py in {here}; start the "
        "command in the folder of your code, give --config-dir=FOLDER, or install the project that has it"
    )


def test_a_class_that_its_module_does_not_have_is_refused_with_the_file(here: Path) -> None:
    (here / "own_part.py").write_text("class Part: ...\n")
    assert refusal("own_part.Loss") == f"{here}/own_part.py has no Loss"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("import not_installed\n", "ModuleNotFoundError: No module named 'not_installed'"),
        ("1 / 0\n", "ZeroDivisionError: division by zero"),
    ],
)
def test_a_module_that_fails_is_refused_with_what_it_raised(here: Path, text: str, reason: str) -> None:
    (here / "own_broken.py").write_text(text)
    assert refusal("own_broken.Loss") == reason


def test_a_function_is_handed_over_itself_with_partial() -> None:
    node = {"_target_": "math.isclose", "_partial_": True, "abs_tol": 1.0}
    assert instantiate(node, "metrics.close")(1, 1.5)
