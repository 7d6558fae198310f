// The map of the cells: colour by anything that is searched, pan and zoom, lasso and rectangle, named selections.
const { make } = common;
const GREY = [172, 178, 184, 255];
const MISSING = 255;
const PICK_PIXELS = 14;

const buffer = (view, Kind) => {
  const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
  return new Kind(bytes.slice().buffer);
};
const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));

function lookup(message) {
  const table = new Uint8Array(1024);
  for (let i = 0; i < 256; i++) table.set(GREY, 4 * i);
  message.colours.forEach((hex, i) => table.set([...rgb(hex), 255], 4 * i));
  return table;
}

// low values first, so that high ones are not hidden; missing ones lie below all
function drawingOrder(values, numeric) {
  const n = values.length;
  const order = new Uint32Array(n);
  const starts = new Uint32Array(257);
  const rank = (v) => (v === MISSING ? 0 : numeric ? v + 1 : 1);
  for (let i = 0; i < n; i++) starts[rank(values[i]) + 1]++;
  for (let i = 1; i < 257; i++) starts[i] += starts[i - 1];
  for (let i = 0; i < n; i++) order[starts[rank(values[i])]++] = i;
  return order;
}

// Which points lie in a polygon; places and polygon in the unit square.
function inPolygon(places, polygon) {
  const n = places.length / 2;
  const flags = new Uint8Array(n);
  const xs = polygon.map((p) => p[0] * 65535); const ys = polygon.map((p) => p[1] * 65535);
  const [left, right, low, high] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  for (let i = 0; i < n; i++) {
    const x = places[2 * i]; const y = places[2 * i + 1];
    if (x < left || x > right || y < low || y > high) continue;
    let inside = false;
    for (let a = 0, b = xs.length - 1; a < xs.length; b = a++) {
      if ((ys[a] > y) !== (ys[b] > y) && x < ((xs[b] - xs[a]) * (y - ys[a])) / (ys[b] - ys[a]) + xs[a]) inside = !inside;
    }
    if (inside) flags[i] = 1;
  }
  return flags;
}

