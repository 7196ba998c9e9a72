"""Has a server restore a scan: python client.py FILE [http://HOST:8765 [TOKEN]]."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path

import httpx
import numpy as np

file = Path(sys.argv[1])
server = sys.argv[2] if len(sys.argv) > 2 else "http://127.0.0.1:8765"
token = {"Authorization": f"Bearer {sys.argv[3]}"} if len(sys.argv) > 3 else {}

with file.open("rb") as scan:
    answer = httpx.post(
        f"{server}/api/restore",
        files={"file": scan},
        params={"draws": 2},
        headers=token,
        timeout=600,
    )
if answer.is_error:
    sys.exit(answer.json()["error"])

arrays = np.load(io.BytesIO(answer.content))
about = json.loads(str(arrays["about"]))
print(f"{arrays['restored'].shape} pixels of {arrays['pixel_nm']} nm, in {about['unit']}")
print("\n".join(about["verdict"]["notes"]))
