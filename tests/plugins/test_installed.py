"""Installed distributions: read from folders, they are those that importlib.metadata finds."""

import importlib.metadata
import re
import sys
import zipfile

import pytest

from core import installed

EVERY = re.compile(".*")
TEXT = """
# a comment
[core.v1]
one = some_module
two = some_module:thing.inner [extra]

[other.group]
three=some_module : thing
"""


def write(folder, info="some_dist-1.5.dist-info", points=TEXT, about="Name: Some.Dist\nVersion: 1.5\n\nVersion: 7\n"):
    place = folder / info
    place.mkdir(parents=True)
    (place / "entry_points.txt").write_text(points)
    (place / ("METADATA" if info.endswith(".dist-info") else "PKG-INFO")).write_text(about)


def as_metadata_says():
    every = importlib.metadata.entry_points()
    points = [(group, point) for group in every.groups for point in every.select(group=group)]
    return {(point.dist.name, point.dist.version, group, point.name, point.value) for group, point in points}


def test_all_entry_points_here_are_those_that_importlib_metadata_finds():
    found = installed.entry_points(EVERY)
    assert {tuple(point) for point in found} == as_metadata_says() != set()


@pytest.mark.parametrize("info", ["some_dist-1.5.dist-info", "Some.Dist-1.5.egg-info", "some_dist.egg-info"])
def test_a_folder_that_tells_of_a_distribution_is_read_as_importlib_metadata_reads_it(tmp_path, monkeypatch, info):
    write(tmp_path, info)
    monkeypatch.setattr(sys, "path", [str(tmp_path), str(tmp_path / "missing")])
    found = installed.entry_points(EVERY)
    assert {tuple(point) for point in found} == as_metadata_says()
    assert [point[:4] for point in found if point.group == "core.v1"] == [
        ("Some.Dist", "1.5", "core.v1", "one"),
        ("Some.Dist", "1.5", "core.v1", "two"),
    ]


def test_only_groups_that_are_asked_for_are_given(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert [point.name for point in installed.entry_points(re.compile(r"other\.\w+"))] == ["three"]
    assert installed.entry_points(re.compile("core")) == []


def test_of_two_copies_the_first_on_the_path_counts(tmp_path, monkeypatch):
    write(tmp_path / "first", about="Name: some-dist\nVersion: 2\n")
    write(tmp_path / "second")
    monkeypatch.setattr(sys, "path", [str(tmp_path / "first"), str(tmp_path / "second")])
    assert {point.version for point in installed.entry_points(EVERY)} == {"2"}
    assert installed.version_of("Some-Dist") == "2"


def test_a_file_that_cannot_be_read_hides_no_other_distribution(tmp_path, monkeypatch):
    write(tmp_path, "aa_bad-1.dist-info")
    (tmp_path / "aa_bad-1.dist-info" / "entry_points.txt").write_bytes(b"[core.v1]\n\xff = x\n")
    write(tmp_path)
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    assert {point.dist for point in installed.entry_points(EVERY)} == {"Some.Dist"}


def test_distributions_in_an_archive_on_the_path_are_found(tmp_path, monkeypatch):
    archive = tmp_path / "archive.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("some_dist-1.5.dist-info/entry_points.txt", TEXT)
        file.writestr("some_dist-1.5.dist-info/METADATA", "Name: some-dist\nVersion: 1.5\n")
    monkeypatch.setattr(sys, "path", [*sys.path, str(archive)])
    assert "some-dist" in {point.dist for point in installed.entry_points(EVERY)}
    assert installed.version_of("some-dist") == "1.5"


def test_distributions_that_a_finder_knows_are_found(tmp_path, monkeypatch):
    write(tmp_path)

    class Finder(importlib.metadata.DistributionFinder):
        @classmethod
        def find_spec(cls, *arguments):
            return None

        @classmethod
        def find_distributions(cls, context=None):
            return [importlib.metadata.Distribution.at(tmp_path / "some_dist-1.5.dist-info")]

    monkeypatch.setattr(sys, "meta_path", [*sys.meta_path, Finder])
    assert "Some.Dist" in {point.dist for point in installed.entry_points(EVERY)}


def test_a_distribution_that_is_not_there_has_no_version(tmp_path, monkeypatch):
    assert installed.version_of("no-such-distribution") == ""
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "a.egg")])
    assert installed.version_of("no-such-distribution") == ""


def test_what_an_entry_point_stands_for_is_a_module_or_something_in_it():
    assert installed.Point("d", "1", "g", "n", "re").load() is re
    assert installed.Point("d", "1", "g", "n", "importlib.metadata : EntryPoint.load [x]").load() is (
        importlib.metadata.EntryPoint.load
    )
