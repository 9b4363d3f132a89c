"use strict";
// The interactive windows: regions on a canvas; drag or arrows move, wheel, pinch or +/- zoom, hover inspects.
(() => {
const decoded = (text, Type) => {
  if (text === null) return null;
  const raw = atob(text), bytes = new Uint8Array(raw.length);
  for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
  return new Type(bytes.buffer);
};
const number = (x) => {
  if (x === 0) return "0";
  const text = x.toPrecision(6);
  return text.includes("e") ? text : String(Number(text));
};
const element = (tag, text) => {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  return made;
};

/** The regions of one window: outlines in its coordinates, a grid that finds the region at a point. */
class Regions {
  constructor(data) {
    Object.assign(this, data);
    this.n = data.regions;
    this.corners = decoded(data.corners, Float32Array);
    this.maps = decoded(data.maps, Float32Array);
    this.numbers = {
      output: data.classes === null ? decoded(data.values, Float32Array) : decoded(data.classes, Uint16Array),
      norm: decoded(data.norms, Float32Array),
      complexity: decoded(data.complexity, Float32Array),
    };
    if (this.sample) this.sample.values = decoded(this.sample.numbers, data.classes === null ? Float32Array : Uint16Array);
    const counts = decoded(data.counts, Uint16Array);
    this.start = new Uint32Array(this.n + 1);
    for (let i = 0; i < this.n; i++) this.start[i + 1] = this.start[i] + counts[i];
    this.boxes = new Float32Array(4 * this.n);
    for (let i = 0; i < this.n; i++) {
      let [x0, y0, x1, y1] = [Infinity, Infinity, -Infinity, -Infinity];
      for (let k = this.start[i]; k < this.start[i + 1]; k++) {
        const x = this.corners[2 * k], y = this.corners[2 * k + 1];
        x0 = Math.min(x0, x); x1 = Math.max(x1, x); y0 = Math.min(y0, y); y1 = Math.max(y1, y);
      }
      this.boxes.set([x0, y0, x1, y1], 4 * i);
    }
    this.side = Math.max(1, Math.min(200, Math.ceil(Math.sqrt(this.n))));
    this.cells = Array.from({length: this.side ** 2}, () => []);
    const cell = (v) => Math.max(0, Math.min(this.side - 1, Math.floor(v * this.side)));
    for (let i = 0; i < this.n; i++)
      for (let gx = cell(this.boxes[4 * i]); gx <= cell(this.boxes[4 * i + 2]); gx++)
        for (let gy = cell(this.boxes[4 * i + 1]); gy <= cell(this.boxes[4 * i + 3]); gy++)
          this.cells[gx * this.side + gy].push(i);
    this.cell = cell;
  }

  /** The region at a place, both from 0 to 1; -1 outside. */
  at(x, y) {
    if (!(x >= 0 && x <= 1 && y >= 0 && y <= 1)) return -1;
    let best = -1, deepest = -1e-6;
    for (const i of this.cells[this.cell(x) * this.side + this.cell(y)]) {
      let depth = Infinity;
      for (let k = this.start[i], j = this.start[i + 1] - 1; k < this.start[i + 1]; j = k++) {
        const ax = this.corners[2 * j], ay = this.corners[2 * j + 1];
        const dx = this.corners[2 * k] - ax, dy = this.corners[2 * k + 1] - ay;
        const length = Math.hypot(dx, dy);
        if (length > 0) depth = Math.min(depth, (dx * (y - ay) - dy * (x - ax)) / length);
      }
      if (depth > deepest && depth < Infinity) { deepest = depth; best = i; }
    }
    return best;
  }

  /** Smallest and largest of the numbers to colour by. */
  range(mode) {
    let low = Infinity, high = -Infinity;
    const grid = mode === "output" && this.sample ? this.sample.values : [];
    for (const values of [this.numbers[mode], grid]) for (const v of values) { if (v < low) low = v; if (v > high) high = v; }
    return [low, high];
  }
}

/** A figure with its canvas, controls, legend and the panel about the region looked at. */
class View {
  constructor(figure, windows, colours, names) {
    this.figure = figure;
    this.names = names;
    this.windows = windows;
    this.colours = colours;
    for (const name of ["canvas", "legend", "panel"]) this[name] = figure.querySelector("." + name);
    this.context = this.canvas.getContext("2d");
    this.region = -1;
    this.pointers = new Map();
    this.select = figure.querySelector(".which");
    this.colour = figure.querySelector(".colour");
    this.select.addEventListener("change", () => this.choose(Number(this.select.value)));
    this.colour.addEventListener("change", () => this.paint());
    for (const [name, act] of [["in", () => this.zoom(1.5)], ["out", () => this.zoom(1 / 1.5)], ["all", () => this.reset()]])
      figure.querySelector(".zoom-" + name).addEventListener("click", act);
    this.listen();
    figure.classList.add("live");
    new ResizeObserver(() => this.resize()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.draw());
    this.choose(0);
    const [low, high] = this.regions.range("output");
    if (this.regions.n > 1 && low === high) { this.colour.value = "norm"; this.paint(); } // one class: nothing to see
  }

  choose(which) {
    this.regions = this.windows[which] instanceof Regions ? this.windows[which]
      : (this.windows[which] = new Regions(this.windows[which]));
    for (const [name, missing] of [["norm", !this.regions.n], ["complexity", this.regions.numbers.complexity === null]]) {
      this.colour.querySelector(`[value=${name}]`).disabled = missing;
      if (missing && this.colour.value === name) this.colour.value = "output";
    }
    this.canvas.setAttribute("aria-label", `${this.regions.n || "No"} regions of ${this.regions.title}. ` +
      "Arrow keys move, plus and minus zoom, 0 shows all. The region in the middle is described below.");
    this.paint();
    this.reset();
    this.inspect(-1);
  }

  /** Sides of the part whose regions are drawn, and of the whole window. */
  get span() { return [0, 1].map((a) => this.regions.high[a] - this.regions.low[a]); }
  get wide() { return [0, 1].map((a) => this.regions.whole[1][a] - this.regions.whole[0][a]); }

  resize() {
    const box = this.canvas.getBoundingClientRect();
    if (!box.width || !box.height) return;
    this.ratio = window.devicePixelRatio || 1;
    const before = this.width;
    [this.width, this.height] = [box.width, box.height];
    this.canvas.width = Math.round(box.width * this.ratio);
    this.canvas.height = Math.round(box.height * this.ratio);
    if (before === undefined) this.reset(); else { this.scale *= this.width / before; this.draw(); }
  }

  reset() {
    if (!this.width) return;
    const [w, h] = this.wide;
    this.scale = 0.97 * Math.min(this.width / w, this.height / h);
    this.center = [0, 1].map((a) => (this.regions.whole[1][a] + this.regions.whole[0][a]) / 2);
    this.draw();
  }

  /** Zoom by a factor, keeping a point of the canvas (by default its middle) where it is. */
  zoom(factor, x = this.width / 2, y = this.height / 2) {
    const [tx, ty] = this.place(x, y);
    const least = 0.2 * Math.min(this.width / this.wide[0], this.height / this.wide[1]);
    this.scale = Math.max(least, Math.min(least * 1e6, this.scale * factor));
    this.center = [tx - (x - this.width / 2) / this.scale, ty + (y - this.height / 2) / this.scale];
    this.draw();
  }

  move(dx, dy) {
    this.center = [0, 1].map((a) => Math.max(this.regions.whole[0][a], Math.min(this.regions.whole[1][a],
      this.center[a] + [-dx, dy][a] / this.scale)));
    this.draw();
  }

  /** The window's coordinates of a point of the canvas. */
  place(x, y) {
    return [this.center[0] + (x - this.width / 2) / this.scale, this.center[1] - (y - this.height / 2) / this.scale];
  }

  listen() {
    const c = this.canvas;
    const local = (e) => { const b = c.getBoundingClientRect(); return [e.clientX - b.left, e.clientY - b.top]; };
    c.addEventListener("pointerdown", (e) => {
      c.setPointerCapture(e.pointerId);
      this.pointers.set(e.pointerId, local(e));
      this.hover(...local(e));
    });
    c.addEventListener("pointermove", (e) => {
      const now = local(e), before = this.pointers.get(e.pointerId);
      if (before && this.pointers.size === 1) this.move(now[0] - before[0], now[1] - before[1]);
      if (before && this.pointers.size === 2) {
        const [other] = [...this.pointers].filter(([id]) => id !== e.pointerId).map(([, p]) => p);
        const gap = (p) => Math.hypot(p[0] - other[0], p[1] - other[1]) || 1;
        this.zoom(gap(now) / gap(before), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
      }
      if (before) this.pointers.set(e.pointerId, now); else this.hover(...now);
    });
    for (const name of ["pointerup", "pointercancel"])
      c.addEventListener(name, (e) => this.pointers.delete(e.pointerId));
    c.addEventListener("wheel", (e) => {
      if (document.activeElement !== c && !e.ctrlKey) return; // the page scrolls until the picture is chosen
      e.preventDefault();
      this.zoom(Math.exp(-e.deltaY * (e.deltaMode ? 0.05 : 0.0015)), ...local(e));
    }, {passive: false});
    c.addEventListener("keydown", (e) => {
      const step = 0.1 * Math.min(this.width, this.height);
      const moves = {ArrowLeft: [step, 0], ArrowRight: [-step, 0], ArrowUp: [0, step], ArrowDown: [0, -step]};
      if (moves[e.key]) this.move(...moves[e.key]);
      else if (e.key === "+" || e.key === "=") this.zoom(1.5);
      else if (e.key === "-") this.zoom(1 / 1.5);
      else if (e.key === "0") this.reset();
      else return;
      e.preventDefault();
      this.hover(this.width / 2, this.height / 2);
    });
    c.addEventListener("focus", () => this.draw());
    c.addEventListener("blur", () => this.draw());
  }

  hover(x, y) {
    const t = this.place(x, y), r = this.regions;
    const found = r.at(...[0, 1].map((a) => (t[a] - r.low[a]) / this.span[a]));
    this.inspect(found, t);
  }

  /** Say what the region is, and its affine map. */
  inspect(i, t) {
    if (i !== this.region) { this.region = i; this.draw(); }
    this.figure.dataset.region = i;
    const r = this.regions;
    if (i < 0) {
      const said = [r.n ? "Point at a region, or move with the arrow keys, to see its affine map."
        : "Point at a place, or move with the arrow keys, to see the output there."];
      const v = t && this.sampled(t);
      if (v !== null && v !== undefined) said.unshift(`Sampled here, its regions are not known: ${r.classes === null ? `output ${number(v)}` : `largest output ${this.named(v)}`}.`);
      this.panel.replaceChildren(...said.map((text) => element("p", text)));
      this.point(t);
      return;
    }
    const best = r.classes === null ? "" : ` · largest output ${this.named(r.numbers.output[i])}`;
    const complexity = r.numbers.complexity === null ? "" : ` · ${r.numbers.complexity[i]} units with a crossing within ${number(r.radius)}`;
    const head = element("p", `Region ${i} of ${r.n}${best} · gradient norm ${number(r.numbers.norm[i])}${complexity}`);
    const where = element("p", `at t = (${number(t[0])}, ${number(t[1])}), where f(t) = a t₁ + b t₂ + c:`);
    const table = element("table"), top = element("tr"), body = element("tbody");
    for (const title of ["output", "f(t)", "a", "b", "c"]) top.append(element("th", title));
    table.append(element("thead"), body);
    table.tHead.append(top);
    for (let k = 0; k < r.outputs; k++) {
      const [a, b, c] = r.maps.subarray(3 * (i * r.outputs + k), 3 * (i * r.outputs + k) + 3);
      const row = element("tr");
      row.append(element("th", r.classes === null ? String(k) : this.named(k)));
      for (const v of [a * t[0] + b * t[1] + c, a, b, c]) row.append(element("td", number(v)));
      body.append(row);
    }
    this.panel.replaceChildren(head, where, table);
    this.point(t);
    if (r.outputs < r.all_outputs) this.panel.append(element("p", `The first ${r.outputs} of ${r.all_outputs} outputs.`));
  }

  /** Colours of all regions, and what they mean. */
  paint() {
    const r = this.regions, mode = this.colour.value, values = r.numbers[mode];
    this.legend.replaceChildren();
    if (mode === "output" && r.classes !== null) {
      const palette = this.colours.classes;
      this.tone = (v) => palette[v % palette.length];
      this.fill = Array.from(values, this.tone);
      for (const v of [...new Set([...new Set(values), ...(r.sample ? r.sample.values : [])])].sort((a, b) => a - b)) {
        const item = element("span", `output ${this.named(v)}`), swatch = element("i");
        swatch.style.background = palette[v % palette.length];
        item.prepend(swatch);
        this.legend.append(item);
      }
    } else {
      const ramp = this.colours.ramp, [low, high] = r.range(mode);
      const tone = this.tone = (v) => ramp[high > low ? Math.round((v - low) / (high - low) * (ramp.length - 1)) : 0];
      this.fill = Array.from(values, tone);
      const bar = element("b");
      bar.style.background = `linear-gradient(to right, ${ramp.join(",")})`;
      this.legend.append(element("span", number(low)), bar, element("span", number(high)));
    }
    if (r.marks.some((m) => m[3] !== null))
      this.legend.append(element("span", "● data point in the colour of its label · ✕ classified otherwise"));
    else if (r.marks.length) this.legend.append(element("span", "○ data point"));
    this.draw();
  }

  /** A class by its number, and its name where there is one. */
  named(v) { return this.names[v] === undefined ? String(v) : `${v} ${this.names[v]}`; }

  /** What the grid over the whole window has at a place, or null. */
  sampled(t) {
    const r = this.regions;
    if (r.sample === null) return null;
    const n = r.sample.side, [x, y] = [0, 1].map((a) => Math.floor(n * (t[a] - r.whole[0][a]) / this.wide[a]));
    return x >= 0 && y >= 0 && x < n && y < n ? r.sample.values[y * n + x] : null;
  }

  /** Say which data point is under the pointer, if one is. */
  point(t) {
    if (!t) return;
    const near = this.regions.marks.map((m) => [Math.hypot(m[0] - t[0], m[1] - t[1]) * this.scale, m]).filter(([far]) => far < 8);
    if (!near.length) return;
    const [, [, , i, label, predicted]] = near.sort((a, b) => a[0] - b[0])[0];
    const more = label === null ? "" : `: label ${this.named(label)}` + (label === predicted ? ", classified so" : `, classified as ${this.named(predicted)}`);
    this.panel.prepend(element("p", `Data point ${i}${more}`));
  }

  draw() {
    if (this.scheduled || !this.width) return;
    this.scheduled = true;
    requestAnimationFrame(() => { this.scheduled = false; this.render(); });
  }

  render() {
    const r = this.regions, g = this.context, [w, h] = this.span, s = this.scale;
    const style = getComputedStyle(this.figure);
    g.setTransform(this.ratio, 0, 0, this.ratio, 0, 0);
    g.clearRect(0, 0, this.width, this.height);
    const ox = this.width / 2 + (r.low[0] - this.center[0]) * s, oy = this.height / 2 - (r.low[1] - this.center[1]) * s;
    const kx = w * s, ky = -h * s; // a place (x, y) from 0 to 1 is drawn at (ox + kx x, oy + ky y)
    const trace = (i) => {
      g.beginPath();
      for (let k = r.start[i]; k < r.start[i + 1]; k++) g.lineTo(ox + kx * r.corners[2 * k], oy + ky * r.corners[2 * k + 1]);
      g.closePath();
    };
    const [left, right] = [-ox / kx, (this.width - ox) / kx], [bottom, top] = [(this.height - oy) / ky, -oy / ky];
    const seen = [];
    for (let i = 0; i < r.n; i++)
      if (r.boxes[4 * i] <= right && r.boxes[4 * i + 2] >= left && r.boxes[4 * i + 1] <= top && r.boxes[4 * i + 3] >= bottom) seen.push(i);
    this.backdrop(g);
    g.lineWidth = 0.7; // in its own colour: no seams between neighbours
    for (const i of seen) {
      const k = r.start[i];
      trace(i);
      // Skia, in chromium, leaves parts of a convex path unfilled where an edge is far shorter than a pixel; with a
      // second contour, here of no area, the path is filled as any other.
      g.moveTo(ox + kx * r.corners[2 * k], oy + ky * r.corners[2 * k + 1]);
      g.lineTo(ox + kx * r.corners[2 * k + 2], oy + ky * r.corners[2 * k + 3]);
      g.fillStyle = g.strokeStyle = this.fill[i];
      g.fill();
      g.stroke();
    }
    g.strokeStyle = "rgba(255,255,255,.55)";
    g.lineWidth = 0.6;
    if (seen.length < 4000) for (const i of seen) { trace(i); g.stroke(); }
    const marks = r.marks.map((m) => [this.width / 2 + (m[0] - this.center[0]) * s, this.height / 2 - (m[1] - this.center[1]) * s, ...m.slice(2)])
      .filter(([x, y]) => x > -9 && y > -9 && x < this.width + 9 && y < this.height + 9);
    for (const m of marks) this.mark(g, marks.length, ...m);
    if (this.region >= 0) {
      trace(this.region);
      g.strokeStyle = "#000"; g.lineWidth = 4; g.stroke();
      g.strokeStyle = "#fff"; g.lineWidth = 2; g.stroke();
    }
    this.ticks(g);
    if (document.activeElement === this.canvas) {
      g.strokeStyle = style.color; g.lineWidth = 1;
      g.beginPath();
      g.moveTo(this.width / 2 - 8, this.height / 2); g.lineTo(this.width / 2 + 8, this.height / 2);
      g.moveTo(this.width / 2, this.height / 2 - 8); g.lineTo(this.width / 2, this.height / 2 + 8);
      g.stroke();
    }
    this.canvas.dataset.scale = s;
    this.canvas.dataset.center = this.center.join(" ");
    this.canvas.dataset.drawn = seen.length;
  }

  /** The grid of samples over the whole window, and the frame of the part whose regions are known. */
  backdrop(g) {
    const r = this.regions, s = this.scale;
    if (r.sample === null) return;
    const n = r.sample.side, [w, h] = this.wide.map((side) => side * s / n);
    const x0 = this.width / 2 + (r.whole[0][0] - this.center[0]) * s, y0 = this.height / 2 - (r.whole[0][1] - this.center[1]) * s;
    for (let k = 0; k < n; k++)
      for (let i = 0; i < n; i++) {
        g.fillStyle = this.colour.value === "output" ? this.tone(r.sample.values[k * n + i]) : "rgba(128,128,128,.25)";
        g.fillRect(x0 + i * w, y0 - (k + 1) * h, w + 0.5, h + 0.5);
      }
    if (!r.n) return;
    const left = this.width / 2 + (r.low[0] - this.center[0]) * s, top = this.height / 2 - (r.high[1] - this.center[1]) * s;
    for (const [colour, width] of [["#000", 3], ["#fff", 1]]) {
      g.strokeStyle = colour; g.lineWidth = width;
      g.strokeRect(left - 2, top - 2, this.span[0] * s + 4, this.span[1] * s + 4);
    }
  }

  /** Ticks with numbers along the lower and the left side, and the names of the axes. */
  ticks(g) {
    const step = (pixels) => {
      const raw = pixels / this.scale, unit = 10 ** Math.floor(Math.log10(raw));
      return unit * [1, 2, 5, 10].find((m) => m * unit >= raw);
    };
    const said = (v, by) => String(Number(v.toPrecision(Math.max(3, Math.ceil(Math.log10(Math.abs(v) / by + 1)) + 1))));
    const write = (text, x, y) => {
      g.strokeStyle = "rgba(255,255,255,.9)"; g.lineWidth = 3; g.strokeText(text, x, y);
      g.fillStyle = "#000"; g.fillText(text, x, y);
    };
    g.font = "11px system-ui, sans-serif";
    const [r, by] = [this.regions, [step(this.width < 500 ? 55 : 90), step(50)]];
    const ends = [[0, 0], [this.width, this.height]].map(([x, y]) => this.place(x, y));
    const line = (x0, y0, x1, y1) => {
      for (const [colour, width] of [["#fff", 3], ["#000", 1]]) {
        g.strokeStyle = colour; g.lineWidth = width;
        g.beginPath(); g.moveTo(x0, y0); g.lineTo(x1, y1); g.stroke();
      }
    };
    g.textAlign = "center";
    for (let k = Math.ceil(ends[0][0] / by[0]); k * by[0] <= ends[1][0]; k++) {
      const x = this.width / 2 + (k * by[0] - this.center[0]) * this.scale;
      if (x < 30 || x > this.width - 52) continue;
      line(x, this.height, x, this.height - 5);
      write(said(k * by[0], by[0]), x, this.height - 8);
    }
    g.textAlign = "left";
    for (let k = Math.ceil(ends[1][1] / by[1]); k * by[1] <= ends[0][1]; k++) {
      const y = this.height / 2 - (k * by[1] - this.center[1]) * this.scale;
      if (y < 28 || y > this.height - 26) continue;
      line(0, y, 5, y);
      write(said(k * by[1], by[1]), 8, y + 4);
    }
    write(r.axes[1], 6, 14);
    g.textAlign = "right";
    write(r.axes[0], this.width - 6, this.height - 8);
    g.textAlign = "left";
  }

  /** A data point: in the colour of its label, with a cross where it is classified otherwise; a few with numbers. */
  mark(g, together, x, y, name, label, predicted) {
    const size = together > 60 ? 3 : 4.5, palette = this.colours.classes;
    for (const [colour, radius] of [["#000", size + 2.4], ["#fff", size + 1.6], [label === null ? "#fff" : palette[label % palette.length], size]]) {
      g.beginPath(); g.arc(x, y, radius, 0, 7);
      g.fillStyle = colour; g.fill();
    }
    if (label !== predicted) {
      for (const [colour, width] of [["#fff", 4], ["#a4161a", 2]]) {
        g.strokeStyle = colour; g.lineWidth = width;
        g.beginPath();
        for (const way of [1, -1]) { g.moveTo(x - size - 2, y - way * (size + 2)); g.lineTo(x + size + 2, y + way * (size + 2)); }
        g.stroke();
      }
    }
    if (together > 12) return;
    g.font = "12px system-ui, sans-serif";
    g.strokeStyle = "#fff"; g.lineWidth = 3; g.strokeText(String(name), x + 9, y + 4);
    g.fillStyle = "#000"; g.fillText(String(name), x + 9, y + 4);
  }
}

const source = document.getElementById("windows");
if (source) {
  const given = JSON.parse(source.textContent);
  new View(document.getElementById("view"), given.windows, given.colours, given.names);
}
})();
