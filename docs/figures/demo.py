"""Draws demo.jpg anew, small enough for a page: python docs/figures/demo.py."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image

from scanmend import demo, plot

shown = demo.run()
drawn = io.BytesIO()
plot(shown.result.measured, shown.result, shown.truth).savefig(drawn)
page = Image.open(drawn).convert("RGB")
page = page.resize((1400, round(1400 * page.height / page.width)), Image.Resampling.LANCZOS)
page.save(Path(__file__).with_suffix(".jpg"), quality=90, subsampling=0)
