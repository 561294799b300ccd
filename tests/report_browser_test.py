"""A real browser opens the page on a phone: it does not scroll sideways, and asks for nothing."""

import html
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from qtdog_tf.report.material import gather
from qtdog_tf.report.page import render
from qtdog_tf.report.sections import make_sections
from tests import analysis_fixtures as made

NAMES = ("chromium", "chromium-browser", "google-chrome")
BROWSER = next(filter(None, map(shutil.which, NAMES)), None)
# The page in a frame as wide as a phone. Afterwards the frame's widths are the title.
FRAME = """<!doctype html><title></title>
<iframe width="390" height="844" style="border:0" srcdoc="{page}"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  const page = frame.contentDocument, root = page.documentElement;
  page.querySelectorAll("details").forEach(part => part.open = true);
  const text = page.querySelector("figure svg text").getBoundingClientRect();
  document.title = `${{root.clientWidth}} ${{root.scrollWidth}} ${{text.height.toFixed(1)}}`;
}};
</script>"""


@pytest.mark.skipif(BROWSER is None, reason=f"needs one of {', '.join(NAMES)}")
def test_a_phone_shows_it_without_scrolling_sideways(tmp_path: Path) -> None:
    study = made.write_study(tmp_path, trials=(0, 1), layers=3)
    # Names that could make something wide.
    made.edit(study.outputs[0] / "settings.json", lambda v: v["identity"].update(data="d" * 300))
    runs = [str(path) for path in study.outputs]
    material = gather(runs=runs, analyses=[str(study.analyses)], title="t" * 200, command="c" * 500)
    page = render(material, make_sections(material))
    (tmp_path / "frame.html").write_text(FRAME.format(page=html.escape(page)), encoding="utf-8")
    done = subprocess.run(
        [
            *(str(BROWSER), "--headless=new", "--no-sandbox", "--disable-gpu", "--dump-dom"),
            *("--virtual-time-budget=5000", f"--user-data-dir={tmp_path / 'profile'}"),
            f"file://{tmp_path / 'frame.html'}",
        ],
        capture_output=True,
        text=True,
        timeout=60,
    )
    found = re.search(r"<title>(\d+) (\d+) ([\d.]+)</title>", done.stdout)
    assert found, done.stderr[-2000:]
    visible, needed, letters = int(found[1]), int(found[2]), float(found[3])
    assert 300 < visible == needed
    # Letters of figures are about as large as those of footnotes.
    assert letters > 9
