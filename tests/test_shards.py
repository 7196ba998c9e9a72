"""A store of samples: the same bytes whoever made them, and never a half or a mixture."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open

import scanmend
from scanmend.errors import CorruptFile, ReadError, RecipeError, WorkError, WriteError
from scanmend.shards import Layout, Sample, Store

SEED = 5
ARRAYS = {
    "height_nm": Layout("float32", (6, 4)),
    "bias_V": Layout("float64", ()),
    "defects_nm": Layout("float64", (None, 2)),
    "frame_nA": Layout("float32", (None, None)),
}
RECIPE = {"material": "WSe2", "noise": {"flicker": [0.1, 0.2]}}


def made(number: int) -> Sample:
    """A sample of every kind of array, from (seed, number) alone."""
    rng = np.random.default_rng((SEED, number))
    arrays = {
        "height_nm": rng.normal(size=(6, 4)).astype(np.float32),
        "bias_V": np.float64(rng.normal()),
        "defects_nm": rng.normal(size=(rng.integers(3), 2)),
        "frame_nA": rng.normal(size=rng.integers(1, 5, 2)).astype(np.float32),
    }
    kinds = ["vacancy"] * len(arrays["defects_nm"])
    return Sample(arrays, {"number": number, "kinds": kinds, "tip": "W(111) \N{DEGREE SIGN}"})


def make(numbers: range) -> Sequence[Sample]:
    return [made(number) for number in numbers]


def slowly(numbers: range) -> Sequence[Sample]:
    time.sleep(0.01)
    return make(numbers)


def not_three(numbers: range) -> Sequence[Sample]:
    if 3 in numbers:
        raise ValueError("three\nis bad")
    return make(numbers)


def a_store(folder: Path, count: int = 22, shard_size: int = 5, recipe: object = None) -> Store:
    return Store.create(folder, "tests", recipe or RECIPE, SEED, count, ARRAYS, shard_size)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def same(a: Sample, b: Sample) -> bool:
    return a.about == b.about and all(
        np.array_equal(a.arrays[name], b.arrays[name])
        and a.arrays[name].dtype == b.arrays[name].dtype
        for name in ARRAYS
    )


@pytest.fixture
def full(tmp_path) -> Store:
    store = a_store(tmp_path / "full")
    store.fill(make)
    return store


# What comes back


def test_samples_come_back(full):
    assert len(full) == 22
    for number in (0, 4, 5, 21, 7):
        assert same(full[number], made(number))
    assert [sample.about["number"] for sample in full] == list(range(22))
    assert same(Store.open(full.folder)[np.int64(13)], made(13))
    with pytest.raises(IndexError, match="has samples 0 to 21, not 22"):
        full[22]


def test_a_shard_is_what_its_description_says(full):
    """Read with safetensors alone."""
    with safe_open(full.path(1), "np") as file:
        assert file.get_tensor("height_nm").shape == (5, 6, 4)
        offsets = file.get_tensor("frame_nA.offsets")
        flat = file.get_tensor("frame_nA")[offsets[2] : offsets[3]]
        shape = file.get_tensor("frame_nA.shapes")[2]
        assert np.array_equal(flat.reshape(shape), made(7).arrays["frame_nA"])
        start, end = file.get_tensor("about.offsets")[2:4]
        assert json.loads(file.get_tensor("about")[start:end].tobytes()) == made(7).about


def test_the_manifest_says_what_made_it(full):
    about = json.loads((full.folder / "manifest.json").read_text())
    digest = about.pop("recipe_sha256")
    assert len(digest) == 64
    assert about == {
        "format": "scanmend shards 1",
        "scanmend": scanmend.__version__,
        "kind": "tests",
        "recipe": RECIPE,
        "seed": 5,
        "count": 22,
        "shard_size": 5,
        "arrays": {name: [dtype, list(shape)] for name, (dtype, shape) in ARRAYS.items()},
    }


def test_a_sample_is_read_without_its_shard(tmp_path):
    arrays = {"height_nm": Layout("float32", (512, 512))}
    store = Store.create(tmp_path, "large", {}, 1, 32, arrays, 32)
    store.write(0, [Sample({"height_nm": np.full((512, 512), n, np.float32)}) for n in range(32)])
    code = (
        "import resource, sys; from scanmend.shards import Store\n"
        "peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "store = Store.open(sys.argv[1]); before = peak()\n"
        "assert float(store[17].arrays['height_nm'].mean()) == 17\n"
        "print(peak() - before)"
    )
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, check=True)
    assert int(done.stdout) < 8 << 10, "kB, of a shard of 32 MB"


# Whoever made it


def test_the_bytes_do_not_tell_who_made_them_nor_in_which_order(full, tmp_path):
    other = a_store(tmp_path / "other")
    for shard in reversed(range(other.shards)):
        samples = [
            Sample(dict(reversed(s.arrays.items())), dict(reversed(s.about.items())))
            for s in make(other.numbers(shard))
        ]
        other.write(shard, samples)
    assert contents(other.folder) == contents(full.folder)


@pytest.mark.parametrize("how", [{"workers": 2}, {"workers": 4}, {"cluster": "local"}], ids=str)
def test_the_bytes_do_not_tell_how_many_made_them(how, full, tmp_path):
    if "cluster" in how:
        pytest.importorskip("distributed")
    store = a_store(tmp_path / "other")
    told: list[tuple[int, int]] = []
    store.fill(make, **how, progress=lambda *done: told.append(done))
    assert contents(store.folder) == contents(full.folder)
    assert (told[0], told[-1]) == ((0, 5), (5, 5))
    assert told == sorted(told)


def test_only_what_is_missing_is_made(full):
    before = contents(full.folder)
    full.path(1).unlink()
    full.path(4).unlink()
    kept = full.path(0).stat().st_mtime_ns
    assert full.missing() == [1, 4]
    told: list[tuple[int, int]] = []
    full.fill(make, progress=lambda *done: told.append(done))
    assert told == [(3, 5), (4, 5), (5, 5)]
    assert contents(full.folder) == before
    assert full.path(0).stat().st_mtime_ns == kept


def _filling(folder: Path) -> subprocess.Popen[bytes]:
    code = f"""if __name__ == "__main__":
        import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
        from pathlib import Path; from test_shards import a_store, slowly
        a_store(Path({str(folder)!r}), 200, 2).fill(slowly)"""
    return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE)


@pytest.mark.skipif(sys.platform == "win32", reason="SIGKILL")
def test_killed_at_any_moment_it_goes_on_where_it_was(tmp_path):
    undisturbed = a_store(tmp_path / "undisturbed", 200, 2)
    undisturbed.fill(make)
    folder = tmp_path / "killed"
    moments, progress = random.Random(1), [0]
    for _ in range(5):
        process = _filling(folder)
        goal, deadline = progress[-1] + 10, time.monotonic() + 20
        while len(list(folder.glob("shard-*"))) < goal and process.poll() is None:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        time.sleep(moments.uniform(0, 0.012))  # somewhere in making, writing, syncing, renaming
        process.send_signal(signal.SIGKILL)
        process.communicate()
        progress.append(len(list(folder.glob("shard-*"))))
    assert progress == sorted(set(progress)), "every run went on where the last one was"
    assert progress[-1] < 100
    (folder / ".shard-00000.0123abcd.safetensors").write_bytes(b"half")
    (folder / ".shard-00099.0123abcd.safetensors").write_bytes(b"half")
    a_store(folder, 200, 2).fill(make)
    assert contents(folder) == contents(undisturbed.folder)


def test_two_may_fill_one_folder(tmp_path):
    undisturbed = a_store(tmp_path / "undisturbed", 200, 2)
    undisturbed.fill(make)
    folder = tmp_path / "shared"
    for process in [_filling(folder), _filling(folder)]:
        assert process.communicate() == (None, b"")
        assert process.returncode == 0
    assert contents(folder) == contents(undisturbed.folder)


def test_what_another_finished_first_is_as_good(full, monkeypatch):
    """Its unfinished file was tidied up by the one who was quicker."""
    before = contents(full.folder)
    path = full.path(2)
    write_bytes = Path.write_bytes

    def overtaken(self: Path, raw: bytes) -> int:
        written = write_bytes(self, raw)
        Store.open(full.folder).missing()
        assert not self.exists()
        return written

    monkeypatch.setattr(Path, "write_bytes", overtaken)
    full.write(2, make(full.numbers(2)))
    assert path.read_bytes() == before[path.name]
    assert contents(full.folder) == before


# Never a mixture


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"seed": 6}, r"\(seed: 5, now 6\): choose another folder"),
        ({"count": 30}, r"\(count: 22, now 30\)"),
        ({"shard_size": 6}, r"\(shard_size: 5, now 6\)"),
        ({"kind": "pairs"}, r'\(kind: "tests", now "pairs"\)'),
        ({"recipe": RECIPE | {"material": "graphene"}}, r'\(material: "WSe2", now "graphene"\)'),
        ({"recipe": RECIPE | {"tip": {}}}, r"\(tip: null, now {}\)"),
        ({"arrays": {"height_nm": ARRAYS["height_nm"]}}, r"\(arrays: .*, now .*float32"),
    ],
)
def test_other_samples_go_elsewhere(change, text, full):
    before = contents(full.folder)
    given = {
        "kind": "tests", "recipe": RECIPE, "seed": SEED, "count": 22,
        "arrays": ARRAYS, "shard_size": 5,
    }  # fmt: skip
    with pytest.raises(RecipeError, match=f"full holds other samples {text}"):
        Store.create(full.folder, **(given | change))
    assert contents(full.folder) == before


def test_another_version_reads_but_does_not_go_on(full, monkeypatch):
    monkeypatch.setattr("scanmend.shards.store.__version__", "99.0")
    with pytest.raises(RecipeError, match=r'\(scanmend: "0.*", now "99.0"\)'):
        a_store(full.folder)
    assert same(Store.open(full.folder)[3], made(3))


def test_a_shard_of_another_store_is_no_shard_of_this(full, tmp_path):
    other = a_store(tmp_path / "other", recipe={"material": "graphene"})
    other.write(0, make(range(5)))
    other.path(0).replace(full.path(0))
    with pytest.raises(CorruptFile, match=r"shard-00000.*belongs to another store.*delete it"):
        full[0]
    full.path(1).replace(full.path(2))
    with pytest.raises(CorruptFile, match="belongs to another store or another place"):
        full[10]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"height_nm": np.zeros((6, 5), np.float32)}, r"6: height_nm must be float32 \(6, 4\), "),
        ({"height_nm": np.zeros((6, 4))}, r"got float64 \(6, 4\)"),
        ({"defects_nm": np.zeros(3)}, r"defects_nm must be float64 \(None, 2\), got float64 \(3,"),
        ({"more_nm": np.zeros(3)}, r"sample 6 must have the arrays height_nm, .*; has .*, more_nm"),
    ],
)
def test_a_sample_that_does_not_fit(change, text, tmp_path):
    store = a_store(tmp_path)
    samples = make(range(5, 10))
    samples[1] = Sample({**samples[1].arrays, **change})
    with pytest.raises(WriteError, match=text):
        store.write(1, samples)
    with pytest.raises(WriteError, match=r"shard-00001.safetensors has 5 samples, got 4"):
        store.write(1, samples[:4])
    assert store.missing() == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"count": 0}, "a store has a sample or more, in shards of one or more; got 0 in shards"),
        ({"recipe": {"x": {1, 2}}}, "a recipe is made of plain JSON values: .*set"),
        ({"recipe": {"x": float("nan")}}, "a recipe is made of plain JSON values"),
        ({"arrays": {"about": ARRAYS["bias_V"]}}, "'about' cannot name an array"),
        ({"arrays": {"a.b": ARRAYS["bias_V"]}}, "'a.b' cannot name an array"),
        ({"arrays": {"x": Layout("complex64", (2,))}}, "x must hold numbers or truths, got compl"),
    ],
)
def test_a_store_that_cannot_be(change, text, tmp_path):
    given = {"kind": "", "recipe": {}, "seed": 1, "count": 2, "arrays": ARRAYS}
    with pytest.raises(RecipeError, match=text):
        Store.create(tmp_path / "new", **(given | change))
    assert not (tmp_path / "new").exists()


# Damage


def test_a_shard_that_is_not_there(full):
    full.path(3).unlink()
    with pytest.raises(
        ReadError, match=r"shard-00003.safetensors is not there: the store is not c"
    ):
        full[15]
    assert same(full[14], made(14))


def test_damage_never_escapes(full, rng):
    """Cut anywhere, and bytes changed anywhere: a sample or one of our errors, no third."""
    path = full.path(0)
    raw = path.read_bytes()
    for part in (0, 4, 8, 100, len(raw) // 2, len(raw) - 1):
        path.write_bytes(raw[:part])
        with pytest.raises(CorruptFile, match=r"^[^\n]*is damaged[^\n]*delete it[^\n]*$"):
            Store.open(full.folder)[0]
    for _ in range(300):
        damaged = bytearray(raw)
        for at in rng.integers(0, len(raw), size=rng.integers(1, 6)):
            damaged[at] = rng.integers(256)
        path.write_bytes(damaged)
        store = Store.open(full.folder)
        for number in range(5):
            try:
                assert store[number].arrays["height_nm"].shape == (6, 4)
            except CorruptFile as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("text", "error", "what"),
    [
        (None, ReadError, "is no store of samples: no manifest.json in it"),
        ("{", CorruptFile, "manifest.json is damaged"),
        ("[]", CorruptFile, "manifest.json is damaged"),
        ('{"format": "scanmend shards 9"}', ReadError, "is of format 'scanmend shards 9', not"),
        ('{"format": "scanmend shards 1"}', CorruptFile, "manifest.json is damaged: KeyError"),
    ],
)
def test_a_folder_that_is_no_store(text, error, what, tmp_path):
    if text:
        (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(error, match=what):
        Store.open(tmp_path)


def test_shards_without_a_manifest_are_left_alone(full):
    (full.folder / "manifest.json").unlink()
    with pytest.raises(ReadError, match="holds shards, but no manifest.json: choose another"):
        a_store(full.folder)


# Places that cannot be written to


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_told_in_one_line(workers, tmp_path):
    resource = pytest.importorskip("resource")
    store = a_store(tmp_path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(
            WorkError, match=r"^shard \d: .*shard-0000\d.safetensors cannot be written: file too l"
        ):
            store.fill(make, workers)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    # A worker that is stopped because another failed may leave what it had begun.
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["manifest.json"]
    store.fill(make)
    assert store.missing() == []
    assert not list(tmp_path.glob(".*"))


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no file, not even from root")
def test_a_folder_that_cannot_be_written_to(tmp_path):
    with pytest.raises(WriteError, match="/proc/x cannot be made"):
        a_store(Path("/proc/x"))
    (tmp_path / "file").touch()
    with pytest.raises(WriteError, match=r"file.x cannot be made: Not a directory"):
        a_store(tmp_path / "file/x")
    store = a_store(tmp_path / "store")
    store.folder.rename(tmp_path / "gone")
    with pytest.raises(WriteError, match="cannot be written: there is no folder"):
        store.write(0, make(range(5)))


@pytest.mark.parametrize("workers", [1, 2])
def test_a_shard_that_fails_is_named_and_the_others_stay(workers, tmp_path):
    store = a_store(tmp_path)
    store.write(4, make(range(20, 22)))
    with pytest.raises(WorkError) as caught:
        store.fill(not_three, workers)
    assert str(caught.value) == "shard 0: ValueError: three is bad"
    assert 4 not in store.missing()
