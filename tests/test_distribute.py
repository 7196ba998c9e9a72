"""Work is done once each, wherever; what fails is named; what is stopped leaves nobody behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

from scanmend import distribute
from scanmend.errors import ScanError, WorkError

LOCAL = {"workers": 2, "cluster": "local"}
WAYS = [{}, {"workers": 2}, LOCAL]


@pytest.fixture(params=WAYS, ids=["here", "processes", "dask"])
def way(request) -> dict:
    if "cluster" in request.param:
        pytest.importorskip("distributed")
    return request.param


def leave_a_mark(folder: Path, item: int) -> None:
    """A line for each call: who did it, and with how many threads."""
    threads = [os.environ.get(name, "-") for name in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS")]
    with (folder / f"{item}").open("a") as file:
        print(os.getpid(), *threads, file=file)


def linger(folder: Path, item: int) -> None:
    leave_a_mark(folder, item)
    time.sleep(60)


def easy(item: int) -> None:
    pass


def three_fails(item: int) -> None:
    if item == 3:
        raise ValueError("not\n  three")


def three_is_no_scan(item: int) -> None:
    if item == 3:
        raise ScanError("three is no scan")


class Odd(Exception):
    """One that cannot be unpickled."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__("odd")


def odd(item: int) -> None:
    raise Odd(1, 2)


def die(item: int) -> None:
    if item == 3:
        os._exit(9)


def test_every_item_is_done_once(way, tmp_path):
    told: list[tuple[int, int]] = []
    make = partial(leave_a_mark, tmp_path)
    distribute.run(make, range(40), **way, progress=lambda *done: told.append(done))
    assert {path.name for path in tmp_path.iterdir()} == {str(n) for n in range(40)}
    lines = [path.read_text().split() for path in tmp_path.iterdir()]
    assert all(len(line) == 3 for line in lines), "an item was done twice"
    workers = {int(pid) for pid, *_ in lines}
    assert len(workers) <= way.get("workers", 1)
    assert (os.getpid() in workers) == (way == {})
    if way:
        assert {tuple(threads) for _, *threads in lines} == {("1", "1")}
    assert told[0] == (0, 40)
    assert [done for done, _ in told] == sorted({done for done, _ in told})
    assert told[-1] == (40, 40)


def test_workers_have_one_thread_before_they_load_numpy(tmp_path, monkeypatch):
    """The environment is set when a process begins, and put back here."""
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.delenv("NUMBA_NUM_THREADS", raising=False)
    distribute.run(partial(leave_a_mark, tmp_path), range(3), workers=2)
    assert {path.read_text().split()[1] for path in tmp_path.iterdir()} == {"1"}
    assert os.environ["OMP_NUM_THREADS"] == "7"
    assert "NUMBA_NUM_THREADS" not in os.environ


def test_nothing_to_do_needs_nobody():
    told: list[tuple[int, int]] = []
    distribute.run(die, [], cluster="slurm", progress=lambda *done: told.append(done))
    assert told == [(0, 0)]


class Counted:
    """Items that tell how many were taken."""

    def __init__(self, count: int) -> None:
        self.count, self.taken = count, 0

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> int:
        if number >= self.count:
            raise IndexError
        self.taken = max(self.taken, number + 1)
        return number


@pytest.mark.parametrize(("way", "ahead"), [(WAYS[1], 4), (LOCAL, 1000)], ids=["processes", "dask"])
def test_few_items_are_handed_out_at_a_time(way, ahead):
    if "cluster" in way:
        pytest.importorskip("distributed")
    items = Counted(100_000)
    lead: list[int] = []

    def enough(done: int, total: int) -> None:
        lead.append(items.taken - done)
        if done == 30:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        distribute.run(easy, items, **way, progress=enough)
    assert 1 < max(lead) <= ahead + 1


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (three_fails, "shard 3: ValueError: not three"),
        (three_is_no_scan, "shard 3: three is no scan"),
        (odd, "shard 0: Odd: odd"),
    ],
)
def test_a_failure_is_one_line_with_the_item(make, text, way):
    if way is LOCAL and make is not three_fails:
        pytest.skip("a cluster takes a second to begin, and does the same")
    with pytest.raises(WorkError) as caught:
        distribute.run(make, range(6), **way, what="shard")
    assert str(caught.value).startswith(text[:6])
    assert str(caught.value).partition(": ")[2] == text.partition(": ")[2]
    assert make.__name__ in caught.value.__notes__[0], "where it happened is not lost"


def test_a_worker_that_dies_is_told(way, monkeypatch):
    if not way:
        pytest.skip("it would be us")
    if way is LOCAL:  # which by itself gives an item to four workers, one after the other
        import dask

        monkeypatch.setitem(dask.config.config["distributed"]["scheduler"], "allowed-failures", 0)
    with pytest.raises(WorkError, match=r"^(a worker died: it was killed|workers died of an item)"):
        distribute.run(die, range(20), **way)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        ({"workers": 0}, "work needs 1 worker or more, got 0"),
        ({"cluster": "pbs"}, r"a cluster is one of local, slurm, tcp://HOST:PORT; got 'pbs'"),
        ({"cluster": "tcp://127.0.0.1:1"}, "no Dask scheduler answers at tcp://127.0.0.1:1: .*ref"),
        ({"cluster": "tcp://nowhere"}, "no Dask scheduler answers at tcp://nowhere: missing port"),
        ({"cluster": "slurm"}, "there is no SLURM here: no sbatch is on the path"),
    ],
)
def test_nobody_is_there_to_do_it(how, text, monkeypatch, tmp_path):
    if "cluster" in how:
        pytest.importorskip("distributed")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(WorkError, match=text):
        distribute.run(print, [1], **how)


