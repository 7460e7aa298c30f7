"""Images from anywhere: read in every form, labelled where they are not, and scored as rows of a board."""

from __future__ import annotations

import json
import os
import re
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from benchbench_plugins.samples import Samples as SamplesGenerator
from conftest import Bench
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydantic import ValidationError

import benchbench as bb
from benchbench.api.scored import Model, found, open_scored
from benchbench.config import load_benchmark
from benchbench.datasets.digits import Digits
from benchbench.discovery import load_registry
from benchbench.downstream.cnn_small import CnnSmall
from benchbench.downstream.labels import LabelledOnce, labelled
from benchbench.errors import BenchmarkFileError, DataError, DataMissingError, RequestError, UnsupportedDataError
from benchbench.runner.workspace import Workspace
from benchbench.store.files import load_array
from benchbench.testing import conformance, failures, mock_images

pytestmark = pytest.mark.usefixtures("own_cache")

DIGITS = Digits().load(Path("data"))


def blends(per_class: int, seed: int = 0) -> bb.LabelledImages:
    """What a simple model of digits would give: means of two training images of a class, sorted by class."""
    generator = torch.Generator().manual_seed(seed)
    images = []
    for label in range(10):
        own = DIGITS.train.of_class(label).images.double()
        pairs = torch.randint(len(own), (2, per_class), generator=generator)
        images.append(((own[pairs[0]] + own[pairs[1]]) / 2).round().to(torch.uint8))
    return bb.LabelledImages(torch.cat(images), torch.arange(10).repeat_interleave(per_class), DIGITS.classes)


def write_folder(data: bb.LabelledImages, folder: Path, names: tuple[str, ...] | None = None) -> Path:
    """``<class>/<number>.png``; without names all in one folder."""
    for place, (image, label) in enumerate(zip(data.images, data.labels.tolist(), strict=True)):
        where = folder if names is None else folder / names[label]
        where.mkdir(parents=True, exist_ok=True)
        pixels = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(where / f"{place:05d}.png")
    return folder


def write_zip(folder: Path) -> Path:
    """The folder's files, with nothing around them."""
    path = folder.with_suffix(".zip")
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*.png")):
            archive.write(file, file.relative_to(folder).as_posix())
    return path


def write_npz(path: Path, data: bb.LabelledImages, images: str = "images", labels: str | None = "labels") -> Path:
    """Arrays under these names."""
    arrays = {images: data.images.numpy(), **({labels: data.labels.numpy()} if labels else {})}
    np.savez(path, **arrays)
    return path


def test_every_labelled_form_gives_the_same_images(tmp_path: Path) -> None:
    data = blends(6)
    by_name = write_folder(data, tmp_path / "named", DIGITS.classes)
    by_number = write_folder(data, tmp_path / "numbered", tuple(f"{label:05d}" for label in range(10)))
    paths = [
        by_number,
        write_zip(by_number),
        write_npz(tmp_path / "a.npz", data),
        write_npz(tmp_path / "adm.npz", data, "arr_0", "arr_1"),
    ]
    for path in paths:
        read = bb.read_samples(path)
        fitted = read.fitted_to(data.shape, DIGITS.classes, "test")
        assert read.labelled and fitted.fingerprint == data.fingerprint, path
    named = bb.read_samples(by_name).fitted_to(data.shape, DIGITS.classes, "test")  # in the order of the names
    assert sorted(zip(named.labels.tolist(), named.images.flatten(1).tolist(), strict=True)) == sorted(
        zip(data.labels.tolist(), data.images.flatten(1).tolist(), strict=True)
    )


def test_every_unlabelled_form_gives_the_same_images(tmp_path: Path) -> None:
    data = blends(6)
    flat = write_folder(data, tmp_path / "flat")
    for path, ignore in (
        (flat, None),
        (write_zip(flat), None),
        (write_npz(tmp_path / "a.npz", data, labels=None), None),
        (write_npz(tmp_path / "b.npz", data), False),
        (write_folder(data, tmp_path / "numbered", tuple(str(label) for label in range(10))), False),
    ):
        read = bb.read_samples(path, labelled=ignore)
        assert not read.labelled and torch.equal(read.data.images, data.images), path
        assert read.fitted_to(data.shape, DIGITS.classes, "test").labels.eq(0).all()