function makeMap(root, { onChosen, onPicked, onLeft }) {
  const canvas = make("canvas", {
    class: "mn-cloud", tabindex: "0", role: "application",
    "aria-label": "Map of the cells. Arrow keys move it, plus and minus zoom, Escape clears what is drawn.",
  });
  const sketch = make("canvas", { class: "mn-sketch", "aria-hidden": "true" });
  const frame = make("div", { class: "mn-cloud-frame" }, canvas, sketch);
  root.append(frame);
  const cloud = makeCloud(canvas);
  let places = new Uint16Array(0); let zoom = 1; let centre = [0.5, 0.5]; let mode = "pan"; let waiting = false; let chosen = null; let picking = false;

  const view = () => {
    const wide = canvas.width / Math.max(canvas.height, 1);
    const unit = 1.9 * zoom;
    const scale = wide > 1 ? [unit / wide, unit] : [unit, unit * wide];
    return { scale, shift: [-centre[0] * scale[0], -centre[1] * scale[1]] };
  };
  const size = () => {
    const n = Math.max(places.length / 2, 1);
    const dot = Math.min(7, Math.max(1.5, 220 / Math.sqrt(n)));
    return dot * Math.min(3, Math.sqrt(zoom)) * (globalThis.devicePixelRatio || 1);
  };
  let rest = null;
  function draw() { waiting = false; cloud.draw(view(), size(), rest !== null); }
  function later() { if (!waiting) { waiting = true; requestAnimationFrame(draw); } }
  // draws fast, and all cells once nothing has moved for a moment
  function moved() {
    clearTimeout(rest);
    rest = setTimeout(() => { rest = null; later(); }, 200);
    later();
  }
  function resize() {
    const ratio = globalThis.devicePixelRatio || 1;
    const [w, h] = [frame.clientWidth, frame.clientHeight];
    if (!w || !h) return;
    for (const item of [canvas, sketch]) { item.width = Math.round(w * ratio); item.height = Math.round(h * ratio); }
    later();
  }
  const watcher = new ResizeObserver(resize);
  watcher.observe(frame);

  // a place of the page in the unit square of the points
  const unproject = (event) => {
    const box = canvas.getBoundingClientRect();
    const { scale, shift } = view();
    const x = ((event.clientX - box.left) / box.width) * 2 - 1;
    const y = 1 - ((event.clientY - box.top) / box.height) * 2;
    return [(x - shift[0]) / scale[0], (y - shift[1]) / scale[1]];
  };
  const pixel = (event) => {
    const box = canvas.getBoundingClientRect();
    return [((event.clientX - box.left) / box.width) * sketch.width, ((event.clientY - box.top) / box.height) * sketch.height];
  };
  function choose(flags) {
    chosen = flags;
    cloud.choose(flags);
    onChosen(flags);
    later();
  }
  // the cell that is drawn nearest to a place of the page, none beyond a few pixels
  function nearest(event) {
    const [x, y] = unproject(event); const { scale } = view(); const box = canvas.getBoundingClientRect();
    const [wide, high] = [(scale[0] * box.width) / 2, (scale[1] * box.height) / 2];
    let best = -1; let least = PICK_PIXELS ** 2;
    for (let i = 0; i < places.length / 2; i++) {
      const d = ((places[2 * i] / 65535 - x) * wide) ** 2 + ((places[2 * i + 1] / 65535 - y) * high) ** 2;
      if (d < least) { least = d; best = i; }
    }
    return best;
  }
  let drag = null;
  canvas.addEventListener("pointerdown", (event) => {
    canvas.setPointerCapture(event.pointerId);
    drag = { from: unproject(event), centre: [...centre], start: [event.clientX, event.clientY], path: [unproject(event)], trace: [pixel(event)] };
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!drag) return;
    if (picking || mode === "pan") {
      const box = canvas.getBoundingClientRect(); const { scale } = view();
      centre = [
        drag.centre[0] - ((event.clientX - drag.start[0]) / box.width) * 2 / scale[0],
        drag.centre[1] + ((event.clientY - drag.start[1]) / box.height) * 2 / scale[1],
      ];
      moved();
      return;
    }
    const here = unproject(event); const at = pixel(event);
    if (mode === "lasso") { drag.path.push(here); drag.trace.push(at); } else {
      const [a, b] = [drag.from, drag.trace[0]];
      drag.path = [a, [here[0], a[1]], here, [a[0], here[1]]];
      drag.trace = [b, [at[0], b[1]], at, [b[0], at[1]]];
    }
    const pen = sketch.getContext("2d");
    pen.clearRect(0, 0, sketch.width, sketch.height);
    pen.beginPath();
    drag.trace.forEach(([x, y], i) => (i ? pen.lineTo(x, y) : pen.moveTo(x, y)));
    pen.closePath();
    pen.fillStyle = "rgba(0, 114, 178, 0.12)"; pen.strokeStyle = "#0072b2"; pen.lineWidth = 2;
    pen.fill(); pen.stroke();
  });
  canvas.addEventListener("pointerup", (event) => {
    if (drag && picking) {
      const still = Math.hypot(event.clientX - drag.start[0], event.clientY - drag.start[1]) < 5;
      if (still) onPicked(nearest(event));
    } else if (drag && mode !== "pan" && drag.path.length > 2) {
      const flags = inPolygon(places, drag.path);
      choose(flags.some(Boolean) ? flags : null);
    }
    drag = null;
    sketch.getContext("2d").clearRect(0, 0, sketch.width, sketch.height);
  });
  function zoomBy(factor, fixed = centre) {
    const next = Math.min(200, Math.max(0.5, zoom * factor));
    centre = centre.map((c, i) => fixed[i] + (c - fixed[i]) * (zoom / next));
    zoom = next;
    moved();
  }
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    zoomBy(Math.exp(-event.deltaY * 0.0015), unproject(event));
  }, { passive: false });
  function move(dx, dy) { centre = [centre[0] + dx / zoom, centre[1] + dy / zoom]; moved(); }
  function reset() { zoom = 1; centre = [0.5, 0.5]; later(); }
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, 0.1], ArrowDown: [0, -0.1] };
    if (moves[event.key]) move(...moves[event.key]);
    else if (event.key === "+" || event.key === "=") zoomBy(1.3);
    else if (event.key === "-") zoomBy(1 / 1.3);
    else if (event.key === "0") reset();
    else if (event.key === "Escape" && picking) onLeft();
    else if (event.key === "Escape") choose(null);
    else return;
    event.preventDefault();
  });
  return {
    webgl: cloud.webgl,
    points(data) { places = data; cloud.points(data); resize(); },
    colours(values, message) { cloud.colours(values, lookup(message), drawingOrder(values, message.numeric)); if (chosen) cloud.choose(chosen); later(); },
    mode(name) { mode = name; frame.dataset.mode = name; },
    picking(flag) { picking = flag; frame.dataset.pick = String(flag); },
    choose, zoomBy, reset, move, draw,
    close() { watcher.disconnect(); clearTimeout(rest); },
  };
}

