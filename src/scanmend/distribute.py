"""Many pieces of work, done by one process, by several, or by the machines of a Dask cluster.

What is done is the same wherever it is done: a piece depends on nothing but itself, and what comes
of it is put on disk by whoever did it. So a run that was stopped goes on by leaving out what is
there.
"""

from __future__ import annotations

import asyncio
import logging
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import threading
import traceback
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import (
    FIRST_COMPLETED,
    CancelledError,
    Future,
    ProcessPoolExecutor,
    wait,
)
from concurrent.futures.process import BrokenProcessPool
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any, TypeVar

from .errors import ScanmendError, WorkError

Item = TypeVar("Item")
Progress = Callable[[int, int], None]
Failure = tuple[str, str]
Attempt = Callable[[Any], Failure | None]
Outcomes = Generator[Failure | None]

_CLUSTERS = ("local", "slurm", "tcp://HOST:PORT")
_IN_FLIGHT = 1000
"""Pieces that a Dask scheduler knows of at a time: it is neither to wait for us nor to choke."""

_LIBRARIES = ("OMP", "OPENBLAS", "MKL", "NUMBA")
_ONE_THREAD = {f"{library}_NUM_THREADS": "1" for library in _LIBRARIES}
_ONE_THREAD["VECLIB_MAXIMUM_THREADS"] = "1"
_PATIENCE_S = 20
_MISSING = 'a cluster needs Dask: pip install "scanmend[cluster]"'


def run(
    make: Callable[[Item], Any],
    items: Sequence[Item],
    workers: int = 1,
    cluster: str | None = None,
    progress: Progress | None = None,
    what: str = "item",
) -> None:
    """Calls `make(item)` for every item, in any order; what it returns is dropped.

    A script that asks for several workers keeps its own doings below `if __name__ == "__main__":`,
    since every worker imports it.

    Args:
        make: A function of a module, or anything else that can be pickled; it goes along with
            every item, so what is large it makes for itself.
        items: What can be pickled, and printed in a few words.
        workers: How many processes, each with one thread; 1 without a cluster: this process.
        cluster: "local", a Dask cluster of `workers` processes on this machine; "slurm", one of
            `workers` in SLURM jobs, as the user's Dask configuration describes them;
            "tcp://HOST:PORT", the scheduler there with the workers that it has.
        progress: Called with how many are done, and of how many, as soon as another is.
        what: What an item is called if it fails.

    Raises:
        WorkError: An item failed, with it and the reason in one line; nothing else is begun then,
            and what is being done is given up. Or there is nobody to do the work.
    """
    if workers < 1:
        raise WorkError(f"work needs 1 worker or more, got {workers}")
    tell = progress or (lambda done, total: None)
    tell(0, len(items))
    if not items:
        return
    attempt = partial(_attempt, make)
    if cluster is not None:
        outcomes = _on_dask(attempt, items, cluster, workers)
    elif workers > 1:
        outcomes = _in_processes(attempt, items, workers)
    else:
        outcomes = _here(attempt, items)
    with closing(outcomes):
        for done, failure in enumerate(outcomes, 1):
            if failure:
                error = WorkError(f"{what} {failure[0]}")
                error.add_note(failure[1])  # seen in a traceback only
                raise error
            tell(done, len(items))


def _attempt(make: Callable[[Item], Any], item: Item) -> Failure | None:
    """Does one item: None, or in one line and at length, why not.

    As text, for there are exceptions that cannot be pickled.
    """
    try:
        make(item)
    except Exception as error:
        kind = "" if isinstance(error, ScanmendError) else f"{type(error).__name__}: "
        return f"{item}: {kind}{_line(error)}", traceback.format_exc()
    return None


def _here(attempt: Attempt, items: Sequence[Any]) -> Outcomes:
    for item in items:
        yield attempt(item)


def _in_processes(attempt: Attempt, items: Sequence[Any], workers: int) -> Outcomes:
    """By processes that end with their work, with this process, and when it is interrupted."""
    context = multiprocessing.get_context("spawn")
    theirs, ours = context.Pipe(duplex=False)
    todo, running = iter(items), set[Future[Failure | None]]()
    with theirs, ours, _one_thread_each():
        pool = ProcessPoolExecutor(workers, context, _begin, (theirs,))
        try:
            while True:
                room = islice(todo, 2 * workers - len(running))
                running |= {pool.submit(attempt, item) for item in room}
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield future.result()
        except BrokenProcessPool:
            raise WorkError(
                "a worker died: it was killed or ran out of memory, or the script that asked for "
                'it lacks `if __name__ == "__main__":`'
            ) from None
        finally:
            ours.close()
            pool.shutdown(cancel_futures=True)


