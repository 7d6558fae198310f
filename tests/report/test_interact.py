"""Charts of the report in headless Chromium: zoom, legends that isolate, menus that follow, and the address."""

from __future__ import annotations

import base64
import io
import itertools
from pathlib import Path
from typing import Any

import altair as alt
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from mira_nb.charts import basic, embedding
from mira_nb.charts.drivers import two_set_scatter
from mira_nb.report.build import build_report
from tests.report.conftest import until
from tests.report.synthetic import RunFolder, cells

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two maps with one menu in a section, a third in another; a chart of lines, and a fold."""
    run = RunFolder(tmp_path_factory.mktemp("interact") / "run")
    xy, values = cells(60, 3)
    joint = run.stage("joint")
    for name in ("first", "second"):
        chart, data = embedding.menu_scatter(xy, values, default="leiden", width=500, height=200)
        joint.figure(name, chart, data=data)
    frame = pd.DataFrame({"t": np.tile(np.arange(4.0), 2), "v": np.arange(8.0), "a.b": ["p"] * 4 + ["q"] * 4})
    field = alt.Color(field="a\\.b", type="nominal", title="line")
    lines = alt.Chart(frame).mark_line().encode(x="t:Q", y="v:Q", color=field).properties(width=260, height=150)
    joint.figure("lines", lines, prominence="detail")
    tiles = basic.heatmap(pd.DataFrame([[1.0, -1.0], [0.5, 0.0]]), value_title="v", diverging=True)
    joint.figure("tiles", tiles, prominence="detail").save()
    chart, data = embedding.menu_scatter(xy, values, default="leiden", width=500, height=200)
    rng = np.random.default_rng(0)
    near = pd.DataFrame(
        {"label": [f"FACTOR{i:02d}" for i in range(14)], "x": rng.normal(9, 0.2, 14), "y": rng.normal(9, 0.2, 14)}
    )
    near = pd.concat([near, pd.DataFrame({"x": [18.0], "y": [18.0], "label": ["far"]})])
    names = two_set_scatter(near.assign(x_called=True, y_called=False), first="s", second="t")
    run.stage("trajectory").figure("third", chart, data=data).figure("names", names.properties(width=300)).save()
    return build_report(run.finish())


def opened(page_offline: Any, report: Path, fragment: str = "#joint-first") -> Any:
    page = page_offline.open(report, fragment)
    page.locator("#joint-first .chart.drawn").wait_for()
    page.locator("#joint-second .chart.drawn").wait_for()
    return page


def menu(page: Any, figure: str) -> Any:
    return page.locator(f"#{figure} .vega-bind select")


def picture(page: Any) -> np.ndarray:
    """Which pixels of the first map are coloured."""
    text = str(page.evaluate("document.querySelector('#joint-first canvas').toDataURL()"))
    with Image.open(io.BytesIO(base64.b64decode(text.partition(",")[2]))) as image:
        return np.asarray(image.convert("RGBA"))[..., 3] > 100


def alike(one: np.ndarray, two: np.ndarray) -> bool:
    """Return whether pictures differ by no more than the smoothing of edges."""
    return one.shape == two.shape and bool((one != two).sum() < 0.02 * one.sum())


def ink(page: Any, figure: str) -> int:
    """Pixels of a chart's canvas that are clearly coloured."""
    return page.evaluate(
        """(id) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let n = 0;
  for (let i = 0; i < data.length; i += 4) if (data[i + 3] > 150) n += 1;
  return n;
}""",
        figure,
    )


def legend_entry(page: Any, figure: str, place: int) -> tuple[float, float]:
    """Middle of the symbol of one of three entries of a legend below its plane: the first ink of its row."""
    box = page.locator(f"#{figure} canvas").bounding_box()
    found = page.evaluate(
        """([id, place]) => {
  const canvas = document.querySelector(`#${id} canvas`);
  const ratio = canvas.width / canvas.clientWidth;
  const { data, width, height } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const inked = (x, y) => data[4 * (y * width + x) + 3] > 100;
  const rows = [];
  for (let y = height - 1; y >= 0 && rows.length < 3; y -= 1) {
    let x = 0;
    while (x < width && !inked(x, y)) x += 1;
    if (x === width) continue;
    let top = y;
    while (Array.from({ length: width }, (_, i) => i).some((i) => inked(i, top))) top -= 1;
    const middle = Math.round((y + top) / 2);
    x = 0;
    while (!inked(x, middle)) x += 1;
    rows.unshift([x / ratio + 3, middle / ratio]);
    y = top;
  }
  return rows[place];
}""",
        [figure, place],
    )
    return box["x"] + found[0], box["y"] + found[1]


