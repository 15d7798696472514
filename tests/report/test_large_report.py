"""A report of many classes and pictures."""

import time

import pytest

from imageclf.report.run_page import write_report


@pytest.mark.long
def test_120_classes_and_2000_pictures_are_under_10_megabytes_and_20_seconds(make_run):
    run_dir = make_run([f"breed number {index:03d}" for index in range(120)], num_pictures=2000)
    started = time.process_time()
    page = write_report(run_dir)
    assert time.process_time() - started < 20
    assert page.stat().st_size < 10_000_000