def test_channels_are_made_the_datasets_where_nothing_is_lost() -> None:
    grey, colour = mock_images(1), mock_images(3)
    as_rgb = bb.Samples(grey, True).fitted_to((3, 8, 8), grey.classes, "test")
    assert torch.equal(as_rgb.images, grey.images.repeat(1, 3, 1, 1))
    back = bb.Samples(as_rgb, True).fitted_to((1, 8, 8), grey.classes, "test")
    assert torch.equal(back.images, grey.images)
    with pytest.raises(UnsupportedDataError, match="expected \\(1, 8, 8\\)"):
        bb.Samples(colour, True).fitted_to((1, 8, 8), grey.classes, "test")


@given(st.lists(st.sampled_from(["cat", "dog", "0", "#1", "01", "#2", "cats"]), min_size=1, max_size=4, unique=True))
def test_classes_are_told_by_name_or_all_by_number(own: list[str]) -> None:
    data = bb.LabelledImages(torch.zeros(len(own), 1, 4, 4, dtype=torch.uint8), torch.arange(len(own)), tuple(own))
    meant = {"cat": 0, "dog": 1} if {"cat", "dog", "cats"} & set(own) else {"0": 0, "#1": 1, "01": 1}
    if set(own) <= set(meant):
        fitted = bb.Samples(data, True).fitted_to((1, 4, 4), ("cat", "dog"), "test")
        assert fitted.labels.tolist() == [meant[name] for name in own]
    else:
        with pytest.raises(DataError, match="not in the dataset"):
            bb.Samples(data, True).fitted_to((1, 4, 4), ("cat", "dog"), "test")


def test_numbers_are_no_names(tmp_path: Path) -> None:
    """Where a dataset's classes are called by numbers in another order, as folders 0 to 11 are sorted."""
    classes = tuple(sorted(map(str, range(12))))
    data = bb.LabelledImages(torch.arange(12, dtype=torch.uint8)[:, None, None, None], torch.arange(12), classes)
    by_index = bb.read_samples(write_npz(tmp_path / "a.npz", data)).fitted_to((1, 1, 1), classes, "test")
    assert by_index.labels.tolist() == list(range(12))
    folders = write_folder(data, tmp_path / "folders", tuple(map(str, range(12))))  # image k in folder k
    by_name = bb.read_samples(folders).fitted_to((1, 1, 1), classes, "test")
    assert [classes[label] for label in by_name.labels] == [str(pixel) for pixel in by_name.images.flatten().tolist()]


def test_alike_folders_are_not_taken_for_each_other(tmp_path: Path) -> None:
    """Same names, sizes and times, or links to others: what is kept of one is not given for the other."""
    for model, value in (("a", 0), ("b", 255)):
        for kind in ("cat", "dog"):
            (tmp_path / "linked" / model / kind).mkdir(parents=True)
            file = tmp_path / "linked" / model / kind / "0.png"
            Image.fromarray(np.full((8, 8), value, dtype=np.uint8)).save(file, compress_level=0)
            os.utime(file, (0, 0))
            (tmp_path / model).mkdir(exist_ok=True)
            (tmp_path / model / kind).symlink_to(tmp_path / "linked" / model / kind)
    for place in (tmp_path, tmp_path / "linked"):
        assert bb.read_samples(place / "a").data.images.eq(0).all()
        assert bb.read_samples(place / "b").data.images.eq(255).all()
    Image.fromarray(np.full((8, 8), 9, dtype=np.uint8)).save(tmp_path / "linked/a/cat/0.png")
    assert bb.read_samples(tmp_path / "a").data.images.eq(9).any()


def test_one_folder_of_images_is_no_class(tmp_path: Path) -> None:
    """As in a zip of a folder of images."""
    wrapped = write_folder(blends(1), tmp_path / "wrap" / "samples").parent
    for path in (wrapped, write_zip(wrapped)):
        assert not bb.read_samples(path).labelled
        assert len(bb.read_samples(str(path)).data) == 10


def test_what_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    data = blends(2)
    mixed = write_folder(data, tmp_path / "mixed", DIGITS.classes)
    shutil.copy(next(mixed.rglob("*.png")), mixed / "stray.png")
    (tmp_path / "empty").mkdir()
    np.savez(tmp_path / "floats.npz", images=np.zeros((3, 8, 8)))
    for path, labels, told in (
        (tmp_path / "nowhere", None, "there is no"),
        (tmp_path / ("x" * 300), None, "cannot be looked at"),
        (mixed, None, "1 of 21 images are in no folder"),
        (tmp_path / "empty", False, "got no image"),
        (tmp_path / "floats.npz", None, "expected uint8"),
        (write_npz(tmp_path / "a.npz", data, labels=None), True, "has no array 'labels'"),
    ):
        with pytest.raises((DataError, DataMissingError), match=told):
            bb.read_samples(path, labelled=labels)
    with pytest.raises(DataError, match="resize the arrays"):
        bb.read_samples(tmp_path / "a.npz", size=8)


