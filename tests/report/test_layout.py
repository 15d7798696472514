"""The pages of real commands in a real browser: on a desk and a telephone, light and dark, and on paper."""

import shutil
from pathlib import Path

import pytest
from browser import CHROMIUM, Seen, complaints, measure, printed_pages

from imageclf.report.run_page import write_report

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]
WIDTHS = (1280, 390)
PAGES = ("run", "stamps", "data", "runs")
STAMPS = Path(__file__).parents[2] / "data" / "stamps"


@pytest.fixture(scope="module")
def pages(tmp_path_factory, finished_run, untouched_run, warm_start) -> dict[str, Path]:
    """Return the pages of two runs, one of them trained, of the demo pictures, and of both runs together."""
    folder = tmp_path_factory.mktemp("pages")
    shutil.copytree(finished_run, folder / "runs" / "trained")
    shutil.copytree(untouched_run, folder / "runs" / "made up")
    done = [warm_start.command("collect", folder, "root=runs")]
    data = ["data=folder", f"data.root={STAMPS}", "data.train=.", "data.valid=null"]
    done += [warm_start.command("analyse", folder, *data, "data.size=300", "hydra.run.dir=analysis")]
    assert [each.returncode for each in done] == [0, 0], done
    return {
        "run": finished_run / "report.html",
        "stamps": write_report(untouched_run),
        "data": folder / "analysis/analysis.html",
        "runs": folder / "runs/collect.html",
    }


@pytest.fixture(scope="module", params=["light", "dark"])
def seen(pages, tmp_path_factory, request):
    """What is wrong with each page at each width, in one scheme of colours."""
    return measure(pages, WIDTHS, request.param, tmp_path_factory.mktemp("measured"))


def test_the_measurement_finds_each_fault(tmp_path):
    bad = """<body style="background: white"><main><h3>out of order</h3><img src="data:,">
        <p style="color: #999">faint</p><p style="width: 2ch; overflow-wrap: anywhere">breaking</p>
        <p style="width: 2000px">wide</p></main>"""
    (tmp_path / "bad.html").write_text(bad)
    found = measure({"bad": tmp_path / "bad.html"}, (390,), "light", tmp_path)["bad-390"]
    assert found == Seen(
        overflow=["the page", "P : wide"],
        faint=["faint: 2.85"],
        broken=["breaking"],
        unnamed=['<img src="data:,">', "h3 after a gap"],
    )


def test_every_page_was_measured_at_every_width(seen):
    assert set(seen) == {f"{name}-{width}" for name in PAGES for width in WIDTHS}


@pytest.mark.parametrize("fault", ["overflow", "faint", "broken", "unnamed"])
def test_no_page_has_it(seen, fault):
    assert {name: found for name, each in seen.items() if (found := getattr(each, fault))} == {}


@pytest.mark.parametrize("name", PAGES)
def test_the_console_says_nothing(pages, name):
    assert complaints(pages[name]) == []


@pytest.mark.parametrize(("name", "most"), [("run", 6), ("stamps", 8), ("data", 8), ("runs", 3)])
def test_a_page_prints_on_few_sheets(pages, name, most, tmp_path):
    assert 1 <= printed_pages(pages[name], tmp_path) <= most
