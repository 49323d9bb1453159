"use strict";
const data = JSON.parse(document.getElementById("data").textContent);
const KINDS = ["malformed", "define", "refine", "code", "helper"];
const find = (id) => document.getElementById(id);
const view = { panes: [], time: 0, end: 0, pane: 0, node: 0, playing: 0, filter: () => true, filtering: false };

/** Makes an element; strings become text, so nothing that a model wrote is ever read as HTML. */
function make(tag, attributes = {}, ...content) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...content.filter((part) => part !== null));
  return element;
}

// ---- the trees -------------------------------------------------------------------------------------------------

function readTree(row) {
  const { parent, born } = row.nodes, count = parent.length;
  const children = Array.from({ length: count }, () => []);
  const depth = new Int32Array(count);
  for (let v = 1; v < count; v++) { children[parent[v]].push(v); depth[v] = depth[parent[v]] + 1; }
  const tree = { ...row, ...row.nodes, count, children, depth, chosenPath: new Set() };
  tree.levels = depth.reduce((a, b) => Math.max(a, b), 0);
  tree.across = rows(tree);
  tree.leaves = new Int32Array(count); // at or below a node
  for (let v = count - 1; v >= 0; v--) { tree.leaves[v] ||= 1; if (v) tree.leaves[parent[v]] += tree.leaves[v]; }
  tree.breadth = tree.across.reduce((a, b) => Math.max(a, b), 0);
  tree.simulations = Math.max(born.reduce((a, b) => Math.max(a, b), 0), ...row.trace[0] ?? [0]);
  if (row.chosen !== null) for (const v of pathTo(tree, row.chosen)) tree.chosenPath.add(v);
  tree.guided = row.nodes.prior.some((p) => p > 0);
  tree.cut = new Set(row.nodes.cut); // samples that the budget cut: never taken, never judged
  return tree;
}

const LABEL_LEVELS = 2;

/** The row of each node. A leaf's label takes the room of the next levels, so it is laid out with a tail of its own. */
function rows(tree) {
  const { parent, depth, count, levels } = tree, extended = tree.children.map((below) => [...below]), owner = [...parent];
  for (let v = 0; v < count; v++) {
    if (tree.children[v].length) continue;
    for (let level = depth[v] + 1, last = v; level <= Math.min(depth[v] + LABEL_LEVELS, levels); level++) {
      extended[last].push(extended.length); owner.push(last); extended.push([]);
      last = extended.length - 1;
    }
  }
  return tidy(extended, (a, b) => (owner[a] === owner[b] ? 1 : 1.3)).slice(0, count);
}

function pathTo(tree, v) {
  const path = [];
  for (; v !== null && v !== undefined; v = tree.parent[v]) path.unshift(v);
  return path;
}

/** Visits and values as they were after so many simulations, replayed from the recorded evaluations. */
function frameAt(tree, time) {
  const whole = time >= tree.simulations || !tree.trace.length;
  if (whole) return { visits: tree.visits, value: tree.value, now: new Set() };
  const visits = new Float64Array(tree.count), total = new Float64Array(tree.count), now = new Set();
  const [simulations, nodes, values] = tree.trace;
  for (let i = 0; i < nodes.length && simulations[i] <= time; i++) {
    for (let v = nodes[i]; v !== null; v = tree.parent[v]) {
      visits[v] += 1; total[v] += values[i];
      if (simulations[i] === time) now.add(v);
    }
  }
  return { visits, value: Array.from(visits, (n, v) => (n ? total[v] / n : null)), now };
}

// ---- colours ---------------------------------------------------------------------------------------------------

let palette;
function readPalette() {
  const style = getComputedStyle(document.documentElement);
  const get = (name) => style.getPropertyValue(name).trim();
  const rgb = (name) => get(name).match(/\w\w/g).map((part) => parseInt(part, 16));
  palette = { ink: get("--ink"), soft: get("--soft"), line: get("--line"), edge: get("--edge"), bad: get("--bad"), paper: get("--paper"), accent: get("--accent"),
    sans: get("--sans"), good: get("--good"), stops: [rgb("--bad"), rgb("--mid"), rgb("--good")] };
  const scale = find("scale"), pen = scale.getContext("2d");
  for (let x = 0; x < scale.width; x++) { pen.fillStyle = colour(x / (scale.width - 1)); pen.fillRect(x, 0, 1, scale.height); }
}

