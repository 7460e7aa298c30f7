"""The dataset that a verdict recommends: the real images and the winner's samples, as a folder of images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from benchbench.api.folders import class_folders, write_metadata, write_png
from benchbench.api.stored import cell_of, fitted_of
from benchbench.errors import RequestError
from benchbench.leaderboard import Board, Row
from benchbench.metrics._neighbours import distinct, nearest
from benchbench.metrics.memorization import FALSE_ALARMS, low_quantile, neighbour_ratios
from benchbench.plan import Cell
from benchbench.runner.collect import collect_boards
from benchbench.runner.progress import ProgressFile
from benchbench.runner.run import plan_cells
from benchbench.runner.stages import Stages
from benchbench.runner.workspace import Workspace
from benchbench.seeding import derive_seed
from benchbench.store.files import write_atomic
from benchbench.types import LabelledImages

Array = npt.NDArray[np.float64]
# Images that were refused are drawn anew so many times; then the folder has fewer.
ROUNDS = 10


@dataclass(frozen=True)
class Choice:
    """What to augment with.

    Attributes:
        board: Whose verdict.
        row: The generator.
        ratio: Synthetic images a real one.
    """

    board: Board
    row: str
    ratio: float


@dataclass(frozen=True)
class Rule:
    """Which samples are taken.

    Attributes:
        agreed: Only those that the classifier trained on the real images gives their own label.
        confidence: Only those to which it gives their label at least this probability.
        new: Only those that are no likelier a copy of a training image than 99 % of unseen real images are.
    """

    agreed: bool = True
    confidence: float = 0.0
    new: bool = True

    def __str__(self) -> str:
        parts = ["the classifier of the real images calls it by its label"] if self.agreed else []
        parts += [f"with probability at least {self.confidence:g}"] if self.confidence > 0 else []
        parts += ["it is no likelier a copy than 99 % of unseen real images are"] if self.new else []
        return "; ".join(parts) or "none: every sample is taken"


@dataclass(frozen=True)
class Judged:
    """Samples with what the rule looks at.

    Attributes:
        images: The samples.
        confidence: Probability of the own label, ``float (n,)``.
        distance: To the nearest training image, in features, ``float (n,)``.
        taken: Whether the rule takes them, ``bool (n,)``.
        draw: Which draw they come from; 0 is that of the benchmark's own mixed arm.
    """

    images: LabelledImages
    confidence: Array
    distance: Array
    taken: npt.NDArray[np.bool_]
    draw: int


@dataclass(frozen=True)
class Augmented:
    """What was written.

    Attributes:
        folder: Where.
        real: Real images in it.
        synthetic: Synthetic images in it.
        wanted: Synthetic images that the ratio asks for.
        refused: Samples that the rule refused.
    """

    folder: Path
    real: int
    synthetic: int
    wanted: int
    refused: int


def choose(
    work: Workspace, *, row: str | None = None, ratio: float | None = None, setting: str | None = None, anyway: bool
) -> Choice:
    """What the verdict recommends, or with ``anyway`` what it does not.

    Args:
        work: A benchmark that has been run.
        row: Another generator than the verdict's; needs ``anyway`` unless it is the verdict's.
        ratio: Another ratio than the row's best; likewise.
        setting: The data setting; the one with the most images unless given.
        anyway: Whether to go on where the verdict does not say so.

    Raises:
        RequestError: If the verdict is not to augment, or nothing is scored yet.
    """
    boards = collect_boards(work, plan_cells(work))
    found = [board for board in boards if setting in (None, board.setting.name)]
    if not found:
        raise RequestError(f"no setting {setting!r}; there are {', '.join(board.setting.name for board in boards)}")
    board, verdict = found[0], found[0].verdict
    advised = verdict.kind == "augment" and row in (None, verdict.row)
    wanted = row or verdict.row
    rows = {one.info.name: one for one in board.rows if one.info.role == "generator" and one.ratio is not None}
    if wanted is None or not rows:
        raise RequestError(f"{work.benchmark.name}: no generator is scored yet; run the benchmark first")
    if wanted not in rows:
        raise RequestError(f"--row: got {wanted!r}, expected one of {', '.join(rows)}")
    best = rows[wanted].ratio
    assert best is not None
    if not (advised and ratio in (None, best)) and not anyway:
        raise RequestError(f"the verdict is not to augment so: {verdict.text}; --anyway writes it all the same")
    if ratio is not None and ratio not in work.benchmark.protocol.ratios:
        known = ", ".join(f"{one:g}" for one in work.benchmark.protocol.ratios)
        raise RequestError(f"--ratio: got {ratio:g}, expected one that was measured: {known}")
    return Choice(board, wanted, best if ratio is None else ratio)


def memorizes(choice: Choice) -> bool:
    """Whether the board flags the chosen row as copying."""
    row: Row = next(row for row in choice.board.rows if row.info.name == choice.row)
    return row.memorizes is True


def write_augmented(work: Workspace, choice: Choice, rule: Rule, folder: Path, progress: ProgressFile) -> Augmented:
    """Write the real training images and as many samples as the ratio asks for, as far as the rule takes them.

    The samples are those of the benchmark's own mixed arm, of its first seed, whose lift was measured; in place of
    those that are refused others are drawn, up to ten times.

    Args:
        work: A benchmark that has been run.
        choice: What to augment with.
        rule: Which samples are taken.
        folder: A new folder.
        progress: Told of what is being computed.
    """
    cell = cell_of(work, choice.row, setting=choice.board.setting.name)
    stages = Stages(work, cell, progress)
    judge = _Judge(stages, rule)
    portions = list(_draws(work, cell, stages, judge, choice.ratio))
    real = stages.train
    names = class_folders(real.classes)
    lines = [
        _write(folder, names, real, place, f"real_{place:06d}", source="real", confidence=float(confidence))
        for place, confidence in enumerate(judge.confidence(real))
    ]
    for portion in portions:
        for place in np.flatnonzero(portion.taken):
            extra: dict[str, Any] = {"generator": choice.row, "seed": cell.seed, "draw": portion.draw}
            extra |= {"nearest_distance": float(portion.distance[place])} if rule.new else {}
            name = f"synthetic_{portion.draw}_{place:06d}"
            confidence = float(portion.confidence[place])
            lines.append(
                _write(folder, names, portion.images, int(place), name, "synthetic", confidence=confidence, **extra)
            )
    write_metadata(folder, lines)
    synthetic = sum(int(portion.taken.sum()) for portion in portions)
    refused = sum(int((~portion.taken).sum()) for portion in portions)
    done = Augmented(folder, len(real), synthetic, len(portions[0].taken), refused)
    write_atomic(folder / "README.md", _readme(work, choice, rule, done).encode())
    return done


def _draws(work: Workspace, cell: Cell, stages: Stages, judge: _Judge, ratio: float) -> Iterator[Judged]:
    """The mixed arm's own samples, then as many draws as it takes to replace the refused ones."""
    portion = judge.of(stages.plan.filling(stages.samples, ratio), 0)
    yield portion
    assert cell.spec is not None
    if work.registry.is_given(cell.spec.name):
        return  # another draw gives the same images
    missing = portion.images.labels[torch.from_numpy(~portion.taken)]
    fitted = None
    for draw in range(1, ROUNDS + 1):
        if not len(missing):
            return
        fitted = fitted or fitted_of(work, cell)
        seed = derive_seed(cell.seed, "augment", draw)
        portion = judge.of(fitted.sample(missing, seed=seed, device=work.device.type), draw)
        yield portion
        missing = missing[torch.from_numpy(~portion.taken)]