def test_given_images_conform(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "mock.npz", mock_images(per_class=150))
    findings = conformance(SamplesGenerator, SamplesGenerator.Config(path=str(path)))
    assert not failures(findings)
    assert sum(finding.status == "passed" for finding in findings) >= 14


def test_a_config_speaks_of_the_images_and_not_of_their_place(tmp_path: Path) -> None:
    first = SamplesGenerator.Config(path=str(write_npz(tmp_path / "a.npz", blends(2))))
    moved = SamplesGenerator.Config(path=str(write_npz(tmp_path / "b.npz", blends(2))))
    other = SamplesGenerator.Config(path=str(write_npz(tmp_path / "c.npz", blends(2, seed=1))))
    assert first.model_dump() == moved.model_dump() != other.model_dump()
    assert first.labelled and len(first.fingerprint) == 64
    pinned = {"path": str(tmp_path / "a.npz"), "fingerprint": first.fingerprint}
    assert SamplesGenerator.Config(**pinned) == first
    write_npz(tmp_path / "a.npz", blends(2, seed=1))  # written anew while the process goes on
    with pytest.raises(ValidationError, match="they have changed"):
        SamplesGenerator.Config(**pinned)
    with pytest.raises(ValidationError, match="there is no"):
        SamplesGenerator.Config(path=str(tmp_path / "nowhere"))


def test_each_image_is_drawn_once_and_none_twice(tmp_path: Path) -> None:
    config = SamplesGenerator.Config(path=str(write_npz(tmp_path / "a.npz", DIGITS.val)))
    generator = SamplesGenerator(config)
    generator.fit(DIGITS.train, bb.FitContext(0, torch.device("cpu"), torch.Generator()))
    drawn = generator.sample(DIGITS.val.labels, bb.SampleContext(1, torch.device("cpu")))
    for label in range(10):
        of_class = drawn[DIGITS.val.labels == label]
        assert sorted(of_class.flatten(1).tolist()) == sorted(DIGITS.val.of_class(label).images.flatten(1).tolist())
    other = generator.sample(DIGITS.val.labels, bb.SampleContext(2, torch.device("cpu")))
    assert not torch.equal(drawn, other)
    write_npz(tmp_path / "a.npz", DIGITS.test)  # changed between the key and the fit
    with pytest.raises(DataError, match="have changed while it ran"):
        generator.fit(DIGITS.train, bb.FitContext(0, torch.device("cpu"), torch.Generator()))
    too_many = torch.cat([DIGITS.val.labels, torch.tensor([4])])
    with pytest.raises(DataError, match="class 4: "):
        generator.sample(too_many, bb.SampleContext(1, torch.device("cpu")))


def test_a_classifier_of_the_real_images_labels_those_without(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "a.npz", DIGITS.val, labels=None)
    config = SamplesGenerator.Config(path=str(path))
    assert not SamplesGenerator(config).conditional
    generator = labelled(SamplesGenerator, config, "pseudo_label", CnnSmall(), 150)
    assert isinstance(generator, LabelledOnce)
    generator.fit(DIGITS.train, bb.FitContext(0, torch.device("cpu"), torch.Generator().manual_seed(0)))
    state = generator.state_dict()
    assert torch.equal(state["images"], DIGITS.val.images)
    assert float((state["labels"] == DIGITS.val.labels).double().mean()) > 0.9
    again = labelled(SamplesGenerator, config, "pseudo_label", CnnSmall(), 150)
    again.load_state_dict(state)
    wanted, context = torch.arange(10), bb.SampleContext(0, torch.device("cpu"))
    assert torch.equal(again.sample(wanted, context), generator.sample(wanted, context))


def opened(bench: Bench, *paths: Path, **changed: object) -> tuple[Workspace, list[Model]]:
    """The request that ``benchbench score`` makes of a benchmark."""
    usual = {
        "dataset": None,
        "benchmark": bench.file,
        "settings": [],
        "plugins": [],
        "size": None,
        "ignore_labels": False,
        "generator_data": None,
        "device": "cpu",
        "data_dir": bench.folder,
        "runs_dir": bench.folder / "runs",
    }
    return open_scored(list(paths), **{**usual, **changed})