function colour(value) {
  if (value === null) return palette.line;
  const [a, b, t] = value < 0.5 ? [0, 1, 2 * value] : [1, 2, 2 * value - 1];
  const mix = palette.stops[a].map((x, i) => Math.round(x + (palette.stops[b][i] - x) * t));
  return `rgb(${mix})`;
}

// ---- a pane: one tree on one canvas ----------------------------------------------------------------------------

class Pane {
  constructor(place, tree) {
    this.place = place;
    this.tree = tree;
    this.canvas = make("canvas", { tabindex: 0, role: "img", "aria-label": `Search tree of ${tree.agent}; arrow keys walk it` });
    this.pen = this.canvas.getContext("2d");
    this.root = make("div", { class: "pane" }, this.canvas, this.caption());
    this.drag = null;
    this.listen();
  }

  caption() {
    const { tree } = this;
    const facts = [`${tree.count.toLocaleString("en")} nodes`, `${tree.simulations.toLocaleString("en")} simulation${tree.simulations === 1 ? "" : "s"}`,
      `${tree.usage.tokens.toLocaleString("en")} tokens`, `seed ${tree.seed}`].join(" · ");
    return make("div", { class: "caption" }, make("b", {}, tree.agent), " ", verdictMark(tree), make("div", { class: "soft" }, facts));
  }

  fit() {
    const { width, height } = this.canvas.getBoundingClientRect();
    this.width = width; this.height = height;
    this.stepY = Math.min(46, (height - 110) / Math.max(this.tree.breadth, 1));
    const right = this.stepY > 15 ? Math.min(190, width * 0.24) : 20;
    this.stepX = Math.min(300, (width - 60 - right) / Math.max(this.tree.levels, 1));
    this.zoom = 1;
    this.x = 40;
    this.y = 74 + (height - 110 - this.tree.breadth * this.stepY) / 2;
    this.dirty();
  }

  // Zooming spreads levels less than siblings, so that a wide tree stays on the screen while its rows come apart.
  get scaleX() { return this.stepX * Math.min(2.2, Math.max(0.5, this.zoom ** 0.3)); }
  get scaleY() { return this.stepY * this.zoom; }
  at(v) { return [this.x + this.tree.depth[v] * this.scaleX, this.y + this.tree.across[v] * this.scaleY]; }

  zoomBy(factor, px, py) {
    const column = (px - this.x) / this.scaleX, row = (py - this.y) / this.scaleY;
    this.zoom = Math.min(Math.max(this.zoom * factor, 0.4), 60 / Math.min(this.stepY, 30) * 2);
    this.x = px - column * this.scaleX; this.y = py - row * this.scaleY;
    this.dirty();
  }

  radius(v, visits) {
    const room = Math.max(1.6, Math.min(9, this.scaleY * 0.42 * Math.min(8, this.tree.leaves[v])));
    return Math.min(15, room * (0.55 + 0.45 * Math.log2(1 + visits)) ** 0.75);
  }

  nearest(px, py) {
    let best = null, least = 18 ** 2;
    for (let v = 0; v < this.tree.count; v++) {
      if (this.tree.born[v] > view.time) continue;
      const [x, y] = this.at(v), distance = (x - px) ** 2 + (y - py) ** 2;
      if (distance < least) { least = distance; best = v; }
    }
    return best;
  }

