"""What our own OpenAPI document allows, and what it forbids, is answered as it says."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from web_server import finished, serving

import scanmend
from scanmend.scan import Scan
from scanmend.web.settings import Settings

schemathesis = pytest.importorskip("schemathesis")
FEW = settings(
    max_examples=4,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    folder = tmp_path_factory.mktemp("scans")
    values = np.random.default_rng(0).normal(0, 0.1, (16, 16)).astype(np.float32)
    scanmend.write(Scan(values, (0.19, 0.19)), folder / "scan.gwy")
    with serving(Settings((folder,))) as client:
        yield client


@pytest.fixture(scope="module")
def ids(client):
    """A file and a job that are there."""
    file = client.post("/api/files", json={"folder": "0", "path": "scan.gwy"}).json()["id"]
    job = client.post(f"/api/files/{file}/jobs", json={}).json()["id"]
    assert finished(client, job)["state"] == "done"
    return {"files": file, "jobs": job}


def operations(client):
    schema = schemathesis.openapi.from_url(f"{client.base_url}/api/openapi.json")
    return [found.ok() for found in schema.get_all_operations()]


@pytest.mark.parametrize("allowed", [True, False], ids=["allowed", "forbidden"])
def test_every_operation_answers_as_documented(client, ids, allowed):
    modes = schemathesis.GenerationMode
    mode = modes.POSITIVE if allowed else modes.NEGATIVE
    checks = schemathesis.checks
    # That a file is a scan, has that channel and a scale, no schema can say.
    left_out = [checks.load_all_checks() or checks.CHECKS.get_one("positive_data_acceptance")]
    tried = 0
    for operation in operations(client):
        if not (allowed or operation.body or list(operation.query)):
            continue  # who gives nothing but an id can give nothing of a wrong kind

        @FEW
        @given(case=operation.as_strategy(generation_mode=mode))
        def answers(case):
            nonlocal tried
            tried += 1
            if allowed and "{id}" in case.operation.path:
                case.path_parameters["id"] = ids[case.operation.path.split("/")[2]]
            answer = case.call(timeout=60)
            case.validate_response(answer, excluded_checks=left_out)
            assert answer.status_code < 500
            if answer.status_code >= 400:
                assert "\n" not in json.loads(answer.content)["error"]

        answers()
    assert tried > 20


def test_the_document_names_no_other_host(client):
    text = client.get("/api/openapi.json").text
    assert "http://" not in text and "https://" not in text
