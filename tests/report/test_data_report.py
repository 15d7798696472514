import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from imageclf.analysis.balance import class_balance
from imageclf.analysis.problems import find_problems, find_twins
from imageclf.report.data_numbers import data_cards, data_sentence
from imageclf.report.data_page import DataAnalysis, write_data_report
from imageclf.report.plots.sheet import NUM_VIEWS, Sample

CLASSES = ["<b>cat</b>", "dog & co"]
COLUMNS = ["id", "path", "label", "split", "width", "height", "bytes", "format", "mode", "frames", "fault"]


class Page(HTMLParser):
    """Collects what a browser would show and load."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.words, self.addresses, self.anchors = [], [], [], set()
        self.feed(path.read_text(encoding="utf-8"))
        self.text = re.sub(r"\s+", " ", " ".join(self.words))

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href")]
        self.anchors |= {value for name, value in attrs if name == "id"}

    def handle_data(self, data):
        if "style" not in self.tags[-1:]:
            self.words.append(data)

    def pictures(self, kind):
        return sum(address.startswith(f"data:image/{kind}") for address in self.addresses)


def draw(folder, count):
    """Draw pictures and return their table: classes in turn, every fifth for validation."""
    rows = []
    for number in range(count):
        path = folder / f"{number}.png"
        pixels = np.random.default_rng(number).integers(0, 256, (70, 90, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
        split = "valid" if number % 5 == 4 else "train"
        rows.append((str(number), str(path), CLASSES[number % 2], split, 90, 70, 1, "PNG", "RGB", 1, ""))
    return pd.DataFrame(rows, columns=COLUMNS)


def analysis_of(pictures, size=64, pixels=None, samples=(), appearances=None, **given):
    keys = pixels or [str(row).encode() for row in range(len(pictures))]
    twins = find_twins(keys, appearances or [b""] * len(keys))
    ids = pictures["id"].tolist()
    pictures = pictures.assign(
        same_as=[ids[row] if row >= 0 else "" for row in twins.same],
        like=[ids[row] if row >= 0 else "" for row in twins.like],
    )
    defaults = {
        "root": str(Path(pictures["path"][0]).parent),
        "size": size,
        "warning": "",
        "samples": samples,
        "config": "root: <pictures>\n",
    }
    found = find_problems(pictures, twins, size)
    return DataAnalysis(pictures=pictures, classes=CLASSES, problems=found, **(defaults | given))


def balance_of(analysis):
    return class_balance(analysis.pictures, analysis.classes)


def written(folder, analysis):
    return Page(write_data_report(analysis, folder))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    views = np.random.default_rng(0).integers(0, 256, (NUM_VIEWS, 64, 64, 3), dtype=np.uint8)
    whole = np.zeros((70, 90, 3), dtype=np.uint8)
    samples = [Sample("$a_b^$", whole, views), Sample("dog", whole, views)]
    return analysis_of(draw(tmp_path_factory.mktemp("sound"), 10), samples=samples)


@pytest.fixture(scope="module")
def troubled(tmp_path_factory):
    """Thirty pictures, tiny for the size; the first two are one, and the third has gone."""
    folder = tmp_path_factory.mktemp("troubled")
    pictures = draw(folder, 30)
    pictures.loc[2, ["path", "fault"]] = [str(folder / "gone.png"), "there is no such file"]
    keys = [b"0", b"0", b"", *(str(row).encode() for row in range(3, 30))]
    return analysis_of(pictures, size=300, pixels=keys)


@pytest.fixture(scope="module")
def report(sound, tmp_path_factory):
    """The folder of the sound data set's report."""
    return write_data_report(sound, tmp_path_factory.mktemp("report")).parent


@pytest.fixture(scope="module")
def sound_page(report):
    return Page(report / "analysis.html")


@pytest.fixture(scope="module")
def troubled_page(troubled, tmp_path_factory):
    return written(tmp_path_factory.mktemp("report"), troubled)


def test_tables_plots_and_page_are_written(sound, tmp_path):
    folder = tmp_path / "out"
    assert write_data_report(sound, folder) == folder / "analysis.html"
    plots, tables = (
        ("sizes.png", "balance.png", "augmented.png"),
        ("pictures.csv", "classes.csv", "problems.csv"),
    )
    assert {path.name for path in folder.iterdir()} == {*plots, *tables, "analysis.html"}
    assert all((folder / name).read_bytes().startswith(b"\x89PNG") for name in plots)


