"""A run directory that anyone may have written: opening it runs no code, and what is odd is one sentence."""

import copy
import json
import os
import shutil
import time
import zipfile

import pytest
import torch
import yaml

from imageclf.configs.saved.untrusted import MAX_CONFIG_BYTES

CODE = [
    "os.system", "subprocess.Popen", "builtins.exec", "builtins.eval", "pandas.read_pickle", "pickle.loads",
    "numpy.load", "torch.load", "torch.hub.load", "torch.utils.cpp_extension.load_inline",
    "torch.nn.modules.module.torch.load", "timm.layers.os.system", "timm.models.load_checkpoint",
    "imageclf.data.pictures.decode.Path.write_text", "imageclf.model.head.nn.Module",
    "pathlib.Path.write_text",
    "hydra.utils.instantiate", "hydra.utils.get_method", "lightning.pytorch.cli.LightningCLI",
    "shutil.rmtree", "functools.partial", "canary_module.Canary", "canary_module",
    "torch.nn.Parameter", "timm.layers.create_norm_layer", "imageclf.worker.run", "", ".",
    "a b", "torch.nn..Linear",
]  # fmt: skip


@pytest.fixture
def canary(tmp_path, monkeypatch):
    """Put a module on the path that leaves a file when it is imported, and return that file."""
    (tmp_path / "path").mkdir()
    left = tmp_path / "canary"
    text = f"from pathlib import Path\nPath({str(left)!r}).touch()\nclass Canary: ...\n"
    (tmp_path / "path" / "canary_module.py").write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path / "path"))
    monkeypatch.setenv("SECRET", "s3cr3t")
    return left


@pytest.fixture
def hostile(finished_run, tmp_path):
    """Return a copy of a finished run."""
    return shutil.copytree(finished_run, tmp_path / "run")


@pytest.fixture
def refused(command, hostile, dataset, canary, tmp_path):
    """Return a function that opens the copy by a command, and returns the sentence that refuses it."""

    def run(name, *arguments):
        given = {
            "predict": (f"data={dataset}/valid/red", f"output={tmp_path}/x.csv"),
            "export": ("format=timm", f"output={tmp_path}/out"),
        }[name]
        # Of this process, whatever else the machine does; the file is refused before another one starts.
        began = time.process_time()
        outcome = command(name, f"run={hostile}", *given, *arguments)
        assert time.process_time() - began < 10
        assert not canary.exists()
        assert "Traceback" not in outcome.err
        assert "s3cr3t" not in outcome.out + outcome.err
        assert (outcome.code, len(outcome.mistakes)) == (1, 1), outcome
        return outcome.mistakes[0]

    return run


def spoil(run_dir, **values):
    """Set values of config.yaml by dotted keys, `__` for the dots."""
    path = run_dir / "config.yaml"
    config = yaml.safe_load(path.read_text())
    for key, value in values.items():
        *outer, last = key.split("__")
        node = config
        for name in outer:
            node = node[name]
        node[last] = copy.deepcopy(value)
    path.write_text(yaml.safe_dump(config))


@pytest.mark.parametrize("target", CODE)
@pytest.mark.sampled(5)
@pytest.mark.fault(
    "Files of strangers",
    "A run's `config.yaml` names code, such as `os.system` or `torch.load`",
    "It is refused, with the way to allow it",
)
def test_a_head_of_other_code_is_not_built(target, hostile, refused):
    spoil(hostile, model__head={"_target_": target, "command": "touch canary"})
    assert "model.head._target_" in refused("predict")


def test_the_sentence_says_how_to_allow_it(hostile, refused):
    spoil(hostile, model__head={"_target_": "mine.heads.Wide"})
    assert "trust=[mine.heads]" in refused("export")


@pytest.mark.parametrize("saved", ["all", ["canary_module"]])
@pytest.mark.fault(
    "Files of strangers", "A run's `config.yaml` says that it is trusted", "That counts for nothing"
)
def test_a_run_cannot_trust_itself(saved, hostile, refused):
    spoil(hostile, trust=saved, model__head={"_target_": "canary_module.Canary"})
    assert "canary_module.Canary" in refused("predict")


def test_trust_in_one_module_is_none_in_another(hostile, refused):
    spoil(hostile, model__head={"_target_": "canary_module.Canary"})
    assert "canary_module.Canary" in refused("predict", "trust=[canary,mine]")


@pytest.mark.parametrize(
    "extra",
    [{"_target_": "canary_module.Canary"}, [{"_target_": "os.system"}], {"a": {"_target_": "os.system"}}],
)
def test_a_transform_of_other_code_is_not_built(extra, hostile, refused):
    spoil(hostile, transforms__extra=extra)
    assert "transforms.extra" in refused("predict", "tta=fastai07")