def test_a_folder_is_one_model_or_several(bench: Bench) -> None:
    enough = blends(152)
    models = bench.folder / "models"
    write_folder(enough, models / "by class", DIGITS.classes)
    write_folder(blends(160, seed=1), models / "flat")
    write_npz(models / "toy.npz", enough)
    work, read = opened(bench, models)
    specs = {spec.label: spec for spec in work.benchmark.generators}
    assert list(specs) == ["toy", "noise", "toy-2", "by-class", "flat"]  # archives first; toy is taken
    assert (specs["toy-2"].labels, specs["flat"].labels) == (None, "pseudo_label")
    assert work.benchmark.name == "toy-board-with-toy-2-by-class-flat"
    assert found(read)["toy-2"] == "1,520 images" and "without labels" in found(read)["flat"]
    alone, _ = opened(bench, models / "by class", dataset="digits", benchmark=None)
    assert [spec.label for spec in alone.benchmark.generators] == ["real_holdout", "train_copy", "noise", "by-class"]
    assert alone.benchmark.name == "digits-with-by-class"
    (models / "._toy.npz").write_bytes(b"left there by another system")
    (models / "logs").mkdir()
    assert len(opened(bench, models)[1]) == 3
    assert opened(bench, models, name="mine")[0].benchmark.name == "mine"
    ignored, _ = opened(bench, models / "by class", ignore_labels=True)
    assert ignored.benchmark.generators[-1].labels == "pseudo_label"


def test_too_few_images_are_refused_with_what_would_do(bench: Bench) -> None:
    several = "protocol.ratios=[1.0, 3.0]"
    path = write_npz(bench.folder / "few.npz", blends(152))
    with pytest.raises(RequestError, match="none is used twice") as caught:
        opened(bench, path, settings=[several])
    assert "--set 'protocol.ratios=[1]'" in str(caught.value)
    opened(bench, path, settings=["protocol.ratios=[1]"])
    path = write_npz(bench.folder / "fewer.npz", blends(60))
    with pytest.raises(RequestError, match="too few images of 10 of 10 classes") as caught:
        opened(bench, path)
    assert "--set 'settings.fractions=[0.1]'" in str(caught.value)
    work, _ = opened(bench, path, settings=["settings.fractions=[0.1]"])
    assert work.benchmark.generators[-1].generator_data == "full"  # what it has seen is not known
    work, _ = opened(bench, path, settings=["settings.fractions=[0.1]"], generator_data="labelled")
    assert work.benchmark.generators[-1].generator_data == "labelled"
    path = write_npz(bench.folder / "unlabelled.npz", blends(60), labels=None)
    with pytest.raises(RequestError, match="got 600 images, expected at least 1,"):
        opened(bench, path)
    path = write_npz(bench.folder / "hopeless.npz", blends(2))
    with pytest.raises(RequestError, match="no smaller part of the real images would do"):
        opened(bench, path)


def test_numbers_that_count_from_one_are_recognized() -> None:
    images = torch.zeros(3, 1, 4, 4, dtype=torch.uint8)
    data = bb.LabelledImages(images, torch.arange(3), ("1", "2", "3"))
    with pytest.raises(DataError, match="numbered from 1: subtract 1"):
        bb.Samples(data, True).fitted_to((1, 4, 4), ("cat", "cow", "dog"), "test")


def test_samples_are_looked_for_before_the_dataset(bench: Bench) -> None:
    (bench.folder / "a.tar").write_bytes(b"")
    for path, told in (
        ("nowhere", "there is no nowhere"),
        (bench.folder / "a.tar", "got the file .*a.tar, expected a"),
    ):
        with pytest.raises((DataError, DataMissingError), match=told):
            opened(bench, Path(path), benchmark=None, dataset="cifar10", data_dir=bench.folder / "none")