class _Judge:
    """Looks at samples as a rule says.

    Args:
        stages: Of the cell that the samples come from.
        rule: The rule.
    """

    def __init__(self, stages: Stages, rule: Rule) -> None:
        self.rule = rule
        self.stages = stages
        self.predictor, _ = stages.real_classifier(0)
        if rule.new:
            spec = stages.work.benchmark.protocol.features[0]
            self.extractor, _ = stages.extractor(spec)
            self.train = self._features(stages.train.images)
            if len(distinct(self.train)) < 2:
                raise RequestError("too few different training images to tell copies; use --keep-copies")
            self.bound = low_quantile(
                neighbour_ratios(self._features(stages.work.dataset.val.images), self.train), FALSE_ALARMS
            )

    def _features(self, images: Tensor) -> Array:
        return np.asarray(self.extractor.extract(images, self.stages.work.device), dtype=np.float64)

    def confidence(self, images: LabelledImages) -> Array:
        """Probability of each image's own label by the classifier of the real images."""
        return _of_own_label(self.predictor.predict(images.images), images.labels)

    def of(self, images: LabelledImages, draw: int) -> Judged:
        """Samples with what the rule looks at."""
        probabilities = self.predictor.predict(images.images)
        confidence = _of_own_label(probabilities, images.labels)
        taken = confidence >= self.rule.confidence
        if self.rule.agreed:
            taken &= (probabilities.argmax(dim=1) == images.labels).numpy()
        distance = np.full(len(images), np.nan)
        if self.rule.new:
            features = self._features(images.images)
            distance = nearest(features, self.train, 1)[1][:, 0]
            taken &= neighbour_ratios(features, self.train) > self.bound
        return Judged(images, confidence, distance, taken, draw)


