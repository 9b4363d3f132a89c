"""The report in a real browser: nothing is loaded, nothing is complained about, and the windows work."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import polytope as pt
from adapters import load
from polytope.plots.planar import outlines
from polytope.report.clock import Clock
from polytope.report.html import page as html_page
from polytope.report.subject import subject_of
from polytope.report.windows import Window, windows
from tests.networks import seeded

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

sync_api = pytest.importorskip("playwright.sync_api")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no chromium", allow_module_level=True)

SHARED = Path(__file__).parents[2] / "shared"
PLANE = pt.Polyhedron.box([-1, -1], [1, 1])
DESKTOP, PHONE = {"width": 1100, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def done() -> pt.Audit:
    """Three classes in the plane, with data and labels."""
    rng = np.random.default_rng(5)
    shapes = pairwise([2, 12, 12, 3])
    net = pt.mlp([(rng.standard_normal((m, n)), rng.standard_normal(m)) for n, m in shapes])
    x = rng.uniform(-1, 1, (6, 2))
    model, data = pt.ModelFile(net, runtime=net), pt.Data(x, np.arange(6) % 3)
    return pt.audit(model, PLANE, data=data, budget=pt.AuditBudget(max_seconds=None))


class Opened:
    """A report in a tab, with all that the browser complained about or asked for."""

    def __init__(self, browser: Browser, file: Path, viewport: dict[str, int], scheme: str = "light") -> None:
        self.tab: Page = browser.new_page(viewport=viewport, color_scheme=scheme)  # type: ignore[arg-type]
        self.complaints: list[str] = []
        self.tab.set_default_timeout(300_000)
        self.tab.on("console", lambda message: self.complaints.append(message.text))
        self.tab.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.tab.on("dialog", lambda dialog: (self.complaints.append("a dialog"), dialog.dismiss()))
        self.tab.on("request", self._asked)
        self.tab.goto(file.as_uri())
        self.canvas = self.tab.locator("canvas")

    def _asked(self, request: Any) -> None:
        if not request.url.startswith(("file:", "data:")):
            self.complaints.append(request.url)

    def settle(self) -> None:
        """Wait for two frames: what was asked for is drawn."""
        self.tab.evaluate("() => new Promise(r => requestAnimationFrame(() => requestAnimationFrame(r)))")

    def state(self) -> tuple[float, np.ndarray]:
        """Pixels per unit, and what is in the middle."""
        self.settle()
        data = self.canvas.evaluate("c => [c.dataset.scale, c.dataset.center]")
        return float(data[0]), np.array(data[1].split(), dtype=float)

    def pixel(self, t: np.ndarray) -> tuple[float, float]:
        """Where a point of the window is drawn."""
        self.canvas.scroll_into_view_if_needed()
        scale, center = self.state()
        box = self.canvas.bounding_box()
        assert box is not None
        right, up = (t - center) * scale
        return box["x"] + box["width"] / 2 + right, box["y"] + box["height"] / 2 - up

    def region(self) -> int:
        """The region that is described."""
        self.settle()
        return int(self.tab.locator("#view").get_attribute("data-region") or -1)

    def table(self) -> np.ndarray:
        """f(t), a, b and c of every output."""
        rows = self.tab.locator(".panel tbody tr").all()
        return np.array([[float(cell) for cell in row.locator("td").all_inner_texts()] for row in rows])


@pytest.fixture(scope="module")
def report(done: pt.Audit, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return done.write_html(tmp_path_factory.mktemp("report") / "report.html")


@pytest.mark.parametrize(("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")])
def test_the_report_opens_quietly_and_fits(
    browser: Browser, report: Path, viewport: dict[str, int], scheme: str
) -> None:
    opened = Opened(browser, report, viewport, scheme)
    assert opened.complaints == []
    assert opened.tab.locator("h2").count() == 11
    assert opened.tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    wider = "[...document.querySelectorAll('.scroll')].filter(e => e.scrollWidth > e.clientWidth).length"
    assert opened.tab.evaluate(wider) == 0  # no table is cut
    assert opened.canvas.is_visible()
    assert not opened.tab.locator(".still").first.is_visible()
    ink = opened.tab.evaluate("getComputedStyle(document.body).color")
    assert (sum(map(int, ink[4:-1].split(","))) > 384) == (scheme == "dark")
    opened.tab.close()


def test_hovering_shows_the_regions_own_affine_map(browser: Browser, report: Path, done: pt.Audit) -> None:
    opened = Opened(browser, report, DESKTOP)
    regions = done.windows[0].complex
    assert len(regions) == len(done.regions)
    for t in np.random.default_rng(0).uniform(-0.98, 0.98, (12, 2)):
        opened.tab.mouse.move(*opened.pixel(t))
        found = opened.region()
        assert found == regions.locate(t)[0]
        J, c = regions.network.affine(regions.patterns[found])
        expected = np.column_stack([J @ t + c, J, c])
        # single precision, six digits, and a pointer on whole pixels
        np.testing.assert_allclose(opened.table()[:, 1:], expected[:, 1:], rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(opened.table()[:, 0], expected[:, 0], atol=0.01 * np.abs(J).sum())
        text = opened.tab.locator(".panel").inner_text()
        best = regions.network(regions.interior_points[found][None])[0].argmax()
        assert f"largest output {best}" in text
    assert opened.complaints == []
    opened.tab.close()


def test_moving_and_zooming_by_pointer_wheel_buttons_and_keys(
    browser: Browser, report: Path, done: pt.Audit
) -> None:
    opened = Opened(browser, report, DESKTOP)
    first, middle = opened.state()
    t = np.array([0.4, -0.3])
    x, y = opened.pixel(t)
    opened.tab.mouse.move(x, y)
    opened.tab.mouse.wheel(0, -300)
    assert opened.state()[0] == first  # not chosen yet: the wheel scrolls the page
    opened.canvas.click(position={"x": 5, "y": 5})
    x, y = opened.pixel(t)
    opened.tab.mouse.move(x, y)
    opened.tab.mouse.wheel(0, -500)
    assert opened.state()[0] > 1.5 * first
    assert opened.pixel(t) == pytest.approx((x, y), abs=1.5)  # what is under the pointer stays there
    opened.tab.mouse.down()
    opened.tab.mouse.move(x - 60, y + 40, steps=3)
    opened.tab.mouse.up()
    assert opened.pixel(t) == pytest.approx((x - 60, y + 40), abs=1.5)
    opened.tab.mouse.move(*opened.pixel(t))
    assert opened.region() == done.windows[0].complex.locate(t)[0]
    opened.tab.get_by_role("button", name="Show all").click()
    assert opened.state() == (pytest.approx(first), pytest.approx(middle, abs=1e-9))
    opened.tab.get_by_role("button", name="Zoom in").click()
    assert opened.state()[0] == pytest.approx(1.5 * first)
    opened.canvas.focus()
    opened.tab.keyboard.press("ArrowRight")
    opened.tab.keyboard.press("+")
    scale, center = opened.state()
    assert scale == pytest.approx(1.5**2 * first)
    assert center[0] > middle[0]
    assert opened.region() == done.windows[0].complex.locate(center)[0]  # the middle is described
    opened.tab.keyboard.press("0")
    assert opened.state()[0] == pytest.approx(first)
    assert opened.complaints == []
    opened.tab.close()


def test_a_window_drawn_in_part_shows_all_of_it_by_samples(
    browser: Browser, done: pt.Audit, tmp_path: Path
) -> None:
    """The frame holds the regions; what is outside of it is said to be sampled."""
    whole = done.windows[0]
    domain = pt.Polyhedron.box([-0.1, -0.1], [0.1, 0.1])
    part = pt.enumerate_regions(whole.place.network, domain)
    n = 24
    grid = (np.arange(n) + 0.5) / n * 2 - 1
    points = np.stack([np.tile(grid, n), np.repeat(grid, n)], axis=1)
    outputs = whole.place.network(points)
    window = replace(
        whole,
        complex=part,
        polygons=outlines(part),
        maps=part.network.affine(part.patterns),
        complexity=None,
        share=0.1,
        sample=outputs.reshape(n, n, -1),
    )
    file = tmp_path / "part.html"
    file.write_text(html_page(done.report, [window], (), done.points), encoding="utf-8")
    opened = Opened(browser, file, DESKTOP)
    opened.settle()
    seen, unfilled = opened.canvas.evaluate(UNFILLED, [[-1.0, -1.0], [1.0, 1.0]])
    assert seen > 50_000
    assert unfilled == 0
    for i in (30, 200, 500):
        opened.tab.mouse.move(*opened.pixel(points[i]))
        opened.settle()
        text = opened.tab.locator(".panel").inner_text()
        assert f"Sampled here, its regions are not known: largest output {outputs[i].argmax()}." in text
    opened.tab.mouse.move(*opened.pixel(np.array([0.03, 0.02])))
    assert opened.region() == part.locate(np.array([[0.03, 0.02]]))[0]
    assert "rest is sampled" in opened.tab.locator("figcaption").first.inner_text()
    assert opened.complaints == []
    opened.tab.close()


def test_a_window_without_regions_shows_its_samples(browser: Browser, tmp_path: Path) -> None:
    """The picture says what is sampled, and offers no colours of regions."""
    net, point, file = seeded(0, 2, 8, 8, 3), np.array([0.51, -0.47]), tmp_path / "samples.html"
    part, clock = pt.enumerate_regions(net, PLANE, max_regions=1), Clock(np.inf, {}, max_memory=1)
    window = windows(subject_of(pt.ModelFile(net), PLANE, None), part, clock)
    file.write_text(html_page(pt.audit(net, PLANE).report, window, ()), encoding="utf-8")
    opened = Opened(browser, file, PHONE)
    opened.settle()
    opened.tab.mouse.move(*opened.pixel(point))
    opened.settle()
    said = opened.tab.locator(".panel").inner_text()
    assert f"Sampled here, its regions are not known: largest output {net(point[None])[0].argmax()}." in said
    assert opened.tab.locator(".colour option[value=norm]").is_disabled()
    assert "sampled on a grid, since no part" in opened.tab.locator("figcaption").first.inner_text()
    assert opened.complaints == []
    opened.tab.close()


def test_a_window_of_one_class_is_coloured_by_slopes(browser: Browser, tmp_path: Path) -> None:
    """The largest output is everywhere the same: its colour would show nothing of the regions."""
    net = pt.mlp([([[1.0, 0.0], [1.0, 1.0]], [0.0, 0.5]), ([[1.0, 1.0], [0.0, 0.0]], [9.0, 0.0])])
    file = pt.audit(net, PLANE).write_html(tmp_path / "one.html")
    opened = Opened(browser, file, PHONE)
    opened.settle()
    assert opened.tab.locator(".colour").input_value() == "norm"
    assert opened.complaints == []
    opened.tab.close()


def test_data_points_say_their_label_and_class(browser: Browser, report: Path, done: pt.Audit) -> None:
    opened = Opened(browser, report, DESKTOP)
    assert done.points is not None
    for t, i in zip(done.windows[0].place.marks, done.windows[0].place.numbers, strict=True):
        opened.tab.mouse.move(*opened.pixel(t))
        opened.settle()
        label, predicted = done.points.classes[i], done.points.predicted[i]
        said = ", classified so" if label == predicted else f", classified as {predicted}"
        assert f"Data point {i}: label {label}{said}" in opened.tab.locator(".panel").inner_text()
    assert "classified otherwise" in opened.tab.locator(".legend").inner_text()
    opened.tab.close()


def test_every_colouring_has_a_legend(browser: Browser, report: Path) -> None:
    opened = Opened(browser, report, PHONE)
    pictures = set()
    for colour in ("output", "norm", "complexity"):
        opened.tab.locator(".colour").select_option(colour)
        opened.settle()
        pictures.add(opened.canvas.evaluate("c => c.toDataURL()"))
        assert opened.tab.locator(".legend").inner_text().strip()
    assert len(pictures) == 3
    assert opened.complaints == []
    opened.tab.close()


def window_of(net: pt.Network, around: np.ndarray | None = None) -> Window:
    """The one window of a network: the square, or the plane through three points."""
    subject = (
        subject_of(pt.ModelFile(net), PLANE, None)
        if around is None
        else subject_of(pt.ModelFile(net), None, pt.Data(around))
    )
    complex = pt.enumerate_regions(subject.inside, subject.scope.domain)
    [window] = windows(subject, complex, Clock(float("inf"), {}))
    return window


def grid(n: int) -> Window:
    """Equally many vertical and horizontal lines: (n + 1)^2 regions."""
    at = np.linspace(-0.95, 0.95, n)
    zero = np.zeros(n)
    W = np.concatenate([np.stack([zero + 1, zero], 1), np.stack([zero, zero + 1], 1)])
    return window_of(pt.mlp([(W, -np.concatenate([at, at])), (np.ones((1, 2 * n)), [0.0])]))


def nearly_concurrent() -> Window:
    """Lines of which every other one just misses a corner: regions with edges far shorter than a pixel."""
    rng = np.random.default_rng(0)
    angle, offset = rng.uniform(0, np.pi, 60), rng.uniform(-0.9, 0.9, 60)
    rows = np.stack([np.cos(angle), np.sin(angle)], 1)
    corners = np.stack([np.linalg.solve(rows[[i, i + 1]], offset[[i, i + 1]]) for i in range(59)])
    seen = corners[np.abs(corners).max(axis=1) < 0.9]
    turn = rng.uniform(0, np.pi, len(seen))
    through = np.stack([np.cos(turn), np.sin(turn)], 1)
    missed = (through * seen).sum(axis=1) + 10 ** rng.uniform(-6, -3, len(seen))
    W, b = np.concatenate([rows, through]), -np.concatenate([offset, missed])
    return window_of(pt.mlp([(W, b), (np.ones((1, len(W))), [0.0])]))


def three_digits() -> Window:
    """A plane through handwritten digits, with the 22,000 regions of a trained network."""
    images = np.load(SHARED / "data" / "mnist_10k.npz")["images"][:3] / 255
    return window_of(load(SHARED / "models" / "mnist_fc_256x2.onnx"), images.reshape(3, -1))


MNIST = pytest.param(
    three_digits, marks=pytest.mark.skipif(not SHARED.is_dir(), reason="no models beside the checkout")
)
UNFILLED = """(canvas, [low, high]) => {
  const center = canvas.dataset.center.split(" ").map(Number), scale = Number(canvas.dataset.scale);
  const box = canvas.getBoundingClientRect(), ratio = canvas.width / box.width;
  const left = ratio * (box.width / 2 + (low[0] - center[0]) * scale);
  const right = ratio * (box.width / 2 + (high[0] - center[0]) * scale);
  const top = ratio * (box.height / 2 - (high[1] - center[1]) * scale);
  const bottom = ratio * (box.height / 2 - (low[1] - center[1]) * scale);
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let seen = 0, unfilled = 0;
  for (let y = Math.max(0, Math.ceil(top) + 1); y < Math.min(canvas.height, bottom - 1); y++)
    for (let x = Math.max(0, Math.ceil(left) + 1); x < Math.min(canvas.width, right - 1); x++) {
      seen++;
      unfilled += pixels[4 * (y * canvas.width + x) + 3] < 192;
    }
  return [seen, unfilled];
}"""


@pytest.mark.parametrize("make", [nearly_concurrent, MNIST])
def test_regions_leave_no_pixel_of_the_window_unfilled(
    browser: Browser, done: pt.Audit, tmp_path: Path, make: Callable[[], Window]
) -> None:
    """At least three quarters opaque, also at seams, on wide and narrow screens, and from near."""
    window = make()
    file = tmp_path / "window.html"
    file.write_text(html_page(done.report, [window], ()), encoding="utf-8")
    ends = [
        window.place.domain.vertices().min(axis=0).tolist(),
        window.place.domain.vertices().max(axis=0).tolist(),
    ]
    for viewport in (DESKTOP, PHONE):
        opened = Opened(browser, file, viewport)
        for _ in range(3):
            opened.settle()
            seen, unfilled = opened.canvas.evaluate(UNFILLED, ends)
            assert seen > 50_000
            assert unfilled == 0
            opened.tab.get_by_role("button", name="Zoom in").click()
        opened.tab.close()


def test_twenty_thousand_regions_are_drawn_and_found(
    browser: Browser, done: pt.Audit, tmp_path: Path
) -> None:
    window = grid(140)
    assert len(window.complex) == 141**2
    file = tmp_path / "large.html"
    file.write_text(html_page(done.report, [window], ()), encoding="utf-8")
    assert file.stat().st_size < 3_000_000
    opened = Opened(browser, file, DESKTOP)
    opened.settle()
    assert opened.canvas.get_attribute("data-drawn") == str(141**2)
    for t in np.random.default_rng(1).uniform(-0.99, 0.99, (4, 2)):
        opened.tab.mouse.move(*opened.pixel(t))
        J, c = window.complex.network.jacobian(t[None])[0], opened.table()[:, 3]
        np.testing.assert_allclose(opened.table()[:, 1:3], J, rtol=1e-5)
        np.testing.assert_allclose(J @ t + c, window.complex.network(t[None])[0], atol=0.02 * np.abs(J).sum())
    opened.canvas.focus()
    for _ in range(6):
        opened.tab.keyboard.press("+")
    opened.settle()
    assert 0 < int(opened.canvas.get_attribute("data-drawn") or 0) < 141**2 / 20
    assert opened.complaints == []
    opened.tab.close()


def test_a_hostile_name_runs_nothing(browser: Browser, tmp_path: Path) -> None:
    hostile = "</script><script>alert(1)</script><img src=x onerror=alert(1)>"
    net = pt.mlp([([[1.0, 1.0]], [0.0]), ([[1.0], [2.0]], [0.0, 0.0])])
    net = pt.Network(net.input_shape, net.layers, input_names=(hostile,), output_names=(hostile,))
    found = pt.audit(net, PLANE)
    found = replace(found, report=replace(found.report, command=hostile))
    report = found.write_html(tmp_path / "report.html")
    opened = Opened(browser, report, DESKTOP)
    opened.settle()
    assert opened.tab.locator("img[src=x]").count() == 0
    assert hostile[:20] in opened.tab.locator("body").inner_text()
    assert opened.complaints == []
    opened.tab.close()