  reveal(v) {
    const [x, y] = this.at(v);
    if (x < 30) this.x += 60 - x; else if (x > this.width - 60) this.x -= x - this.width + 120;
    if (y < 80) this.y += 100 - y; else if (y > this.height - 30) this.y -= y - this.height + 60;
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.shiftKey) { this.y -= event.deltaY; this.dirty(); }
      else this.zoomBy(Math.exp(-event.deltaY * 0.0016), event.offsetX, event.offsetY);
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.drag = { x: event.clientX, y: event.clientY, moved: false };
    });
    canvas.addEventListener("pointermove", (event) => this.pointer(event));
    canvas.addEventListener("pointerup", (event) => {
      const clicked = this.drag && !this.drag.moved;
      this.drag = null;
      const v = this.nearest(event.offsetX, event.offsetY);
      if (clicked && v !== null) select(this.place, v);
    });
    canvas.addEventListener("pointerleave", () => { find("tip").hidden = true; });
    canvas.addEventListener("keydown", (event) => this.key(event));
  }

  pointer(event) {
    if (!this.drag) { showTip(this.tree, this.nearest(event.offsetX, event.offsetY), event); return; }
    const dx = event.clientX - this.drag.x, dy = event.clientY - this.drag.y;
    if (!this.drag.moved && Math.hypot(dx, dy) < 4) return;
    this.drag = { x: event.clientX, y: event.clientY, moved: true };
    this.x += dx; this.y += dy;
    find("tip").hidden = true;
    this.dirty();
  }

  key(event) {
    const { tree } = this, v = view.pane === this.place ? view.node : 0;
    const siblings = v ? tree.children[tree.parent[v]] : [v], here = siblings.indexOf(v);
    const target = { ArrowLeft: tree.parent[v], ArrowRight: tree.children[v][0], ArrowUp: siblings[here - 1],
      ArrowDown: siblings[here + 1], Home: 0, "+": v, "-": v }[event.key];
    if (target === undefined || target === null) return;
    event.preventDefault();
    if (event.key === "+" || event.key === "-") this.zoomBy(event.key === "+" ? 1.25 : 0.8, ...this.at(v));
    else { select(this.place, target); this.reveal(target); }
  }

  dirty() {
    if (this.waiting) return;
    this.waiting = requestAnimationFrame(() => { this.waiting = 0; this.draw(); });
  }

  draw() {
    const { canvas, pen, tree } = this, ratio = devicePixelRatio || 1;
    if (canvas.width !== Math.round(this.width * ratio) || canvas.height !== Math.round(this.height * ratio)) {
      canvas.width = Math.round(this.width * ratio); canvas.height = Math.round(this.height * ratio);
    }
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, this.width, this.height);
    const frame = frameAt(tree, view.time);
    const shown = [];
    for (let v = 0; v < tree.count; v++) if (tree.born[v] <= view.time) shown.push(v);
    const bright = (v) => !view.filtering || view.filter(tree, v);
    for (const v of shown) if (v) this.edge(v, frame, bright(v));
    for (const v of shown) this.node(v, frame, bright(v));
    for (const v of shown) if (this.scaleY * tree.leaves[v] > (tree.children[v].length ? 34 : 15)) this.label(v, bright(v), frame);
    pen.globalAlpha = 1;
  }

  edge(v, frame, bright) {
    const { pen, tree } = this, [x0, y0] = this.at(tree.parent[v]), [x1, y1] = this.at(v);
    if (Math.max(y0, y1) < -20 || Math.min(y0, y1) > this.height + 20) return;
    const onWay = tree.chosenPath.has(v), fresh = frame.now.has(v);
    const crowd = Math.min(1, 0.35 + this.scaleY / 8);
    pen.globalAlpha = onWay ? 1 : bright ? (tree.children[v].length ? 1 : crowd) : 0.16;
    pen.strokeStyle = onWay ? palette.accent : fresh ? palette.ink : palette.edge;
    pen.lineWidth = onWay ? 2.5 : Math.min(5, 1 + Math.log2(1 + frame.visits[v]) * 0.45) * crowd;
    const bend = (x0 + x1) / 2;
    pen.beginPath(); pen.moveTo(x0, y0); pen.bezierCurveTo(bend, y0, bend, y1, x1, y1); pen.stroke();
  }

  node(v, frame, bright) {
    const { pen, tree } = this, [x, y] = this.at(v), r = this.radius(v, frame.visits[v]);
    if (y < -20 || y > this.height + 20 || x < -20 || x > this.width + 20) return;
    const chosen = view.pane === this.place && view.node === v, kind = tree.kind[v];
    pen.globalAlpha = bright ? 1 : 0.14;
    pen.beginPath();
    if (kind === 3) pen.roundRect(x - r * 0.92, y - r * 0.92, 1.84 * r, 1.84 * r, r * 0.35);
    else pen.arc(x, y, r, 0, 7);
    pen.fillStyle = frame.value[v] === null ? palette.paper : colour(frame.value[v]);
    pen.fill();
    pen.lineWidth = chosen ? 3 : 1;
    pen.strokeStyle = chosen ? palette.ink : frame.value[v] === null ? palette.soft : palette.paper;
    if (tree.cut.has(v)) pen.setLineDash([2.5, 2]);
    pen.stroke();
    pen.setLineDash([]);
    if (tree.outcome[v] === "pass" && r > 2.5) this.ring(x, y, r + 2.6);
    if (kind === 0 && r > 2.5) this.cross(x, y, Math.max(2, r * 0.45));
    if (frame.now.has(v) && tree.children[v].every((w) => !frame.now.has(w))) this.pulse(x, y, r + 6);
  }

  ring(x, y, r) {
    const { pen } = this;
    pen.beginPath(); pen.roundRect(x - r, y - r, 2 * r, 2 * r, r * 0.4);
    pen.lineWidth = 1.6; pen.strokeStyle = palette.good; pen.stroke();
  }

  cross(x, y, r) {
    const { pen } = this;
    pen.beginPath(); pen.moveTo(x - r, y - r); pen.lineTo(x + r, y + r); pen.moveTo(x - r, y + r); pen.lineTo(x + r, y - r);
    pen.lineWidth = 1.5; pen.strokeStyle = palette.ink; pen.stroke();
  }

  pulse(x, y, r) {
    const { pen } = this;
    pen.beginPath(); pen.arc(x, y, r, 0, 7); pen.lineWidth = 1.5; pen.strokeStyle = palette.ink; pen.stroke();
  }

  /** Leaves are labelled to their right; inner nodes above, as wide as their level. */
  label(v, bright, frame) {
    const { pen, tree } = this, [x, y] = this.at(v);
    if (!v || y < -10 || y > this.height + 10) return;
    const leaf = !tree.children[v].some((w) => tree.born[w] <= view.time), r = this.radius(v, frame.visits[v]);
    const beyond = tree.depth[v] + LABEL_LEVELS >= tree.levels ? this.width - 12 : x + (LABEL_LEVELS + 0.75) * this.scaleX;
    let px = leaf ? x + r + 9 : x;
    pen.globalAlpha = bright ? (tree.chosenPath.has(v) ? 1 : 0.85) : 0.12;
    if (leaf) px += this.bits(tree.bits[v], px, y);
    const weight = tree.chosenPath.has(v) ? "600 " : "", font = `${weight}12px ${palette.sans}`;
    const text = clip(pen, headline(tree, v), leaf ? Math.min(beyond - px, 420) : this.scaleX * 0.9, font);
    pen.font = font;
    pen.textAlign = leaf ? "left" : "center"; pen.textBaseline = leaf ? "middle" : "alphabetic";
    const py = leaf ? y + 0.5 : y - r - 6;
    pen.lineWidth = 3.5; pen.lineJoin = "round"; pen.strokeStyle = palette.paper; pen.strokeText(text, px, py);
    pen.fillStyle = tree.chosenPath.has(v) ? palette.ink : palette.soft; pen.fillText(text, px, py);
  }

  /** Draws a tick per test, high and green where it passed; returns the width. */
  bits(bits, x, y) {
    const { pen } = this, shown = bits.slice(0, 12);
    [...shown].forEach((bit, i) => {
      pen.fillStyle = bit === "1" ? palette.good : palette.bad;
      pen.fillRect(x + i * 5, bit === "1" ? y - 5 : y + 1, 3, bit === "1" ? 10 : 4);
    });
    return shown.length ? shown.length * 5 + 6 : 0;
  }
}