@pytest.mark.parametrize(
    "head",
    [
        {"_target_": "imageclf.model.LinearHead", "dropout": {"_target_": "os.system"}},
        {"_target_": "imageclf.model.LinearHead", "dropout": [{"_target_": "os.system"}]},
        {"_target_": "imageclf.model.LinearHead", "dropout": "${oc.env:SECRET}"},
        {"_target_": "imageclf.model.LinearHead", "dropout": 0.0, "_args_": ["${oc.env:SECRET}"]},
        {"_target_": "imageclf.model.LinearHead", "dropout": "${in_clone:data/stamps}"},
        {"_target_": "${oc.env:SECRET}"},
        {"_target_": ["torch.nn.Linear"]},
        {"_target_": 3},
        {"dropout": 0.0},
        {"_target_": "imageclf.model.LinearHead", "dropout": "a"},
        {"_target_": "imageclf.model.LinearHead", "dropout": 0.0, "nonsense": 1},
        {"_target_": "torch.nn.Linear", "out_features": 10**15, "in_features": 10**6},
        {"_target_": "torch.nn.Identity"},
        "torch.nn.Linear",
        None,
        [],
    ],
)
@pytest.mark.sampled(4)
def test_a_head_that_no_training_has_written_is_one_sentence(head, hostile, refused):
    spoil(hostile, model__head=head)
    refused("predict")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("model__backbone", "hf-hub:someone/model"),
        ("model__backbone", "local-dir:/tmp"),
        ("model__backbone", "${oc.env:SECRET}"),
        ("model__backbone", ["resnet34"]),
        ("model__backbone", "../../etc/passwd"),
        ("model__channels_last", "yes please"),
        ("data__resize", "stretch"),
        ("data__size", -1),
        ("data__size", 10**9),
        ("data__size", "32"),
        ("schedule__phases", {}),
        ("schedule__phases", {"a": {"size": 10**9}}),
        ("schedule__phases", {"a": {"size": [[1]]}}),
        ("schedule__phases", "head"),
        ("seed", "42"),
        ("transforms", "none"),
        ("transforms__max_zoom", "a"),
    ],
)
@pytest.mark.sampled(4)
def test_a_value_that_no_training_has_written_is_one_sentence(key, value, hostile, refused):
    spoil(hostile, **{key: value})
    refused("predict")


BOMB = "a: &a [x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (BOMB, "alias"),
        ("a: &a\n  b: *a\n", "alias"),
        ("[" * 100_000, "damaged"),
        ("[" * 100 + "]" * 100, "levels"),
        ("{a: " * 40_000, "levels"),
        ("x: 1\n" + "#" * MAX_CONFIG_BYTES, "bytes"),
        ("- 1\n" * 100_000, "values"),
        ("a: !!python/object/apply:os.system ['touch canary']\n", "damaged"),
        ("a: !!python/name:os.system\n", "damaged"),
        ("a: " + "1" * 100_000, "damaged"),
        ("a: 1\na: 2\n", "damaged"),
        ("a: 2001-99-99\n", ""),
        ("? [a, b]\n: 1\n", ""),
        ("1: 2\n", "is not a text"),
        ("just words", "not a mapping"),
        ("", "not a mapping"),
        ("a: [\x00]", "damaged"),
        ("'unfinished", "damaged"),
        ("model: " + "${" * 20_000, "model"),
    ],
)
@pytest.mark.sampled(3)
@pytest.mark.fault(
    "Files of strangers",
    "A run's `config.yaml` is an alias bomb, 100,000 levels deep, or no YAML",
    "It is refused at once",
)
def test_a_config_that_is_none_is_one_sentence(text, said, hostile, refused):
    (hostile / "config.yaml").write_text(text)
    assert said in refused("predict")


def test_a_config_of_odd_bytes_is_one_sentence(hostile, refused):
    (hostile / "config.yaml").write_bytes(b"\xff\xfe\x00")
    assert "damaged" in refused("predict")


def candidates(files, best="final"):
    return json.dumps({"best": best, "candidates": {"final": {"files": files}}})


@pytest.mark.parametrize(
    "text",
    [
        candidates(["../../../../../etc/hostname"]),
        candidates(["/etc/hostname"]),
        candidates(["..\\final.ckpt"]),
        candidates([".."]),
        candidates([""]),
        candidates(["final.ckpt\0"]),
        candidates([{"a": 1}]),
        candidates([]),
        candidates("final.ckpt"),
        candidates(["missing.ckpt"]),
        candidates(["candidates.json"]),
        candidates(["n" * 5000]),
        candidates(["final.ckpt"], best=["final"]),
        '{"best": "final", "candidates": []}',
        '{"best": "final", "candidates": {"final": "final.ckpt"}}',
        '{"best": "other", "candidates": {"final": {"files": ["final.ckpt"]}}}',
        "[]",
        "{}",
        "",
        "[" * 200_000,
        "9" * 100_000,
        "{",
    ],
)
@pytest.mark.sampled(3)
@pytest.mark.fault("Files of strangers", "`candidates.json` names `../../../etc/hostname`", "It is refused")
def test_a_list_of_candidates_that_is_none_is_one_sentence(text, hostile, refused):
    (hostile / "snapshots" / "candidates.json").write_text(text)
    refused("predict")


@pytest.mark.parametrize("size", [10**9, "32", None, [32], True, 32.5, -1])
def test_a_size_that_the_run_has_not_used_is_one_sentence(size, hostile, refused):
    (hostile / "summary.json").write_text(json.dumps({"size": size}))
    assert "size" in refused("predict")