def _of_own_label(probabilities: Tensor, labels: Tensor) -> Array:
    """From ``float (n, K)`` those of ``labels (n,)``."""
    return np.asarray(probabilities.gather(1, labels[:, None])[:, 0], dtype=np.float64)


def _write(
    folder: Path,
    names: dict[str, str],
    data: LabelledImages,
    place: int,
    name: str,
    source: str,
    *,
    confidence: float,
    generator: str = "",
    seed: int | str = "",
    draw: int | str = "",
    nearest_distance: float | str = "",
) -> dict[str, Any]:
    """One image; its line in the metadata."""
    label = data.classes[int(data.labels[place])]
    path = f"{names[label]}/{name}.png"
    write_png(folder / path, data.images[place])
    return {
        "file_name": path,
        "label": label,
        "source": source,
        "generator": generator,
        "seed": seed,
        "draw": draw,
        "label_confidence": round(confidence, 6),
        "nearest_distance": round(nearest_distance, 6) if isinstance(nearest_distance, float) else nearest_distance,
    }


def _readme(work: Workspace, choice: Choice, rule: Rule, done: Augmented) -> str:
    """What the folder is, for who finds it."""
    lines: Sequence[str] = (
        f"# {work.dataset.name}, augmented with {choice.row}",
        "",
        f"{done.real:,} real training images ({choice.board.setting.text}) and {done.synthetic:,} synthetic ones.",
        f"The benchmark's verdict: {choice.board.verdict.text}.",
        "",
        f"- Ratio: {choice.ratio:g} synthetic images a real one, {done.wanted:,} in all.",
        f"- Rule by which samples were taken: {rule}.",
        f"- Refused: {done.refused:,}; others were drawn in their place as far as there were more.",
        "- The lift was measured without this rule, on samples as they were drawn."
        if done.refused
        else "- The samples are those whose lift was measured.",
        "- Validation and test images of the benchmark are not in it.",
        "",
        "`metadata.csv`: `file_name`, `label`, `source` (real or synthetic), `generator`, `seed` of its fit, `draw`,",
        "`label_confidence` (of the classifier trained on the real images, which has seen the real ones),",
        f"`nearest_distance` (to the nearest training image, in {work.benchmark.protocol.features[0].name} features).",
    )
    return "\n".join(lines) + "\n"