const clipped = new Map();
function clip(pen, text, room, font) {
  const key = `${Math.round(room / 6)} ${font[0]} ${text}`;
  if (clipped.has(key)) return clipped.get(key);
  pen.font = font;
  let short = text;
  if (pen.measureText(text).width > room) {
    let low = 0, high = text.length;
    while (low < high) { const half = (low + high + 1) >> 1; if (pen.measureText(`${text.slice(0, half)}…`).width <= room) low = half; else high = half - 1; }
    short = low > 2 ? `${text.slice(0, low).trimEnd()}…` : "";
  }
  if (clipped.size > 20000) clipped.clear();
  clipped.set(key, short);
  return short;
}

function headline(tree, v) {
  if (!v) return "question";
  return tree.origin[v] ? `${tree.origin[v]} · ${stepLine(tree, v)}` : stepLine(tree, v);
}

function stepLine(tree, v) {
  const lines = linesOf(tree.text[v]);
  if (tree.kind[v] === 3) {
    const plain = ["pass", "wrong_answer", null].includes(tree.outcome[v]);
    return `${plain ? "" : `${words(tree.outcome[v])} · `}${ownLine(tree, v, telling(lines)) ?? codeLine(lines)}`;
  }
  return ownLine(tree, v, lines) ?? lines[0] ?? "(empty)";
}

