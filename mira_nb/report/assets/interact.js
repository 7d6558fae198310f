// What every chart can do: points zoom and move, an entry of a legend isolates, keys do the same.
// The specifications in the page stay as they are; what is added here is added when a chart is drawn.
const interact = (() => {
  const POINTS = new Set(["circle", "point", "square"]);
  const FILLED = new Set(["area", "bar"]);
  const PALE = new Set(["circle", "point", "square", "tick"]);
  const BESIDE = ["hconcat", "vconcat", "concat"];
  const COLORED = ["color", "fill", "stroke", "shape"];
  const HINT = "Wheel (after a click, or with Ctrl) zooms, drag moves, double click shows all. A click on a legend's entry isolates it. Keys: + − 0, L for the legend.";
  const FADED = 0.07;
  const STEP = 1.4;

  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const markOf = ({ mark }) => (typeof mark === "string" ? { type: mark } : mark);
  const plain = (field) => field.replace(/\\(.)/g, "$1");
  const bare = (name) => name.replace(/\W/g, "_");
  const some = (node, test) => (Array.isArray(node) ? node.some((part) => some(part, test))
    : isObject(node) && (test(node) || Object.entries(node).some(([key, part]) => key !== "datasets" && key !== "values" && key !== "data" && some(part, test))));

  const isNumber = (channel) => isObject(channel) && typeof channel.field === "string" && channel.type === "quantitative" && !channel.aggregate && !channel.bin;
  const isPoints = (unit, encoding) => POINTS.has(markOf(unit).type) && isNumber(encoding.x) && isNumber(encoding.y);

  // units of one plane, each with what it inherits
  const unitsOf = (node, above = {}) => {
    const encoding = { ...above, ...node.encoding };
    return node.layer ? node.layer.flatMap((part) => unitsOf(part, encoding)) : node.mark ? [{ node, encoding }] : [];
  };

  // fields whose legend's entries can be isolated in a unit
  const shown = (encoding) => [...new Set(COLORED.map((name) => encoding[name])
    .filter((channel) => isObject(channel) && typeof channel.field === "string" && ["nominal", "ordinal"].includes(channel.type) && channel.legend !== null)
    .map((channel) => channel.field))];

  // a chart with the signals only_K (an isolated entry, as text) and zoom_K (the part of a plane that is seen)
  const extend = (spec) => {
    const fields = [];
    let planes = 0;
    const still = some(spec, (node) => node.select === "interval" || node.select?.type === "interval");
    const numberOf = (field) => (fields.includes(field) ? fields.indexOf(field) : fields.push(field) - 1);

    const unit = (node, encoding, zoom, first) => {
      const mark = markOf(node);
      const out = { ...node, mark };
      const isolated = encoding.opacity === undefined ? shown(encoding) : [];
      if (isolated.length) {
        const tests = isolated.map((field) => {
          const name = `only_${numberOf(field)}`;
          return `(${name} === null || toString(datum[${JSON.stringify(plain(field))}]) === ${name})`;
        });
        const value = mark.opacity ?? (PALE.has(mark.type) ? 0.7 : 1);
        out.encoding = { ...node.encoding, opacity: { condition: { test: tests.join(" && "), value }, value: FADED } };
      }
      if (zoom === null) return out;
      // marks reach over the edge of the plane until it is zoomed
      if (mark.clip === undefined) out.mark = { ...mark, clip: { expr: `isValid(${zoom}_tuple)` } };
      if (first === node) out.params = [...(node.params ?? []), { name: zoom, select: { type: "interval" }, bind: "scales" }];
      return out;
    };

    const plane = (node, above, zoom, first) => {
      const encoding = { ...above, ...node.encoding };
      if (!node.layer) return node.mark ? unit(node, encoding, zoom, first) : node;
      return { ...node, layer: node.layer.map((part) => plane(part, encoding, zoom, first)) };
    };

    const visit = (node, repeated) => {
      if (!isObject(node)) return node;
      const key = BESIDE.find((name) => node[name]);
      if (key) return { ...node, [key]: node[key].map((part) => visit(part, repeated)) };
      if (node.spec) return { ...node, spec: visit(node.spec, true) };
      const units = unitsOf(node);
      const apart = some(node, ({ scale }) => isObject(scale) && (scale.x === "independent" || scale.y === "independent"));
      const first = repeated || still || apart || units.some((part) => FILLED.has(markOf(part.node).type)) || (node.encoding?.row ?? node.encoding?.column ?? node.encoding?.facet)
        ? undefined : units.find((part) => isPoints(part.node, part.encoding))?.node;
      const zoom = first ? `zoom_${(planes += 1) - 1}` : null;
      return plane(node, {}, zoom, first);
    };

    const out = visit(spec, false);
    const more = fields.map((_, k) => ({ name: `only_${k}`, value: null }));
    return { spec: more.length ? { ...out, params: [...(out.params ?? []), ...more] } : out, fields, planes };
  };

  // names of style "spread" avoid points and each other, as charts/labels.py does without a browser
  const spread = (node, moving, layout) => {
    const points = (node.marks ?? []).filter((part) => part.type === "symbol" && part.name).map((part) => part.name);
    for (const part of node.marks ?? []) {
      if (part.marks) spread(part, moving, layout);
      if (!part.style?.includes?.("spread")) continue;
      delete part.encode.update.dx;
      delete part.encode.update.dy;
      // named here, a signal that moves the points places the names anew
      part.transform = [{ ...layout, size: { signal: `[width, height + 0 * length([${moving.join(", ")}])]` }, avoidMarks: points }];
    }
  };

  // legends of a compiled chart take clicks; which signals hold the zoom of which scale
  const mark = (vega, { fields }, layout) => {
    const signals = (vega.signals ?? []).filter(({ name, bind }) => bind || /^zoom_\d+$/.test(name)).map(({ name }) => name);
    spread(vega, signals, layout);
    const fieldOf = new Map();
    const zooms = [];
    const entries = fields.map(() => []);
    some(vega, (node) => {
      if (typeof node.scale === "string" && typeof node.field === "string") fieldOf.set(node.scale, plain(node.field));
      const raw = /^zoom_\d+\["(.*)"\]$/.exec(node.domainRaw?.signal ?? "");
      if (raw) zooms.push({ scale: node.name, type: node.type, signal: `${node.domainRaw.signal.split("[")[0]}_${bare(plain(JSON.parse(`"${raw[1]}"`)))}` });
      return false;
    });
    some(vega, (node) => {
      for (const legend of Array.isArray(node.legends) ? node.legends : []) {
        const scale = legend.fill ?? legend.stroke ?? legend.shape;
        const k = legend.type === "gradient" ? -1 : fields.findIndex((field) => plain(field) === fieldOf.get(scale));
        if (k < 0) continue;
        entries[k].push(scale);
        const part = (name, own = {}) => ({ ...own, name: `only_${k}_${name}`, interactive: true, update: { ...own.update, cursor: { value: "pointer" } } });
        const { entries: groups, symbols, labels } = legend.encode ?? {};
        legend.encode = { ...legend.encode, symbols: part("symbols", symbols), labels: part("labels", labels),
          entries: part("entries", { ...groups, update: { fill: { value: "transparent" }, ...groups?.update } }) };
      }
      return false;
    });
    return { zooms, entries };
  };

  const only = (view, k, value) => view.signal(`only_${k}`, view.signal(`only_${k}`) === value ? null : value).runAsync();

  // the plane K times as far in, about its middle
  const zoomed = (view, zooms, factor) => {
    for (const { scale, type, signal } of zooms) {
      const log = type === "log";
      const ends = view.scale(scale).domain().map((end) => (log ? Math.log(end) : Number(end)));
      const [low, high] = [ends[0], ends.at(-1)];
      const half = (high - low) / 2 / factor;
      view.signal(signal, [(low + high) / 2 - half, (low + high) / 2 + half].map((end) => (log ? Math.exp(end) : end)));
    }
    return view.runAsync();
  };
  const reset = (figure) => {
    const { view } = figure.result;
    for (const { signal } of figure.zooms) view.signal(signal, null);
    figure.fields.forEach((_, k) => view.signal(`only_${k}`, null));
    return view.runAsync();
  };

  // entries of a legend in their order, as its scale knows them
  const domainOf = (figure, k) => {
    const { view } = figure.result;
    const legend = figure.entries[k].find(Boolean);
    return legend ? view.scale(legend).domain().map(String).filter((value) => value !== "|") : [];
  };
  const nextEntry = (figure) => {
    const { view } = figure.result;
    const all = figure.fields.flatMap((_, k) => domainOf(figure, k).map((value) => ({ k, value })));
    const at = all.findIndex(({ k, value }) => view.signal(`only_${k}`) === value);
    figure.fields.forEach((_, k) => view.signal(`only_${k}`, null));
    const next = all[at + 1];
    if (next) view.signal(`only_${next.k}`, next.value);
    say(next ? `Only ${next.value} is shown` : "All are shown");
    return view.runAsync();
  };

  let heard = null;
  const say = (text) => {
    heard ??= document.body.appendChild(common.make("p", { class: "hidden", role: "status" }));
    heard.textContent = text;
  };

  const keys = (figure) => (event) => {
    if (!figure.result || event.ctrlKey || event.metaKey || event.altKey || event.target.closest("select, input, button")) return;
    const { view } = figure.result;
    const acts = {
      ...(figure.zooms.length ? { "+": () => zoomed(view, figure.zooms, STEP), "=": () => zoomed(view, figure.zooms, STEP), "-": () => zoomed(view, figure.zooms, 1 / STEP) } : {}),
      ...(figure.zooms.length || figure.fields.length ? { 0: () => reset(figure) } : {}),
      ...(figure.fields.length ? { l: () => nextEntry(figure) } : {}),
    };
    const act = acts[event.key.toLowerCase()];
    if (!act) return;
    event.preventDefault();
    act();
  };

  // the page scrolls over a chart until the chart is clicked, and again once the pointer left it; a finger scrolls it always
  const guard = (figure) => {
    let held = false;
    const region = figure.node.closest(".canvas") ?? figure.node;
    figure.node.addEventListener("wheel", (event) => {
      if (!event.ctrlKey && !event.metaKey && !held) event.stopPropagation();
    }, { capture: true, passive: true });
    figure.node.addEventListener("pointerdown", (event) => {
      if (event.pointerType === "touch") event.stopPropagation();
      else held = true;
    }, { capture: true });
    figure.node.addEventListener("pointerleave", () => { held = false; });
    region.addEventListener("keydown", keys(figure));
  };

  const hint = (figure) => {
    const able = figure.zooms.length || figure.fields.length;
    if (!able || figure.root.querySelector(".hint")) return;
    const text = HINT.split(/(?<=\.) /).filter((_, i) => (i === 0 ? figure.zooms.length : i === 1 ? figure.fields.length : true)).join(" ");
    (figure.node.closest(".canvas") ?? figure.node).after(common.make("p", { class: "hint", text }));
  };

  const connect = (figure) => {
    const { view } = figure.result;
    view.addEventListener("click", (_, item) => {
      const k = /^only_(\d+)_/.exec(item?.mark?.name ?? "")?.[1];
      if (k !== undefined && item.datum?.value !== undefined) only(view, k, String(item.datum.value));
    });
    if (!figure.guarded) guard(figure);
    figure.guarded = true;
    hint(figure);
  };

  const signals = (figure) => [...(figure.zooms ?? []).map(({ signal }) => signal), ...(figure.fields ?? []).map((_, k) => `only_${k}`)];

  return { extend, mark, connect, signals, bare, plain };
})();