@pytest.mark.parametrize("name", ["summary.json", "config.yaml", "snapshots/final.ckpt"])
@pytest.mark.parametrize("kind", ["pipe", "folder", "link to a device"])
@pytest.mark.sampled(4)
@pytest.mark.fault(
    "Files of strangers", "A file of a run is a pipe, a folder or a device", "It is not opened"
)
def test_what_is_no_file_is_not_opened(kind, name, hostile, refused):
    (hostile / name).unlink()
    if kind == "pipe":
        os.mkfifo(hostile / name)
    elif kind == "folder":
        (hostile / name).mkdir()
    else:
        (hostile / name).symlink_to("/dev/zero")
    refused("predict", "weights=final")


def test_a_link_out_of_the_snapshots_is_not_followed(hostile, refused, finished_run):
    (hostile / "snapshots" / "final.ckpt").unlink()
    (hostile / "snapshots" / "final.ckpt").symlink_to(finished_run / "snapshots" / "final.ckpt")
    assert "is a link" in refused("predict", "weights=final")


class _Evil:
    def __reduce__(self):
        return (os.system, ("touch canary",))


def packed(path):
    """Pack the entries of a file of weights, as a bomb would."""
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name, content)


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without_classes(path):
    content = torch.load(path, weights_only=True)
    torch.save({"state_dict": content["state_dict"]}, path)


def of_other_classes(path):
    content = torch.load(path, weights_only=True)
    torch.save(content | {"classes": ["a", "b"]}, path)


@pytest.mark.parametrize(
    "mend",
    [
        packed,
        cut,
        without_classes,
        of_other_classes,
        lambda path: torch.save(_Evil(), path),
        lambda path: torch.save({"classes": ["a", "b"], "state_dict": _Evil()}, path),
        lambda path: torch.save({"classes": ["a", "b", "c"], "state_dict": {1: 2}}, path),
        lambda path: torch.save({"classes": "abc", "state_dict": {}}, path),
        lambda path: torch.save([], path),
        lambda path: torch.save(torch.nn.Linear(1, 1), path),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\x80\x04cos\nsystem\n(S'touch canary'\ntR."),
    ],
)
@pytest.mark.parametrize("main", ["predict", "export"])
@pytest.mark.sampled(5)
@pytest.mark.fault(
    "Files of strangers", "A file of weights holds code, is packed, cut or of another model", "It is refused"
)
def test_a_file_of_weights_that_is_none_is_one_sentence(main, mend, hostile, refused):
    mend(hostile / "snapshots" / "final.ckpt")
    assert "final.ckpt" in refused(main, "weights=final")


def test_a_run_of_another_machine_is_predicted_and_exported_here(
    hostile, command, dataset, tmp_path, finished_run
):
    # What its trainer, its loggers and its loss were is none of a prediction's business.
    spoil(
        hostile,
        trainer={
            "_target_": "canary_module.Canary", "accelerator": "gpu", "precision": "16-mixed",
            "strategy": "ddp", "devices": 4, "num_nodes": 2, "deterministic": True,
            "profiler": {"_target_": "os.system"},
        },
        logger={"own": {"_target_": "lightning.pytorch.loggers.WandbLogger", "project": "${oc.env:NOT_SET}"}},
        model__compile="inductor",
        model__weights="${oc.env:NOT_SET}",
        model__loss={"_target_": "canary_module.Canary"},
        model__optimizer={"_target_": "canary_module.Canary"},
        model__mixing={"_target_": "canary_module.Canary"},
        callbacks={"own": {"_target_": "canary_module.Canary"}},
        data__cache_dir="/nowhere",
    )  # fmt: skip
    written = []
    for number, run in enumerate((finished_run, hostile)):
        arguments = (f"data={dataset}/valid", f"output={tmp_path}/{number}.csv", "weights=final")
        assert command("predict", f"run={run}", *arguments).code == 0
        written.append((tmp_path / f"{number}.csv").read_bytes())
        form = ("format=timm", f"output={tmp_path}/out{number}", "weights=final")
        assert command("export", f"run={run}", *form).code == 0
    assert written[0] == written[1]
    exported = [(tmp_path / f"out{number}" / "model.safetensors").read_bytes() for number in (0, 1)]
    assert exported[0] == exported[1]


@pytest.mark.parametrize(
    "trust", ["trust=[own_heads]", "trust=own_heads", "trust=all", "trust=[own_heads.Wide]"]
)
def test_a_head_of_the_users_own_is_built_where_it_is_trusted(
    trust, hostile, command, dataset, tmp_path, monkeypatch
):
    (tmp_path / "own_heads.py").write_text(
        "from imageclf.model import LinearHead\nclass Wide(LinearHead): ...\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    spoil(hostile, model__head___target_="own_heads.Wide")
    outcome = command("predict", f"run={hostile}", f"data={dataset}/valid", f"output={tmp_path}/x.csv", trust)
    assert (outcome.code, outcome.mistakes) == (0, [])