def test_menus_of_a_section_follow_each_other(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    menu(page, "joint-first").select_option("e2")
    until(page, "document.querySelector('#joint-second .vega-bind select').value === 'e2'")
    page.evaluate("location.hash = '#trajectory-third'")
    page.locator("#trajectory-third .chart.drawn").wait_for()
    assert menu(page, "trajectory-third").input_value() == "leiden"
    until(page, "location.hash.includes('joint.colouring=e2')")
    page.locator("#joined").click()
    assert page.locator("#joined").get_attribute("aria-pressed") == "false"
    page.evaluate("location.hash = '#joint-first'")
    menu(page, "joint-first").select_option("e3")
    until(page, "location.hash.includes('joint-first.colouring=e3')")
    assert menu(page, "joint-second").input_value() == "e2"
    assert page_offline.errors == []


def test_a_link_opens_the_same_view(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    menu(page, "joint-second").select_option("e1")
    page.locator("#joint details.folded summary", has_text="More figures").click()
    page.locator("#joint-lines .chart.drawn").wait_for()
    page.locator("#joint-lines .canvas").focus()
    page.keyboard.press("l")
    until(page, "location.hash.includes('joint-lines.only_0=p')")
    until(page, "location.hash.includes('open=')")
    link = page.url
    page.goto("about:blank")
    page.goto(link)
    page.wait_for_selector("html[data-ready]", state="attached")
    page.locator("#joint-first .chart.drawn").wait_for()
    page.locator("#joint-lines .chart.drawn").wait_for()
    assert menu(page, "joint-first").input_value() == "e1"
    assert lit(page) == {"p"}
    assert page_offline.errors == []


def test_an_address_of_others_does_no_harm(page_offline: Any, report: Path) -> None:
    page = page_offline.open(
        report, "#joint-first?joint.colouring=nothing&open=x.9+joint.99&x.y=1&menus=what&only=%3Cb%3E"
    )
    page.locator("#joint-first .chart.drawn").wait_for()
    assert menu(page, "joint-first").input_value() == "leiden"
    assert page_offline.errors == []


def test_gradients_are_drawn_after_the_address_changed(page_offline: Any, report: Path) -> None:
    """With another query in the address the browser would look for a legend's gradient in another file."""
    page = opened(page_offline, report)
    menu(page, "joint-first").select_option("e2")
    until(page, "location.hash.includes('joint.colouring=e2')")
    page.locator("#joint details.folded summary", has_text="More figures").click()
    page.locator("#joint-tiles .chart.drawn").wait_for()
    page.locator("#joint-tiles .canvas").screenshot()
    assert page.locator("#joint-tiles linearGradient").count() == 1
    assert "url(" in page.locator("#joint-tiles .mark-rect [fill^='url']").first.get_attribute("fill")
    assert page.evaluate("location.search") == ""
    assert page_offline.errors == []


def test_a_link_inside_the_page_takes_its_state(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    page.evaluate("location.hash = '#joint-second?joint.colouring=e3'")
    until(page, "document.querySelector('#joint-first .vega-bind select').value === 'e3'")
    page.evaluate("location.hash = '#joint-first'")
    until(page, "location.hash === '#joint-first?joint.colouring=e3'")
    assert page_offline.errors == []


def lit(page: Any) -> set[str]:
    """Lines that do not fade."""
    found = page.evaluate(
        """[...document.querySelectorAll('#joint-lines .mark-line path')]
          .map((path) => [path.getAttribute('aria-label') ?? '', Number(path.getAttribute('opacity') ?? 1)])"""
    )
    assert len(found) == 2
    return {label[-1] for label, opacity in found if opacity > 0.5}


def test_a_legend_isolates_and_shows_all_again(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    page.locator("#joint details.folded summary", has_text="More figures").click()
    page.locator("#joint-lines .chart.drawn").wait_for()
    assert lit(page) == {"p", "q"}
    entry = page.locator("#joint-lines .role-legend-label text", has_text="q")
    entry.click(force=True)
    until(page, "location.hash.includes('joint-lines.only_0=q')")
    assert lit(page) == {"q"}
    page.locator("#joint-lines .role-legend-label text", has_text="p").click(force=True)
    until(page, "location.hash.includes('joint-lines.only_0=p')")
    assert lit(page) == {"p"}
    page.locator("#joint-lines .role-legend-label text", has_text="p").click(force=True)
    until(page, "!location.hash.includes('only_0')")
    assert lit(page) == {"p", "q"}
    # by keyboard: one entry after the other, then all
    page.locator("#joint-lines .canvas").focus()
    seen = []
    for _ in range(3):
        page.keyboard.press("l")
        page.wait_for_timeout(100)
        seen.append(lit(page))
    assert seen == [{"p"}, {"q"}, {"p", "q"}]


def test_points_of_a_map_are_isolated_by_its_legend(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    before = ink(page, "joint-first")
    page.mouse.click(*legend_entry(page, "joint-first", 1))
    until(page, "location.hash.includes('joint-first.only_')")
    assert ink(page, "joint-first") < 0.7 * before
    page.mouse.click(*legend_entry(page, "joint-first", 1))
    until(page, "!location.hash.includes('only_')")
    assert ink(page, "joint-first") == before


def test_wheel_and_drag_zoom_and_move(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    page.wait_for_timeout(300)
    box = page.locator("#joint-first canvas").bounding_box()
    x, y = box["x"] + box["width"] / 3, box["y"] + box["height"] / 2
    first = picture(page)
    top = page.evaluate("scrollY")
    page.mouse.move(x, y)
    page.mouse.wheel(0, -120)
    page.wait_for_timeout(300)
    # the page scrolls over a chart that was not clicked
    assert page.evaluate("scrollY") < top
    page.mouse.wheel(0, 120)
    page.wait_for_timeout(300)
    assert alike(picture(page), first)
    page.mouse.click(x, y)
    top = page.evaluate("scrollY")
    page.mouse.wheel(0, -300)
    page.wait_for_timeout(300)
    assert page.evaluate("scrollY") == top
    zoomed = picture(page)
    assert not alike(zoomed, first)
    page.mouse.down()
    page.mouse.move(x + 40, y + 10, steps=4)
    page.mouse.up()
    page.wait_for_timeout(200)
    moved = picture(page)
    assert not alike(moved, first)
    assert not alike(moved, zoomed)
    page.mouse.dblclick(x, y)
    page.mouse.move(5, 5)
    page.wait_for_timeout(300)
    assert alike(picture(page), first)


def test_zoom_by_keyboard_stays_with_the_theme(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    page.wait_for_timeout(300)
    first = picture(page)
    page.locator("#joint-first .canvas").focus()
    page.keyboard.press("+")
    page.wait_for_timeout(200)
    near = picture(page)
    assert not alike(near, first)
    page.locator("#theme").click()
    page.wait_for_timeout(300)
    page.locator("#theme").click()
    page.wait_for_timeout(500)
    page.locator("#joint-first .chart.drawn").wait_for()
    assert alike(picture(page), near)
    page.locator("#joint-first .canvas").focus()
    page.keyboard.press("-")
    page.wait_for_timeout(200)
    assert alike(picture(page), first)
    page.keyboard.press("+")
    page.keyboard.press("0")
    page.wait_for_timeout(200)
    assert alike(picture(page), first)
    assert page_offline.errors == []


def test_only_points_zoom(page_offline: Any, report: Path) -> None:
    page = opened(page_offline, report)
    page.locator("#joint details.folded summary", has_text="More figures").click()
    page.locator("#joint-lines .chart.drawn").wait_for()
    assert "zooms" in page.locator("#joint-first .hint").text_content()
    assert "zooms" not in page.locator("#joint-lines .hint").text_content()
    assert "isolates" in page.locator("#joint-lines .hint").text_content()
    assert not page.locator("#joint-lines .hint").is_visible()
    page.locator("#joint-lines .canvas").focus()
    page.keyboard.press("Shift")
    assert page.locator("#joint-lines .hint").is_visible()


def test_names_make_room_for_each_other_and_find_more_when_zoomed(page_offline: Any, report: Path) -> None:
    page = page_offline.open(report, "#trajectory-names")
    page.locator("#trajectory-names .chart.drawn").wait_for()

    def boxes() -> list[tuple[float, float, float, float]]:
        return [
            tuple(box)
            for box in page.evaluate(
                """[...document.querySelectorAll('#trajectory-names .mark-text.role-mark text')]
                  .filter((text) => text.textContent.startsWith('FACTOR') && text.getAttribute('opacity') !== '0')
                  .map((text) => text.getBoundingClientRect()).map((b) => [b.left, b.right, b.top + 2, b.bottom - 2])"""
            )
        ]

    def apart(found: list[tuple[float, float, float, float]]) -> bool:
        pairs = itertools.combinations(found, 2)
        return not any(a[0] < b[1] - 1 and b[0] < a[1] - 1 and a[2] < b[3] and b[2] < a[3] for a, b in pairs)

    first = boxes()
    assert 4 <= len(first) < 14
    assert apart(first)
    page.locator("#trajectory-names .canvas").focus()
    for _ in range(3):
        page.keyboard.press("+")
    page.wait_for_timeout(300)
    near = boxes()
    assert len(near) > len(first)
    assert apart(near)
    page.keyboard.press("0")
    page.wait_for_timeout(300)
    assert boxes() == first
    assert page_offline.errors == []