const linesOf = (text) => text.split("\n").map((line) => line.trim()).filter(Boolean);

/** The first of the lines that fewest of a step's siblings have: what makes the difference. None where all have all. */
function ownLine(tree, v, lines) {
  const parent = tree.parent[v], siblings = tree.children[parent];
  if (siblings.length < 2) return undefined;
  tree.shared ??= new Map();
  if (!tree.shared.has(parent)) {
    const counts = new Map();
    for (const w of siblings) for (const line of new Set(linesOf(tree.text[w]))) counts.set(line, (counts.get(line) ?? 0) + 1);
    tree.shared.set(parent, counts);
  }
  const counts = tree.shared.get(parent), least = Math.min(...lines.map((line) => counts.get(line)));
  return least < siblings.length ? lines.find((line) => counts.get(line) === least) : undefined;
}

const telling = (lines) => lines.filter((line) => !/^(def|class|import|from|#|"""|'''|@)/.test(line));

/** The most telling line of a program: the first one inside of its last function. */
function codeLine(lines) {
  return telling(lines)[0] ?? lines[0] ?? "(empty)";
}

const words = (outcome) => outcome.replaceAll("_", " ");

/** The class of an outcome: without tests a program is neither right nor wrong. */
const tone = (outcome) => ({ pass: "pass", no_tests: "soft", unsupported: "soft", infrastructure: "soft" })[outcome] ?? "fail";

function verdictMark(tree) {
  if (tree.chosen === null) return make("span", { class: "verdict fail" }, "no answer");
  if (!tree.hidden) return "";
  const { outcome, passed, total } = tree.hidden;
  if (!total) return make("span", { class: "verdict soft" }, "no hidden tests");
  return make("span", { class: `verdict ${tone(outcome)}` }, `hidden tests: ${outcome === "pass" ? "solved" : words(outcome)}, ${passed}/${total}`);
}

function showTip(tree, v, event) {
  const tip = find("tip");
  tip.hidden = v === null;
  if (v === null) return;
  const value = tree.cut.has(v) ? tree.origin[v] : tree.value[v] === null ? "not evaluated" : `v = ${tree.value[v].toFixed(2)}`;
  tip.replaceChildren(make("b", {}, title(tree, v)), make("span", { class: "soft" }, `  ${value}, N = ${tree.visits[v]}`),
    make("pre", {}, v ? tree.text[v].trim().slice(0, 400) : data.problem.prompt.trim().slice(0, 400)));
  const left = Math.min(event.clientX + 16, innerWidth - tip.offsetWidth - 12);
  const below = event.clientY + 18 + tip.offsetHeight < innerHeight;
  tip.style.left = `${left}px`;
  tip.style.top = `${below ? event.clientY + 18 : event.clientY - tip.offsetHeight - 12}px`;
}

const title = (tree, v) => (v ? `Step ${tree.depth[v]} · ${KINDS[tree.kind[v]]}` : "Question");

// ---- details ---------------------------------------------------------------------------------------------------

function select(place, v) {
  view.pane = place; view.node = v;
  for (const pane of view.panes) pane.dirty();
  const tree = view.panes[place].tree, aside = find("details");
  const open = new Set([...aside.querySelectorAll("details[open]")].map((part) => part.dataset.part));
  aside.replaceChildren(...describe(tree, v, place));
  for (const part of aside.querySelectorAll("details")) if (open.has(part.dataset.part)) part.open = true;
  aside.scrollTop = 0;
}

function describe(tree, v, place) {
  const parts = [make("span", { class: "kicker" }, tree.agent), make("h2", {}, title(tree, v))];
  if (tree.origin[v]) parts.push(make("span", { class: "verdict soft" }, tree.origin[v]));
  parts.push(facts(tree, v));
  if (tree.bits[v] || tree.outcome[v]) parts.push(tests(tree, v));
  parts.push(attacks(tree, v, place));
  if (v) parts.push(make("div", { class: "step" }, tree.kind[v] === 3 ? highlighted(tree.text[v]) : make("pre", {}, tree.text[v].trim() || "(empty)")));
  parts.push(part("question", "Question", data.problem.task_id, true, make("div", {}, make("pre", {}, data.problem.prompt.trim()), publicTests())));
  parts.push(wayThere(tree, v, place), below(tree, v, place), prompt(tree, v));
  return parts.filter(Boolean);
}

function facts(tree, v) {
  const cells = [["value v", tree.value[v] === null ? "–" : tree.value[v].toFixed(3)], ["visits N", tree.visits[v].toLocaleString("en")]];
  if (v) cells.push(["tokens", tree.tokens[v]], ["log-prob.", tree.logprob[v] === null ? "–" : tree.logprob[v].toFixed(2).replace("-", "−")]);
  if (v && tree.guided) cells.push(["prior P", tree.prior[v].toFixed(3)]);
  if (v && tree.score[v] !== null) cells.push(["PRM", tree.score[v].toFixed(3)]);
  if (v && tree.samples[v] > 1) cells.push(["samples", tree.samples[v]]);
  if (v) cells.push(["found in sim.", tree.born[v]]);
  return make("div", { class: "facts" }, ...cells.map(([name, value]) => make("div", {}, make("b", {}, String(value)), name)));
}

function tests(tree, v) {
  const mark = make("span", { class: `verdict ${tone(tree.outcome[v])}` }, words(tree.outcome[v] ?? "not judged"));
  const items = [...tree.bits[v]].map((bit, i) => make("li", {},
    make("span", { class: bit === "1" ? "pass" : "fail" }, bit === "1" ? "✓" : "✗"), make("code", {}, data.problem.tests[i] ?? `generated test ${i + 1}`)));
  return make("div", {}, mark, make("ul", { class: "tests" }, ...items));
}

/** The inputs on which an adversary saw programs part: at the root all of them, with the nodes of the programs; at a
 * program what it does there. Not each program has a node, and trees of earlier versions count nodes alone. */
function attacks(tree, v, place) {
  const items = tree.partings.flatMap(({ input, outputs, right, confidence }) => outputs
    .filter(([, nodes]) => v === 0 || nodes.includes(v))
    .map(([output, nodes, programs]) => make("li", {},
      make("span", { class: right === null ? "soft" : output === right ? "pass" : "fail" }, right === null ? "?" : output === right ? "✓" : "✗"),
      make("code", {}, `${input} → ${output}`),
      make("span", { class: "soft" }, ` ${counted(programs ?? nodes.length)}${output === right ? `, taken for right by ${Math.round(100 * confidence)} %` : ""}`),
      v === 0 && nodes.length ? list(tree, nodes, v, place) : "")));
  return items.length ? make("div", { class: "attacks" }, make("span", { class: "kicker" }, "attacks that part programs"), make("ul", { class: "tests" }, ...items)) : null;
}

function counted(programs) {
  return programs ? `${programs} ${programs === 1 ? "program" : "programs"}` : "programs without a node";
}

function publicTests() {
  const items = data.problem.tests.map((test) => make("li", {}, make("span", { class: "soft" }, "•"), make("code", {}, test)));
  return items.length ? make("ul", { class: "tests" }, ...items) : null;
}

function wayThere(tree, v, place) {
  const path = pathTo(tree, v);
  return path.length < 2 ? null : part("path", "Path from the question", `${path.length - 1} steps`, true, list(tree, path, v, place));
}

function below(tree, v, place) {
  const order = [...tree.children[v]].sort((a, b) => tree.visits[b] - tree.visits[a] || (tree.value[b] ?? -1) - (tree.value[a] ?? -1));
  return order.length ? part("below", "Next steps tried", String(order.length), true, list(tree, order, v, place)) : null;
}

function list(tree, nodes, here, place) {
  return make("ol", { class: "path" }, ...nodes.map((v) => make("li", {}, make("button", {
    "aria-current": v === here ? "step" : null, onclick: () => { select(place, v); view.panes[place].reveal(v); },
  }, make("i", { style: `background:${colour(tree.value[v])}` }), make("span", {}, v ? KINDS[tree.kind[v]] : "question"),
  make("span", {}, v ? headline(tree, v) : data.problem.prompt.trim().split("\n")[0])))));
}

function prompt(tree, v) {
  const format = data.formats[tree.format];
  if (!format || tree.outcome[v] || tree.kind[v] === 3) return null;
  const steps = pathTo(tree, v).slice(1).map((w) => `${tree.say[w] ?? tree.text[w]}\n\n`).join("");
  const turns = [...format.messages, ["assistant, to be continued", steps + (format.tails[tree.depth[v]] ?? "")]];
  return part("prompt", "Prompt here", "what the model continues", false,
    make("div", { class: "turn" }, ...turns.flatMap(([role, text]) => [make("b", {}, role), make("pre", {}, text)])));
}

function part(name, label, note, open, content) {
  return make("details", { open, "data-part": name }, make("summary", {}, label, " ", make("span", { class: "soft" }, note)), content);
}

const TOKENS = /(#[^\n]*)|("""[\s\S]*?"""|'''[\s\S]*?'''|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')|\b(and|as|assert|break|class|continue|def|del|elif|else|except|False|finally|for|from|if|import|in|is|lambda|None|nonlocal|not|or|pass|raise|return|True|try|while|with|yield)\b|\b(\d[\w.]*)\b/g;
function highlighted(code) {
  const pre = make("pre");
  let end = 0;
  for (const match of code.matchAll(TOKENS)) {
    pre.append(code.slice(end, match.index), make("span", { class: match[1] ? "c" : match[2] ? "s" : match[3] ? "k" : "n" }, match[0]));
    end = match.index + match[0].length;
  }
  pre.append(code.slice(end));
  return pre;
}

// ---- controls --------------------------------------------------------------------------------------------------

const trees = data.trees.map(readTree);
for (const name of ["report", "previous", "next"]) {
  const link = find(name), place = (data.links ?? {})[name];
  if (place) { link.href = place; link.hidden = false; }
}

function showTrees() {
  const chosen = [Number(find("agent-0").value), Number(find("agent-1").value)].filter((i) => i >= 0);
  view.panes = chosen.map((i, place) => new Pane(place, trees[i]));
  find("panes").replaceChildren(...view.panes.map((pane) => pane.root));
  view.end = view.time = Math.max(...view.panes.map((pane) => pane.tree.simulations));
  find("time").max = view.end;
  for (const pane of view.panes) pane.fit();
  setTime(view.end);
  setFilter();
  select(0, view.panes[0].tree.chosen ?? 0);
}

function setTime(time) {
  view.time = time;
  find("time").value = time;
  find("clock").value = `simulation ${time} / ${view.end}`;
  for (const pane of view.panes) pane.dirty();
}

function setFilter() {
  const query = find("query").value.toLowerCase(), kind = find("kind").value, visits = Number(find("visits").value);
  const kindFits = {
    "": () => true, pass: (tree, v) => tree.outcome[v] === "pass", chosen: (tree, v) => tree.chosenPath.has(v),
    fail: (tree, v) => tree.kind[v] === 3 && tone(tree.outcome[v]) === "fail" && !tree.cut.has(v),
    cut: (tree, v) => tree.cut.has(v),
  }[kind] ?? ((tree, v) => v > 0 && tree.kind[v] === Number(kind));
  view.filtering = Boolean(query || kind || visits);
  view.filter = (tree, v) => kindFits(tree, v) && tree.visits[v] >= visits && (!query || tree.text[v].toLowerCase().includes(query));
  let count = 0, total = 0;
  for (const { tree } of view.panes) for (let v = 0; v < tree.count; v++) { total += 1; count += view.filter(tree, v); }
  find("matches").textContent = view.filtering ? `${count.toLocaleString("en")} of ${total.toLocaleString("en")}` : "";
  for (const pane of view.panes) pane.dirty();
}

function play() {
  if (view.playing) { stop(); return; }
  if (view.time >= view.end) setTime(0);
  find("play").textContent = "❚❚";
  const pause = Math.min(600, Math.max(16, 12000 / Math.max(view.end, 1)));
  view.playing = setInterval(() => (view.time >= view.end ? stop() : setTime(view.time + 1)), pause);
}

function stop() {
  clearInterval(view.playing);
  view.playing = 0;
  find("play").textContent = "▶";
}

function start() {
  document.title = `${data.problem.task_id} · search tree`;
  find("task").textContent = data.problem.task_id;
  const severalSeeds = new Set(trees.map((tree) => tree.seed)).size > 1;
  const names = trees.map((tree) => (severalSeeds ? `${tree.agent}, seed ${tree.seed}` : tree.agent));
  find("agent-0").append(...names.map((name, i) => make("option", { value: i }, name)));
  find("agent-1").append(make("option", { value: -1 }, "nothing"), ...names.map((name, i) => make("option", { value: i }, name)));
  find("agent-1").disabled = trees.length < 2;
  const wanted = new URLSearchParams(location.hash.slice(1));
  for (const [place, name] of [[0, "agent"], [1, "beside"]]) {
    const index = names.indexOf(wanted.get(name));
    if (index >= 0) find(`agent-${place}`).value = index;
    find(`agent-${place}`).addEventListener("change", showTrees);
  }
  for (const id of ["query", "kind", "visits"]) find(id).addEventListener("input", setFilter);
  find("time").addEventListener("input", () => { stop(); setTime(Number(find("time").value)); });
  find("play").addEventListener("click", play);
  find("fit").addEventListener("click", () => view.panes.forEach((pane) => pane.fit()));
  addEventListener("keydown", (event) => {
    if (event.target.closest("input, select, button")) return;
    if (event.key === " ") { event.preventDefault(); play(); }
    if (event.key === "f") view.panes.forEach((pane) => pane.fit());
    if (event.key === "/") { event.preventDefault(); find("query").focus(); }
  });
  theme.listeners.push(() => { readPalette(); view.panes.forEach((pane) => pane.dirty()); });
  readPalette();
  showTrees();
  new ResizeObserver(() => view.panes.forEach((pane) => pane.fit())).observe(find("panes"));
  document.documentElement.dataset.ready = Math.round(performance.now());
}

start();