def _begin(parent: Connection) -> None:
    """Has a worker leave Ctrl-C to its parent, and end when that lets go of the pipe, or is gone.

    At once: what it was writing has not got its name yet.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        parent.poll(None)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """In the environment that workers inherit: NumPy reads it but once, when it is loaded."""
    before = {name: os.environ.get(name) for name in _ONE_THREAD}
    os.environ.update(_ONE_THREAD)
    try:
        yield
    finally:
        for name, value in before.items():
            del os.environ[name]
            if value is not None:
                os.environ[name] = value


# Dask


def _on_dask(attempt: Attempt, items: Sequence[Any], cluster: str, workers: int) -> Outcomes:
    """By the workers of a cluster, which ends with the work if it was begun for it."""
    if cluster not in ("local", "slurm") and not cluster.startswith("tcp://"):
        raise WorkError(f"a cluster is one of {', '.join(_CLUSTERS)}; got {cluster!r}")
    try:
        import distributed
    except ImportError:
        raise WorkError(_MISSING) from None
    with ExitStack() as stack:
        if cluster.startswith("tcp://"):
            client = stack.enter_context(_scheduler(cluster))
        else:
            begun = stack.enter_context(_local(workers) if cluster == "local" else _slurm(workers))
            client = stack.enter_context(distributed.Client(begun, set_as_default=False))
        todo, running = iter(items), distributed.as_completed(loop=client.loop)
        try:
            for item in islice(todo, _IN_FLIGHT):
                running.add(client.submit(attempt, item, pure=False))
            for future in running:
                yield future.result()
                for item in islice(todo, 1):
                    running.add(client.submit(attempt, item, pure=False))
        except distributed.KilledWorker:
            raise WorkError("workers died of an item again and again: out of memory?") from None
        except CancelledError:
            raise WorkError(f"the Dask scheduler ({cluster}) went away") from None


@contextmanager
def _scheduler(address: str) -> Iterator[Any]:
    """A client of a scheduler that others began."""
    import distributed
    from distributed.comm.addressing import get_address_host_port

    try:
        # Knocks first: a client that reached nobody goes on trying, and complains when we end.
        socket.create_connection(get_address_host_port(address), _PATIENCE_S).close()
        client = distributed.Client(address, timeout=_PATIENCE_S, set_as_default=False)
    except (OSError, ValueError) as error:
        raise WorkError(f"no Dask scheduler answers at {address}: {_line(error)}") from None
    with client:
        try:
            client.wait_for_workers(1, timeout=_PATIENCE_S)
        except TimeoutError:
            raise WorkError(f"the Dask scheduler at {address} has no workers") from None
        yield client


@contextmanager
def _local(workers: int) -> Iterator[Any]:
    import distributed

    with _one_thread_each():
        cluster: Any = distributed.LocalCluster(
            n_workers=workers,
            threads_per_worker=1,
            dashboard_address=None,  # pyright: ignore[reportArgumentType]
            silence_logs=logging.CRITICAL,
        )
        with cluster:
            try:
                yield cluster
            except BaseException:
                cluster.sync(_kill, cluster)
                raise


async def _kill(cluster: Any) -> None:
    """At once: a cluster that is closed waits seconds for what its workers are doing."""
    kills = (worker.kill(timeout=0.2) for worker in cluster.workers.values())
    await asyncio.gather(*kills, return_exceptions=True)


@contextmanager
def _slurm(workers: int) -> Iterator[Any]:
    if shutil.which("sbatch") is None:
        raise WorkError("there is no SLURM here: no sbatch is on the path")
    try:
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError:
        raise WorkError(_MISSING) from None
    wrong = "no SLURM jobs can be made of your Dask configuration (jobqueue.slurm)"
    try:
        cluster = SLURMCluster()
    except (RuntimeError, ValueError, OSError) as error:
        raise WorkError(f"{wrong}: {_line(error)}") from None
    with cluster:
        # Tried first: of jobs that SLURM refuses, we would hear nothing, and wait for ever.
        command = ["sbatch", "--test-only"]
        tried = subprocess.run(command, input=cluster.job_script(), capture_output=True, text=True)
        if tried.returncode:
            raise WorkError(f"{wrong}: {' '.join(tried.stderr.split())}")
        cluster.scale(workers)
        yield cluster


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
