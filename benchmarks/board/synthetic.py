"""On the papers' test sets: fidelity, distance from clean images as a set, and power."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanmend import cli
from scanmend.errors import ScanmendError
from scanmend.evaluate import sources
from scanmend.evaluate.bootstrap import Estimate
from scanmend.evaluate.distances import Distance, distance, kid_difference
from scanmend.evaluate.metrics import scores
from scanmend.evaluate.protocol import Embedding, Evaluation
from scanmend.evaluate.sources import Synthetic

from .contenders import Contender
from .estimates import mean
from .kept import Found, Kept

SCORES = ("ssim", "psnr_dB", "psnr_fitted_dB", "detail_dB")
BETTER = {"ssim": 1, "psnr_dB": 1, "psnr_fitted_dB": 1, "kid": -1}
"""Which way is better; of power neither is: it should be 0."""

Tell = Callable[[str], None]


def made(folder: Path, count: int) -> None:
    """Makes test sets of the papers' damage, as many pairs of each task, where there are none."""
    none = ("--train", "0", "--validation", "0", "--isolated", "0")
    if cli.main(["pairs", "si001h", "-o", str(folder), "--test", str(count), *none]):
        raise ScanmendError(f"no test sets could be made in {folder}")


def synthetic(
    of: Sequence[Contender], pairs: Path, count: int | None, kept: Kept, tell: Tell, seed: int = 0
) -> list[dict[str, Any]]:
    """A record for each contender on each test set that it is for.

    Raises as `Evaluation.items` does: of sets whose images a model was trained on, among others.
    """
    sets = {
        key: source for key, source in sources.of_folder(pairs, count).items() if key[1] == "test"
    }
    embedding, tasks = Embedding(), {task for task, _ in sets}
    able = tuple(one.candidate for one in of if tasks & set(one.candidate.tasks))
    asked = Evaluation(pairs, able, dict[Any, Any](sets), embedding, seed, count)
    titled = {one.candidate: one for one in of}
    found: dict[str, dict[str, Found]] = {}
    for item in asked.items():
        source, one = sets[item.task, item.on], titled[item.candidate]
        tell(f"{item.task}, synthetic: {one.title}")
        what = {"synthetic": source.table()["set"], "of": one.about, "seed": seed}
        measured = kept(what, lambda: _measured(one, source, seed, embedding))  # noqa: B023
        found.setdefault(item.task, {})[one.title] = measured
    clean = {t: _clean(sets[t, "test"], embedding, kept) for t in found}
    kinds = {one.title: one.kind for one in of}
    return [
        record
        for task, parts in found.items()
        for record in _records(task, parts, kinds, clean[task], embedding.load().name, seed)
    ]


def _measured(one: Contender, source: Synthetic, seed: int, embedding: Embedding) -> Found:
    found, features = [], []
    for batch, clean in source.batches(seed):
        restored = one.candidate.restore(batch)
        found.append(scores(restored, np.asarray(clean)))
        judged = [source.judged(number) for number in batch.numbers]
        if any(judged):
            features.append(embedding(restored[judged]))
    arrays = {name: np.concatenate([getattr(f, name) for f in found]) for name in SCORES}
    return Found({}, arrays | {"features": np.concatenate(features)})


def _clean(source: Synthetic, embedding: Embedding, kept: Kept) -> NDArray[np.floating]:
    def find() -> Found:
        return Found({}, {"features": np.concatenate([*map(embedding, source.clean())])})

    return kept({"clean": source.table()["set"]}, find).arrays["features"]


def _records(
    task: str,
    parts: Mapping[str, Found],
    kinds: Mapping[str, str],
    clean: NDArray[np.floating],
    embedder: str,
    seed: int,
) -> list[dict[str, Any]]:
    """Each score with its interval, and by how much it is apart from the best published method."""

    def kid(found: Found) -> Distance:
        rng = np.random.default_rng(seed)
        return distance("KID", found.arrays["features"], clean, embedder, rng)

    distances = {title: kid(found) for title, found in parts.items()}
    means = {t: {s: mean(f.arrays[s]) for s in SCORES} for t, f in parts.items()}
    for title, d in distances.items():
        means[title]["kid"] = Estimate(d.value, d.low, d.high)
    published = [title for title in parts if kinds[title] == "published"]
    records = []
    for title, found in parts.items():
        record: dict[str, Any] = {"task": task, "contender": title, "kind": kinds[title]}
        record |= {"images": len(found.arrays["ssim"]), "kid_images": distances[title].n}
        record |= {"kid_name": distances[title].name, "kid_floor": distances[title].floor}
        record |= {name: estimate._asdict() for name, estimate in means[title].items()}
        record["each"] = {name: found.arrays[name].round(5).tolist() for name in SCORES}
        record["over_input"] = _apart(found, parts["degraded"], clean, seed)
        record["over_published"] = {}
        for score, sign in BETTER.items():
            best = max(published, key=lambda t: sign * means[t][score].value, default=None)
            if best:
                apart = _apart(found, parts[best], clean, seed)[score]
                record["over_published"][score] = {"than": best, **apart}
        records.append(record)
    return records


def _apart(
    found: Found, other: Found, clean: NDArray[np.floating], seed: int
) -> dict[str, dict[str, float]]:
    a, b = found.arrays, other.arrays
    apart = {score: mean(a[score] - b[score]) for score in BETTER if score != "kid"}
    rng = np.random.default_rng(seed)
    apart["kid"] = kid_difference(a["features"], b["features"], clean, rng)
    return {score: estimate._asdict() for score, estimate in apart.items()}
