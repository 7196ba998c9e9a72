"""A blind study with twenty raters at once: how long each request takes, and whether any fails.

Run: python benchmarks/study.py [raters] [items]                       (by default 20 and 30)

The server runs as `scanmend serve` runs it, with a token; raters hold nothing but the study's link.
Each opens every item with its images, as the page does, and sends an answer after every mark that
they give, without a pause: people take a hundred times as long. What was acknowledged is counted
in the file afterwards.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from pathlib import Path

import httpx
import numpy as np
from setting import heading, table

from scanmend.crystals import silicon
from scanmend.scan import Scan
from scanmend.study import material, results
from scanmend.study.records import QUESTION, About
from scanmend.study.store import Store, create

METHODS, SIDE = 3, 128
Times = dict[str, list[float]]


def study(path: Path, items: int) -> None:
    """Writes a study of simulated surfaces, with as many outputs as the paper's."""

    def surface(number: int) -> Scan:
        scan = silicon.surface(np.random.default_rng(number), (SIDE, SIDE))
        return Scan(scan.values, (0.19, 0.19))

    def noisier(path: Path, measured: Scan, by: int) -> Scan:
        noise = np.random.default_rng(by).normal(0, 0.01 * by, (SIDE, SIDE))
        return measured.after("noise", measured.values + noise)

    scans = {Path(f"scan{i}.nc"): lambda i=i: surface(i) for i in range(items)}
    methods: dict[str, material.Method] = {
        f"method {k}": lambda path, measured, k=k: noisier(path, measured, k)
        for k in range(1, METHODS + 1)
    }
    about = About("Load", QUESTION, 1, "inferno", "plane", {})
    create(path, about, tuple(methods), material.items(scans, methods, "plane"))


def rate(address: str, join: str, number: int, times: Times, failed: list[str]) -> None:
    """One rater, from the link to the last item."""
    rng = np.random.default_rng(number)
    with httpx.Client(base_url=address, timeout=60, trust_env=False) as client:

        def ask(kind: str, method: str, path: str, body: object = None) -> httpx.Response | None:
            start = time.perf_counter()
            try:
                answer = client.request(method, path, json=body)
            except httpx.HTTPError as error:
                failed.append(f"{path}: {type(error).__name__}")
                return None
            times[kind].append(time.perf_counter() - start)
            if not answer.is_success:
                failed.append(f"{path}: {answer.status_code}")
                return None
            return answer

        client.headers["authorization"] = f"Bearer {join}"
        ask("page", "GET", "/rate/")
        joined = ask("join", "POST", "/rate/api/join", {"name": f"rater {number}"})
        if joined is None:
            return
        client.headers["authorization"] = f"Bearer {joined.json()['token']}"
        told = ask("study", "GET", "/rate/api/study")
        for position in range(told.json()["items"] if told else 0):
            ask("item", "GET", f"/rate/api/items/{position}")
            for place in ("measured", *range(METHODS)):
                ask("image", "GET", f"/rate/api/items/{position}/{place}")
            ratings: list[int | None] = [None] * METHODS
            ranks: list[int | None] = [None] * METHODS
            order = rng.permutation(METHODS).tolist()
            for place in range(METHODS):
                ratings[place] = int(rng.integers(1, 6))
                said = {"ratings": ratings, "ranks": ranks}
                ask("answer", "PUT", f"/rate/api/items/{position}", said)
            for place in range(METHODS):
                ranks[place] = order[place] + 1
                said = {"ratings": ratings, "ranks": ranks}
                ask("answer", "PUT", f"/rate/api/items/{position}", said)
            ask("place", "PUT", "/rate/api/study", {"position": position})


def main(raters: int = 20, items: int = 30) -> None:
    """Prints what was measured; ends with 1 if a request failed or an answer is missing."""
    heading(f"{raters} raters at once, {items} items of {METHODS} outputs, {SIDE}x{SIDE} pixels")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "study.sqlite")
        study(path, items)
        with Store(path) as store:
            join = store.join
        command = [sys.executable, "-m", "scanmend", "serve", "--no-browser", "--port=0"]
        command += ["--token=benchmark", "--study", str(path)]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert server.stdout
        try:
            address = server.stdout.readline().partition("?")[0].strip()
            httpx.get(f"{address}rate/", timeout=120, trust_env=False)  # it has started
            times: Times = defaultdict(list)
            failed: list[str] = []
            work = [
                threading.Thread(target=rate, args=(address, join, number, times, failed))
                for number in range(raters)
            ]
            start = time.perf_counter()
            for thread in work:
                thread.start()
            for thread in work:
                thread.join()
            seconds = time.perf_counter() - start
        finally:
            server.terminate()
            server.wait()
        with Store(path) as store:
            kept = results.results(store)
    rows = []
    for kind, found in times.items():
        middle, most = np.percentile(found, (50, 95))
        ms = (f"{1000 * v:.0f}" for v in (middle, most, max(found)))
        rows.append((kind, len(found), *ms))
    table(("request", "count", "p50 ms", "p95 ms", "longest ms"), rows)
    count = sum(map(len, times.values()))
    print(
        f"{count} requests in {seconds:.1f} s: {count / seconds:.0f} a second; {len(failed)} failed"
    )
    print(f"annotations kept: {kept.annotations} of {raters * items}")
    for line in failed[:10]:
        print(line)
    sys.exit(bool(failed) or kept.annotations != raters * items)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