def test_the_tables_can_be_read_back(sound, report):
    read = pd.read_csv(report / "pictures.csv", keep_default_na=False, dtype={"id": str})
    pd.testing.assert_frame_equal(read, sound.pictures, check_dtype=False)


def test_the_classes_are_counted(report):
    rows = pd.read_csv(report / "classes.csv").to_numpy().tolist()
    assert rows == [["<b>cat</b>", 4, 1, 0, 0.5], ["dog & co", 4, 1, 0, 0.5]]


def test_the_page_loads_nothing_from_elsewhere(troubled_page):
    assert "script" not in troubled_page.tags
    outward = [each for each in troubled_page.addresses if not each.startswith(("data:", "#"))]
    assert outward == []


def test_a_link_leads_to_each_kind_of_problem(troubled_page):
    links = {each[1:] for each in troubled_page.addresses if each.startswith("#")}
    assert links >= {"broken", "contradiction", "duplicate", "tiny"}
    assert links <= troubled_page.anchors


def test_names_are_escaped(troubled_page):
    assert "Labelled dog & co here and <b>cat</b> there." in troubled_page.text
    assert "root: <pictures>" in troubled_page.text
    assert "b" not in troubled_page.tags


def test_a_sound_data_set_is_said_to_have_no_problems(sound_page):
    assert "None: every picture can be read" in sound_page.text
    assert "Pictures with problems" not in sound_page.text


def test_both_plots_and_the_sheet_are_on_the_page(sound_page):
    # Both plots are drawn for a desk and for a telephone.
    assert sound_page.tags.count("svg") == 4
    assert sound_page.pictures("jpeg") == 2 * (1 + NUM_VIEWS)


def test_problems_are_shown_as_pictures_up_to_24_of_a_kind(troubled_page):
    # A contradiction and a duplicate of two pictures each, and 24 of 29 tiny ones.
    assert troubled_page.pictures("jpeg") == 2 + 2 + 24
    assert "And 5 more, in problems.csv ." in troubled_page.text


def test_every_problem_is_in_the_table_however_many_there_are(troubled, tmp_path):
    write_data_report(troubled, tmp_path)
    kinds = pd.read_csv(tmp_path / "problems.csv")["kind"].value_counts().to_dict()
    assert kinds == {"tiny": 29, "broken": 1, "contradiction": 1, "duplicate": 1}


def test_a_picture_that_has_gone_is_a_tile_with_its_name(troubled_page):
    assert "gone.png cannot be read" in troubled_page.text


def test_paths_are_shown_from_the_folder_that_all_share(sound, sound_page):
    folder = Path(sound.pictures["path"][0]).parent
    assert str(folder) in sound_page.text
    assert folder.name in sound_page.text


def test_the_pictures_that_training_enlarges_are_counted(sound, tmp_path):
    assert "No picture is enlarged" in written(tmp_path / "small", sound).text
    assert "10 pictures with less than 80 pixels" in written(tmp_path / "large", replace(sound, size=80)).text


def test_where_no_picture_can_be_read_there_is_a_page_without_sizes(tmp_path):
    page = written(tmp_path / "out", analysis_of(draw(tmp_path, 4).assign(fault="cut short")))
    assert "Cannot be read" in page.text
    assert "Shorter side" not in page.text
    assert not (tmp_path / "out" / "sizes.png").exists()


def test_a_data_set_of_one_class_has_one_class_not_one_classes(sound):
    balance = class_balance(sound.pictures, sound.classes[:1])
    assert data_sentence(sound.pictures, balance).startswith("1 class, ")


def test_the_headline_numbers_are_those_of_the_tables(sound):
    balance = class_balance(sound.pictures, sound.classes)
    cards = {
        card.key: (card.value, card.note) for card in data_cards(sound.pictures, balance, sound.problems)
    }
    assert json.loads(json.dumps(cards)) == {
        "pictures": ["10", ""],
        "classes": ["2", "5 pictures each"],
        "train": ["8", "80.0 %"],
        "valid": ["2", "20.0 %"],
        "sizes": ["70 px", "70 to 70 px"],
        "problems": ["0", ""],
    }