// The bar that asks for one cell: by a click on the map, or by its name.
function makePick(model, send) {
  const hint = make("p", { role: "status" });
  const leave = () => send({ kind: "picked", name: "" });
  const search = makeSearch({
    label: "Cell", placeholder: "name of a cell", ask: (text, id) => send({ kind: "search-cell", text, id }),
    onPick: (item) => send({ kind: "picked", name: item.label }),
  });
  const back = make("button", { type: "button", class: "mn-button" }, "Back without a cell");
  back.addEventListener("click", leave);
  const node = make("div", { class: "mn-pick", role: "group", "aria-label": "Pick a cell", hidden: true }, hint, search.node, back);
  return {
    node, leave, show: search.show,
    take(i) {
      if (i >= 0) send({ kind: "picked", index: i });
      else hint.textContent = `There is no cell at this place. ${model.get("pick")}`;
    },
    draw() {
      const asked = Boolean(model.get("pick"));
      node.hidden = !asked;
      hint.textContent = model.get("pick");
      if (asked) { search.input.value = ""; setTimeout(() => { node.scrollIntoView({ block: "nearest" }); back.focus(); }, 50); }
      return asked;
    },
  };
}

function render({ model, el }) {
  const send = (content, buffers) => model.send(content, undefined, buffers);
  const status = make("p", { class: "mn-help", role: "status" }, "The cells are being loaded");
  const legend = make("div", { class: "mn-legend" });
  const search = makeSearch({ label: "Colour by", placeholder: "gene, peak, motif, topic, NITE, any column", ask: (text, id) => send({ kind: "search", text, id }), onPick: (item) => send({ kind: "show", key: item.key }) });
  let chosen = null; let values = null; let message = null;

  const count = make("span", { class: "mn-count", role: "status" }, "No cells are chosen");
  const name = make("input", { type: "text", "aria-label": "Name of the selection", maxlength: "40", placeholder: "name of the selection" });
  const keep = make("button", { type: "button", class: "mn-button", disabled: true }, "Keep selection");
  const drop = make("button", { type: "button", class: "mn-button", disabled: true }, "Clear");
  function onChosen(flags) {
    chosen = flags;
    const n = flags ? flags.reduce((sum, flag) => sum + flag, 0) : 0;
    count.textContent = n ? `${n.toLocaleString("en")} cells are chosen` : "No cells are chosen";
    keep.disabled = !n; drop.disabled = !n;
  }
  const left = make("div", { class: "mn-map" });
  const pick = makePick(model, send);
  const map = makeMap(left, { onChosen, onPicked: pick.take, onLeft: pick.leave });
  function showPick() { map.picking(pick.draw()); }
  const modes = ["pan", "lasso", "rectangle"].map((mode) => {
    const button = make("button", { type: "button", class: "mn-button", "aria-pressed": "false" }, mode[0].toUpperCase() + mode.slice(1));
    button.addEventListener("click", () => setMode(mode));
    return [mode, button];
  });
  function setMode(chosenMode) {
    map.mode(chosenMode);
    for (const [mode, button] of modes) button.setAttribute("aria-pressed", String(mode === chosenMode));
  }
  const act = (text, label, action) => {
    const button = make("button", { type: "button", class: "mn-button", "aria-label": label }, text);
    button.addEventListener("click", action);
    return button;
  };
  const tools = make("div", { class: "mn-map-tools", role: "toolbar", "aria-label": "Map" }, ...modes.map(([, button]) => button),
    act("+", "Zoom in", () => map.zoomBy(1.4)), act("−", "Zoom out", () => map.zoomBy(1 / 1.4)), act("Whole map", "Show the whole map", () => map.reset()));
  keep.addEventListener("click", () => {
    send({ kind: "keep", name: name.value }, [chosen.buffer]);
    name.value = "";
    map.choose(null);
  });
  name.addEventListener("keydown", (event) => { if (event.key === "Enter" && !keep.disabled) keep.click(); });
  drop.addEventListener("click", () => map.choose(null));
  left.prepend(pick.node, search.node, tools);
  left.append(make("div", { class: "mn-keep" }, count, name, keep, drop), legend, status);
  el.replaceChildren(left);

  // choosing by value is what a lasso cannot do without a mouse
  function chooseBy(test) {
    const flags = new Uint8Array(values.length);
    for (let i = 0; i < values.length; i++) flags[i] = test(values[i]) ? 1 : 0;
    map.choose(flags.some(Boolean) ? flags : null);
  }
  function drawLegend() {
    if (message.numeric) {
      const bar = make("span", { class: "mn-bar", "aria-hidden": "true", style: `background: linear-gradient(to right, ${message.colours.filter((_, i) => i % 16 === 0).join(", ")})` });
      const number = make("input", { type: "number", step: "any", "aria-label": `Choose cells with ${message.label} of at least` });
      const button = make("button", { type: "button", class: "mn-button" }, "Choose cells at or above");
      button.addEventListener("click", () => {
        const limit = Number(number.value);
        if (number.value !== "") chooseBy((v) => v !== MISSING && message.low + (v / 254) * (message.high - message.low) >= limit - (message.high - message.low) / 508);
      });
      legend.replaceChildren(make("div", { class: "mn-scale" }, make("b", {}, message.label), make("span", {}, common.format(message.low)), bar,
        make("span", {}, common.format(message.high)), make("span", { class: "mn-help" }, message.unit)), make("div", { class: "mn-keep" }, button, number));
      return;
    }
    legend.replaceChildren(make("b", {}, message.label), make("div", { class: "mn-classes" }, ...message.names.map((text, i) => {
      const swatch = make("span", { class: "mn-swatch", style: `background: ${message.colours[i]}`, "aria-hidden": "true" });
      const button = make("button", { type: "button", class: "mn-class", title: `Choose the cells of ${text}` }, swatch, text, make("span", { class: "mn-size" }, ` ${message.counts[i].toLocaleString("en")}`));
      button.addEventListener("click", () => chooseBy((v) => v === i));
      return button;
    })));
  }
  function received(content, buffers) {
    if (content.kind === "points") {
      map.points(buffer(buffers[0], Uint16Array));
      status.textContent = `${content.n.toLocaleString("en")} cells, ${content.label}${map.webgl ? "" : "; drawn without WebGL"}`;
    } else if (content.kind === "colour") {
      values = buffer(buffers[0], Uint8Array);
      message = content;
      map.colours(values, content);
      search.say(content.label);
      drawLegend();
      el.dataset.shown = content.key;
    } else if (content.kind === "found-cell") pick.show(content.items, content.id);
    else if (content.kind === "found") search.show(content.items, content.id);
    else if (content.kind === "problem") status.textContent = content.text;
  }
  model.on("msg:custom", received);
  model.on("change:pick", showPick);
  setMode("pan");
  showPick();
  send({ kind: "ready" });
  return () => { model.off("msg:custom", received); model.off("change:pick", showPick); map.close(); };
}

export default { render };