@pytest.mark.parametrize("cluster", ["local", "slurm", "tcp://127.0.0.1:1"])
def test_without_dask_it_says_what_to_install(cluster, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(WorkError, match=r'needs Dask: pip install "scanmend\[cluster\]"'):
        distribute.run(print, [1], cluster=cluster)


def test_a_scheduler_that_others_began(tmp_path):
    distributed = pytest.importorskip("distributed")
    options = {"processes": False, "protocol": "tcp://", "dashboard_address": None}
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, **options) as cluster:
        address = cluster.scheduler_address
        distribute.run(partial(leave_a_mark, tmp_path), range(20), cluster=address)
        assert len(list(tmp_path.iterdir())) == 20
        with pytest.raises(WorkError, match="item 3: ValueError: not three"):
            distribute.run(three_fails, range(20), cluster=address)
        assert cluster.status.name == "running", "it is not ours to end"


# Interrupted

SCRIPT = f"""
import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})
from functools import partial
from pathlib import Path
from scanmend import distribute
from test_distribute import linger
if __name__ == "__main__":
    try:
        distribute.run(partial(linger, Path(sys.argv[1])), range(50), **eval(sys.argv[2]))
    except KeyboardInterrupt:
        sys.exit("stopped")
"""


def _gone(pid: int) -> bool:
    """A zombie counts: whom an orphan is left to may take its time to bury it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(sys.platform != "linux", reason="/proc")
@pytest.mark.parametrize("how", ["SIGINT", "SIGKILL"])
def test_an_interrupted_run_leaves_nobody_behind(how, way, tmp_path):
    if not way:
        pytest.skip("nobody else is there")
    script, marks = tmp_path / "script.py", tmp_path / "marks"
    script.write_text(SCRIPT)
    marks.mkdir()
    process = subprocess.Popen(
        [sys.executable, script, marks, repr(way)],
        start_new_session=True, stderr=subprocess.PIPE, text=True,
        # The tests themselves may run where interrupts are ignored, and children would inherit it.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while len(list(marks.iterdir())) < 2:
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    time.sleep(0.1)  # Its mark is on disk
    workers = {int(path.read_text().split()[0]) for path in marks.iterdir()}
    assert len(workers) == 2
    if how == "SIGINT":
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does
        assert process.communicate(timeout=20) == (None, "stopped\n")
    else:
        process.kill()
        process.communicate(timeout=20)
    while not all(map(_gone, workers)):
        assert time.monotonic() < deadline, "a worker is still there"
        time.sleep(0.02)
    assert len(list(marks.iterdir())) == 2, "something was begun after all"


# SLURM, as far as it can be had without: its commands run jobs at once, here

SBATCH = """#!/bin/sh
test "$1" = --test-only && exec grep -q dask_worker
cp "$1" job$$.sh
setsid sh job$$.sh >job$$.out 2>&1 &
echo $! >>jobs
echo Submitted batch job $!
"""
SCANCEL = """#!/bin/sh
echo $1 >>cancelled
kill -- -$1
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch) -> Path:
    """A folder with `sbatch` and `scancel`, to work in."""
    pytest.importorskip("dask_jobqueue")
    import dask

    for name, text in {"sbatch": SBATCH, "scancel": SCANCEL}.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    here = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    monkeypatch.setenv("PYTHONPATH", here)
    monkeypatch.chdir(tmp_path)
    settings = {"cores": 1, "memory": "1GB", "processes": 1, "walltime": "00:10:00"}
    settings["scheduler-options"] = {"dashboard_address": None, "host": "127.0.0.1"}
    with dask.config.set({f"jobqueue.slurm.{key}": value for key, value in settings.items()}):
        yield tmp_path


@pytest.mark.skipif(sys.platform != "linux", reason="setsid")
def test_slurm_jobs_do_the_work_and_end_with_it(slurm):
    marks = slurm / "marks"
    marks.mkdir()
    distribute.run(partial(leave_a_mark, marks), range(20), cluster="slurm", workers=2)
    assert len(list(marks.iterdir())) == 20
    jobs = (slurm / "jobs").read_text().split()
    assert len(jobs) == 2
    assert sorted((slurm / "cancelled").read_text().split()) == sorted(jobs)


@pytest.mark.skipif(sys.platform != "linux", reason="setsid")
def test_jobs_that_slurm_does_not_take(slurm):
    (slurm / "sbatch").write_text("#!/bin/sh\necho no such account >&2\nexit 1\n")
    with pytest.raises(WorkError, match="no SLURM jobs can be made.*no such account"):
        distribute.run(three_fails, range(20), cluster="slurm", workers=2)
