// Charts: drawn one after the other when they come into view, put away again when many are far from it.
const charts = (() => {
  const { make } = common;
  const KEEP = 8;
  const themes = page.json("chart-themes");
  const figures = new Map();
  let queue = Promise.resolve();

  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);
  const merge = (base, over) => {
    const out = { ...base };
    for (const [key, value] of Object.entries(over)) {
      out[key] = isObject(value) && isObject(out[key]) ? merge(out[key], value) : value;
    }
    return out;
  };

  const load = (figure) => {
    if (!figure.payload) {
      const payload = page.json(`spec-${figure.id}`);
      for (const [name, id] of Object.entries(payload.rows)) payload.spec.datasets[name] = page.json(id);
      figure.payload = payload;
      figure.extended = interact.extend(payload.spec);
      figure.fields = figure.extended.fields;
      figure.menus = address.menusOf(payload.spec);
    }
    return figure.payload;
  };

  // on a phone legends stand below their chart
  const PHONE = 480;

  // a chart wider than a narrow window shrinks, with room for its axis and legend
  const fit = (spec, room) => {
    const beside = room < PHONE ? 70 : 110;
    if (typeof spec.width !== "number" || !room || spec.width + beside <= room) return;
    const width = Math.max(220, room - beside);
    if (typeof spec.height === "number") spec.height = Math.round(Math.max(160, spec.height * Math.sqrt(width / spec.width)));
    spec.width = width;
  };

  // on a phone parts stand below each other
  const stacked = (spec) => ({ vconcat: spec.hconcat });

  // the page's look wins over the chart's own configuration, so that dark mode reaches every chart
  const prepared = (figure, dark, width) => {
    load(figure);
    const { spec } = figure.extended;
    const out = { ...spec, config: merge(spec.config ?? {}, themes[dark ? "dark" : "light"]), description: figure.label };
    if (width && out.width === "container") out.width = width;
    const room = figure.node.clientWidth;
    if (room && room < PHONE) out.config = merge(out.config, { legend: { orient: "bottom", columns: 3, labelLimit: 140, gradientLength: 160 } });
    fit(out, room);
    figure.stacked = Boolean(out.hconcat) && room > 0 && room < PHONE;
    if (figure.stacked) Object.assign(out, stacked(out));
    if (figure.stacked) delete out.hconcat;
    delete out.usermeta;
    return out;
  };

  // packed rows go into the compiled chart: Vega-Lite then has nothing to copy
  const withRows = (figure) => (vega) => {
    for (const data of vega.data ?? []) {
      const dataset = figure.payload.packed[data.name];
      if (dataset) {
        data.values = packed.rows(dataset, page.text);
        delete data.url;
        delete data.format;
      }
    }
    const { zooms, entries } = interact.mark(vega, figure.extended, themes.spread);
    Object.assign(figure, { zooms, entries });
    return vega;
  };

  const embed = (target, figure, dark, width, renderer) => vegaEmbed(target, prepared(figure, dark, width), {
    mode: "vega-lite", ast: true, actions: false, defaultStyle: false, renderer, logLevel: 1,
    tooltip: { disableDefaultStyle: true }, patch: withRows(figure), hover: false,
  });

  // values of menus and sliders, isolated entries and zoom
  const settings = (figure) => Object.fromEntries([...figure.menus.keys(), ...interact.signals(figure)].map((name) => [name, figure.result.view.signal(name)]));
  const restore = async (view, values) => {
    for (const [name, value] of Object.entries(values)) view.signal(name, value);
    await view.runAsync();
  };

  const labelMenus = (figure) => {
    for (const control of figure.node.querySelectorAll(".vega-bind select, .vega-bind input")) {
      if (!control.closest("label")) control.setAttribute("aria-label", figure.label);
    }
  };

  // the width of a chart without axes and legends: its own, or that of its parts side by side or below each other
  const spanOf = (spec) => {
    if (typeof spec.width === "number") return spec.width;
    if (spec.hconcat) return spec.hconcat.reduce((sum, part) => sum + spanOf(part), 0);
    if (spec.vconcat) return Math.max(...spec.vconcat.map(spanOf));
    if (spec.facet && spec.spec) return spanOf(spec.spec) * (spec.columns ?? (spec.facet.row && !spec.facet.column ? 1 : NaN));
    return NaN;
  };
  // the signals that hold these widths
  const widthsOf = (spec, view) => {
    if (typeof spec.width === "number") return ["width"];
    const known = Object.keys(view.getState({ signals: () => true, data: () => false }).signals);
    return known.filter((name) => /^(concat_\d+_)*(childWidth|child_width)$|^(concat_\d+_)+width$/.test(name));
  };

  // a chart narrower than its card grows to fill it, at most so many times; parts side by side shrink to fit in it
  const GROWTH = 2.6;
  const SHRINKAGE = 0.4;
  const grow = async (figure) => {
    const spec = figure.stacked ? stacked(load(figure).spec) : load(figure).spec;
    const drawn = figure.node.querySelector("canvas, svg");
    const room = figure.node.clientWidth;
    const span = spanOf(spec);
    if (!(span > 0) || !drawn || !room) return;
    const extra = room - drawn.getBoundingClientRect().width;
    const tooWide = Boolean(spec.hconcat ?? spec.vconcat) && extra < 0;
    if (extra <= room * 0.03 && !tooWide) return;
    const { view } = figure.result;
    const factor = Math.max(SHRINKAGE, Math.min(1 + extra / span, GROWTH));
    const scale = async (by) => {
      for (const name of widthsOf(spec, view)) view.signal(name, view.signal(name) * by);
      await view.resize().runAsync();
    };
    await scale(factor);
    // other ticks may need more room for the label at the end
    const over = figure.node.querySelector("canvas, svg").getBoundingClientRect().width - room;
    if (over > 0) await scale(1 - over / (span * factor));
  };

  // a chart that cannot grow and leaves two fifths of its card free has its caption beside it
  const settle = (figure) => {
    const drawn = figure.node.querySelector("canvas, svg");
    const card = figure.root.clientWidth;
    const narrow = drawn && card > 700 && drawn.getBoundingClientRect().width < card * 0.6;
    figure.root.classList.toggle("beside", Boolean(narrow) && !figure.root.classList.contains("shown"));
  };

  const draw = async (figure) => {
    if (figure.result) return;
    try {
      const { canvas } = load(figure);
      figure.result = await embed(figure.node, figure, page.isDark(), null, canvas ? "canvas" : "svg");
      const values = { ...figure.kept, ...address.wanted(figure) };
      if (Object.keys(values).length) await restore(figure.result.view, values);
      await grow(figure);
      settle(figure);
      figure.node.style.minHeight = "";
      figure.node.classList.add("drawn");
      figure.node.dataset.drawn = String(Math.round(performance.now()));
      labelMenus(figure);
      interact.connect(figure);
      address.connect(figure);
      if (figure.root.dataset.linked !== undefined) linked.connect(figure.root, figure.result.view, load(figure));
    } catch (error) {
      figure.failed = true;
      figure.node.replaceChildren(make("p", { class: "problem", role: "status", text: `This chart cannot be drawn: ${error.message}` }));
    }
    figure.node.removeAttribute("aria-busy");
  };

  const putAway = (figure) => {
    if (!figure.result) return;
    figure.kept = settings(figure);
    figure.node.style.minHeight = `${figure.node.offsetHeight}px`;
    figure.result.finalize();
    figure.result = null;
    figure.node.replaceChildren();
    figure.node.classList.remove("drawn");
  };

  const tidy = () => {
    const drawn = [...figures.values()].filter((f) => f.result && !f.visible && !f.wanted && f.payload.canvas);
    for (const figure of drawn.slice(0, Math.max(0, drawn.length - KEEP))) putAway(figure);
  };

  const schedule = (figure) => {
    queue = queue.then(async () => {
      if (!figure.visible && !figure.wanted) return;
      await draw(figure);
      tidy();
    });
    return queue;
  };

  const rowsOf = (figure) => {
    const { spec, packed: datasets } = load(figure);
    const out = {};
    for (const [name, dataset] of Object.entries(datasets)) out[name] = packed.rows(dataset, page.text);
    for (const [name, rows] of Object.entries(spec.datasets ?? {})) if (Array.isArray(rows)) out[name] = rows;
    let count = 0;
    const walk = (node) => {
      if (Array.isArray(node)) node.forEach(walk);
      else if (isObject(node)) {
        for (const [key, value] of Object.entries(node)) {
          if (key === "data" && Array.isArray(value?.values)) out[value.name ?? `data_${(count += 1)}`] = value.values;
          else if (!["datasets", "values"].includes(key)) walk(value);
        }
      }
    };
    walk(spec);
    return out;
  };

  const dataCsv = (figure) => {
    const sets = Object.entries(rowsOf(figure)).filter(([, rows]) => rows.length);
    const names = [...new Set(sets.flatMap(([, rows]) => rows.flatMap((row) => Object.keys(row))))];
    const several = sets.length > 1;
    const lines = sets.flatMap(([set, rows]) => rows.map((row) => [...(several ? [set] : []), ...names.map((name) => {
      const value = row[name];
      return isObject(value) || Array.isArray(value) ? JSON.stringify(value) : value;
    })]));
    return common.csv([...(several ? ["dataset"] : []), ...names], lines);
  };

  // pictures are saved in the light look on white, whatever the page looks like
  const picture = async (figure, kind) => {
    const stage = make("div", { class: "offstage", "aria-hidden": "true" });
    document.body.append(stage);
    const width = figure.node.clientWidth || 640;
    const result = await embed(stage, figure, false, width, "svg");
    try {
      result.view.background("#ffffff");
      await restore(result.view, figure.result ? settings(figure) : figure.kept ?? {});
      if (kind === "svg") return new Blob([await result.view.toSVG()], { type: "image/svg+xml" });
      const canvas = await result.view.toCanvas(2);
      return await new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
    } finally {
      result.finalize();
      stage.remove();
    }
  };

  const actions = {
    svg: async (figure) => common.save(`${figure.id}.svg`, await picture(figure, "svg")),
    png: async (figure) => common.save(`${figure.id}.png`, await picture(figure, "png")),
    csv: (figure) => common.save(`${figure.id}.csv`, dataCsv(figure), "text/csv"),
    json: (figure) => {
      const { spec } = load(figure);
      common.save(`${figure.id}.vl.json`, JSON.stringify({ ...spec, datasets: rowsOf(figure) }), "application/json");
    },
  };

  const setUpActions = (root, figure) => {
    for (const button of root.querySelectorAll("button[data-action]")) {
      button.addEventListener("click", async () => {
        button.disabled = true;
        try {
          await actions[button.dataset.action](figure);
        } catch (error) {
          const place = root.querySelector(".saving");
          place.textContent = `This cannot be saved: ${error.message}`;
        }
        button.disabled = false;
      });
    }
  };

  const setUp = () => {
    const observer = new IntersectionObserver((entries) => {
      for (const entry of entries) {
        const figure = figures.get(entry.target.closest("figure").id);
        figure.visible = entry.isIntersecting;
        if (entry.isIntersecting && !figure.result && !figure.failed) schedule(figure);
      }
    }, { rootMargin: "300px 0px" });
    for (const node of document.querySelectorAll(".chart")) {
      const root = node.closest("figure");
      const figure = { id: root.id, root, node, label: node.dataset.label, visible: false, result: null };
      figures.set(root.id, figure);
      node.style.minHeight = `${node.dataset.height}px`;
      setUpActions(root, figure);
      observer.observe(node);
    }
    for (const link of document.querySelectorAll("button[data-picture]")) {
      link.addEventListener("click", () => common.save(link.dataset.picture, link.closest("figure").querySelector("img").src));
    }
    // the first chart is drawn at once: it is ready when the reader gets there
    const [first] = figures.values();
    if (first) {
      first.wanted = true;
      schedule(first).then(() => { first.wanted = false; });
    }
    page.onTheme(() => {
      for (const figure of figures.values()) {
        if (!figure.result) continue;
        putAway(figure);
        if (figure.visible) schedule(figure);
      }
    });
  };

  // draws every figure that has a place on the page, scrolled to or not; those in closed folds have none
  const drawShown = async () => {
    const shown = [...figures.values()].filter((figure) => figure.node.clientWidth > 0);
    for (const figure of shown) {
      figure.wanted = true;
      schedule(figure);
    }
    await queue;
    for (const figure of shown) figure.wanted = false;
  };

  return { setUp, drawShown, figures };
})();