def test_a_wrong_request_is_a_sentence(bench: Bench) -> None:
    path = write_npz(bench.folder / "a.npz", blends(152))
    odd = write_folder(blends(1), bench.folder / "odd", tuple(f"{name}s" for name in DIGITS.classes))
    for changed, told in (
        ({"dataset": "digits"}, "either --dataset NAME or --benchmark FILE"),
        ({"benchmark": None}, "either --dataset NAME or --benchmark FILE"),
        ({"benchmark": None, "dataset": "digit"}, "did you mean 'digits'"),
        ({"generator_data": "full"}, "no model can have seen more"),
    ):
        with pytest.raises(RequestError, match=told):
            opened(bench, path, **changed)
    with pytest.raises(DataError, match="not in the dataset"):  # classes mistyped, not ten models
        opened(bench, odd)
    with pytest.raises(DataMissingError, match="there is no"):
        opened(bench, bench.folder / "nowhere.npz")
    dark = bb.LabelledImages(blends(152).images // 16, blends(152).labels, DIGITS.classes)
    with pytest.raises(DataError, match="got pixels up to 15, where the real images reach 255"):
        opened(bench, write_npz(bench.folder / "dark.npz", dark))
    with pytest.raises(RequestError, match="settings with all real images and with fewer"):
        opened(bench, path, settings=["settings.fractions=[0.1, 1.0]"])
    with pytest.raises(RequestError, match="--name: got 'a/b'"):
        opened(bench, path, name="a/b")
    (bench.folder / "bad.py").write_text("import no_such_module")
    with pytest.raises(RequestError, match=r"bad\.py was asked for and cannot be loaded: .*no_such_module"):
        opened(bench, path, benchmark=None, dataset="mine", plugins=[str(bench.folder / "bad.py")])
    beside = write_folder(blends(1), bench.folder / "beside", DIGITS.classes)
    write_npz(beside / "all.npz", blends(1))
    runs = bench.folder / "runs"
    for run in "012":
        write_folder(blends(1), runs / run, DIGITS.classes)
    for odd in (beside, runs):
        with pytest.raises(RequestError, match="one model or several"):
            opened(bench, odd)
    (bench.folder / "empty").mkdir()
    with pytest.raises(DataError, match="no image and no model"):
        opened(bench, bench.folder / "empty")


def test_scored_rows_stand_beside_the_others(finished: Bench) -> None:
    """The rows that are there are served; given ones have every number but costs."""
    models = finished.folder / "models"
    models.mkdir()
    write_npz(models / "blend.npz", blends(152))
    write_folder(blends(300, seed=1), models / "flat")
    done = finished("score", "models", "--benchmark", "toy.yaml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "2 cells computed, 3 served" in done.stdout
    assert "flat: 3,000 images without labels" in done.stdout
    folder = finished.folder / "reports/toy-board-with-blend-flat"
    rows = json.loads((folder / "results.json").read_text())["rows"]
    for row in ("blend", "flat"):
        named = {line["metric"] for line in rows if line["generator"] == row}
        assert {"FD[domain]", "accuracy", "lift", "label_noise"} <= named and "fit_seconds" not in named
        assert {line["status"] for line in rows if line["generator"] == row} == {"ok"}
    assert "fit_seconds" in {line["metric"] for line in rows if line["generator"] == "toy"}
    page = (folder / "leaderboard.md").read_text()
    # in the table's order, by lift, which is not to all digits the same on every processor
    first, second, *_ = re.findall(r"^\| \*\*(blend|flat)\*\* ", page, flags=re.MULTILINE)
    assert f"Images made elsewhere, not fitted here: {first}, {second}." in page
    assert "came without labels" in page
    assert "benchbench score models --benchmark toy.yaml" in page
    assert str(finished.folder) not in page + (folder / "manifest.json").read_text()
    stored = (finished.folder / ".benchbench/store/sample").rglob("images.npy")
    drawn = [{image.tobytes() for image in load_array(path)} for path in stored]
    whole = {image.tobytes() for image in blends(152).images.numpy()}
    assert len(drawn) == 4 and any(pixels <= whole for pixels in drawn)
    here = {"data_dir": finished.folder, "runs_dir": finished.folder / ".benchbench", "out": finished.folder / "again"}
    again = bb.score(models, benchmark=finished.file, quiet=True, **here)
    assert (again.computed, again.served, again.failures) == (0, 5, ())
    assert again.folder == finished.folder / "again/toy-board-with-blend-flat"


def test_the_documented_benchmark_file_with_samples_is_valid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENCHBENCH_DATA_DIR", str(tmp_path))
    text = (Path(__file__).parents[1] / "docs/scoring.md").read_text().split("```yaml\n")[1].split("```")[0]
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(BenchmarkFileError, match="there is no") as caught:
        load_benchmark(path, load_registry())
    assert [problem.line for problem in caught.value.problems] == [4, 5]
    for name in ("samples", "more"):
        write_npz(tmp_path / f"{name}.npz", blends(2))
    benchmark = load_benchmark(path, load_registry())
    assert [spec.label for spec in benchmark.generators][:2] == ["my_model", "unlabelled"]
    with pytest.raises(BenchmarkFileError, match="generator_data: full") as caught:  # what it has seen is not known
        load_benchmark(path, load_registry(), ["settings.fractions=[0.1]"])
    assert len(caught.value.problems) == 2
    load_benchmark(
        path, load_registry(), ["settings.fractions=[0.1]", *(f"generators[{n}].generator_data=full" for n in (0, 1))]
    )
    for labels in ("per_class", "null"):
        with pytest.raises(BenchmarkFileError, match="labels: pseudo_label"):
            load_benchmark(path, load_registry(), [f"generators[1].labels={labels}"])
