// Explorer: one box chooses a gene, motif, topic or column; map, groups, pseudotime and locus follow it.
const explore = (() => {
  const { make, format } = common;
  const LIMIT = 30;
  const KINDS = { gene: "gene", motif: "motif score", topic: "topic", column: "column", fate: "fate probability" };
  const PREFIX = "explore:";
  let data = null;
  let store = null;
  let state = null;
  let views_ = [];
  let listed = [];
  let begunLoci = null;
  let active = -1;

  const entries = () => [
    ...data.features.map(({ kind, name, column, title }) => ({ kind, name, column, title })),
    ...store.header.sets.flatMap((set) => set.features.map((name) => ({ kind: set.name === "genes" ? "gene" : "motif", name, title: name }))),
  ].map((entry) => ({ ...entry, key: entry.title.toLowerCase() }));

  const groupOf = (name) => {
    const item = data.dataset.columns.find((column) => column.name === name);
    const labels = packed.column(item, page.text);
    const place = new Map(item.categories.map((category, i) => [category, i]));
    const colors = data.colors[name];
    return {
      name, title: data.titles[name] ?? name, names: item.categories.map(String),
      codes: labels.map((label) => (label === null ? -1 : place.get(label))),
      colors: item.categories.map((category) => colors[String(category)]),
    };
  };
  const numbersOf = (name) => Float64Array.from(
    packed.column(data.dataset.columns.find((column) => column.name === name), page.text), (v) => (v === null ? NaN : v));

  // values of an entry: expression is log(1 + counts per 10,000) of the cell's counts
  const featureOf = async (entry) => {
    if (entry.kind === "gene") {
      const counts = await store.read("genes", entry.name);
      const shown = counts.map((count, i) => Math.log1p((count / Math.max(1, state.depth[i])) * data.scale));
      return { ...entry, data: shown, counts, label: `${entry.name}, log(1 + counts per ${format(data.scale, "integer")})` };
    }
    if (entry.kind === "motif") return { ...entry, data: await store.read("motifs", entry.name), label: `${entry.name}, motif score` };
    if (data.colors[entry.column]) return { ...entry, group: groupOf(entry.column), label: entry.title };
    return { ...entry, data: numbersOf(entry.column), label: entry.title };
  };

  // ---------------------------------------------------------------- drawing
  const sizes = (view) => [Math.max(220, Math.round(view.plot.clientWidth)), view.height(view.plot.clientWidth)];
  const paintOn = (view) => {
    const [w, h] = sizes(view);
    const dense = devicePixelRatio || 1;
    view.canvas.width = Math.round(w * dense);
    view.canvas.height = Math.round(h * dense);
    view.canvas.style.width = `${w}px`;
    view.canvas.style.height = `${h}px`;
    const context = view.canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    view.draw(pens.onCanvas(context), w, h, pens.look(page.isDark()), state);
  };
  const redraw = (view) => {
    if (!state?.feature || !view.plot.clientWidth) return;
    paintOn(view);
    view.plot.setAttribute("aria-label", view.id === "explore-locus" ? locusWords() : `${view.title}: ${state.feature.label}. ${state.words}`);
  };
  const locusWords = () => {
    if (!state.locus) return state.locusReason;
    const { name, chrom, tss, strand, rows } = state.locus;
    const best = rows.reduce((a, b) => (b.weight > a.weight ? b : a), rows[0]);
    return `Locus of ${name}: start site ${chrom}:${format(tss, "integer")} (${strand}), ${rows.length} peaks; the largest weight, ${format(best.weight)}, `
      + `is ${format(Math.round(best.distance), "integer")} bp away.`;
  };
  const redrawAll = () => views_.forEach(redraw);
  const saveAs = {
    svg: (view) => {
      const [w, h] = sizes(view);
      const pen = pens.asSvg(w, h, pens.LIGHT.ground);
      view.draw(pen, w, h, pens.LIGHT, state);
      return new Blob([pen.done(`${view.title}: ${state.feature.label}`)], { type: "image/svg+xml" });
    },
    png: async (view) => {
      const [w, h] = sizes(view);
      const canvas = make("canvas", { width: 2 * w, height: 2 * h });
      const context = canvas.getContext("2d");
      context.scale(2, 2);
      context.fillStyle = pens.LIGHT.ground;
      context.fillRect(0, 0, w, h);
      view.draw(pens.onCanvas(context), w, h, pens.LIGHT, state);
      return new Promise((resolve) => { canvas.toBlob(resolve, "image/png"); });
    },
  };
  const contentOf = async (view, kind) => {
    if (kind === "bedgraph") return [locus.bedGraph(state.locus), kind];
    if (kind === "igv") return [locus.session(state.locus), "igv.zip"];
    if (kind === "csv") return [view.id === "explore-locus" ? locus.csv(state.locus) : cellsCsv(), kind];
    return [await saveAs[kind](view), kind];
  };
  const fileName = (view, kind) => `${view.id}-${view.id === "explore-locus" ? state.locus.name : state.feature.title}`.replace(/[^\w.-]+/g, "_") + `.${kind}`;

  const cellsCsv = () => {
    const { feature, group } = state;
    const shown = feature.group ? feature.group.codes.map((code) => (code < 0 ? "" : feature.group.names[code])) : feature.data;
    const head = ["barcode", "umap_1", "umap_2", ...(group ? [group.title] : []), ...(state.time ? ["pseudotime"] : []),
      feature.title, ...(feature.counts ? ["counts"] : [])];
    const names = page.json(data.barcodes);
    const value = (v) => (typeof v === "number" && !Number.isFinite(v) ? "" : v);
    return common.csv(head, names.map((name, i) => [name, state.x[i], state.y[i],
      ...(group ? [group.codes[i] < 0 ? "" : group.names[group.codes[i]]] : []), ...(state.time ? [value(state.time[i])] : []),
      value(shown[i]), ...(feature.counts ? [feature.counts[i]] : [])]));
  };

  const tell = () => {
    const { feature, group } = state;
    const table = page.byId("explore-numbers");
    const cell = (text) => make("td", { class: "number", text });
    if (feature.group || !group) {
      state.words = feature.group ? `${feature.group.names.length} labels of ${format(state.n, "integer")} cells` : "";
      table.replaceChildren();
    } else {
      const rows = views.summary(feature.data, group).filter((row) => row.n);
      const best = rows.reduce((a, b) => (b.mean > a.mean ? b : a), rows[0]);
      const above = feature.kind === "gene" ? `${format(feature.counts.filter((v) => v > 0).length, "integer")} of ${format(state.n, "integer")} cells have counts; ` : "";
      state.words = best ? `${above}highest mean in ${best.name} (${format(best.mean)})` : `${above}no group has values`;
      table.replaceChildren(
        make("caption", { class: "hidden", text: `${feature.label} by ${group.title}` }),
        make("thead", {}, make("tr", {}, ...[group.title, "cells", "mean", "median", "fraction above 0"].map((text, i) => make("th", { scope: "col", class: i ? "number" : "", text })))),
        make("tbody", {}, ...rows.map((row) => make("tr", {}, make("th", { scope: "row", text: row.name }),
          cell(format(row.n, "integer")), ...[row.mean, row.median, row.above].map((v) => cell(format(v)))))));
    }
    page.byId("explore-status").textContent = `${KINDS[feature.kind]} ${feature.title}${state.words ? `: ${state.words}` : ""}`;
  };

  // ---------------------------------------------------------------- choosing
  // the locus stays where it is while something else than a gene is shown
  const follow = async (entry) => {
    if (!data.loci) return;
    begunLoci ??= locus.start(data.loci);
    await begunLoci;
    if (entry.kind === "gene") {
      state.locus = await locus.of(entry.name);
      state.locusReason = `${entry.name} has no fitted LITE model in this page.`;
    } else if (!state.locus) state.locusReason = "Choose a gene to see its locus.";
    page.byId("explore-locus").querySelector("summary").textContent = state.locus ? `Locus of ${state.locus.name}` : "Locus";
    for (const button of page.byId("explore-locus").querySelectorAll("button")) button.disabled = !state.locus;
  };
  const choose = async (entry, { remember = true, unfold = true } = {}) => {
    const started = performance.now();
    const feature = await featureOf(entry);
    if (!feature.group && !feature.data) return;
    state.feature = feature;
    await follow(entry);
    page.byId("explore-find").value = entry.title;
    tell();
    redrawAll();
    const root = page.byId("explore");
    if (unfold && entry.kind === "gene" && state.locus) page.byId("explore-locus").open = true;
    root.dataset.shown = `${entry.kind}/${entry.name}`;
    root.dataset.took = String(Math.round(performance.now() - started));
    if (remember) address.show(`${PREFIX}${entry.kind}/${encodeURIComponent(entry.name)}`);
  };
  const find = (kind, name) => entries().find((entry) => (!kind || entry.kind === kind) && entry.name === name);
  const fromAddress = () => {
    if (!page.anchor().startsWith(PREFIX)) return false;
    const [kind, ...rest] = page.anchor().slice(PREFIX.length).split("/");
    let entry = null;
    try {
      entry = find(kind, decodeURIComponent(rest.join("/")));
    } catch { /* not an address of ours */ }
    if (!entry) return false;
    choose(entry, { remember: false });
    page.byId("explore").scrollIntoView({ behavior: "instant" });
    return true;
  };

  const setUpBox = () => {
    const box = page.byId("explore-find");
    const list = page.byId("explore-list");
    let all = null;
    const close = () => {
      list.hidden = true;
      active = -1;
      box.setAttribute("aria-expanded", "false");
      box.removeAttribute("aria-activedescendant");
    };
    const mark = (place) => {
      active = place;
      [...list.children].forEach((node, i) => node.setAttribute("aria-selected", String(i === place)));
      const node = list.children[place];
      if (node) {
        box.setAttribute("aria-activedescendant", node.id);
        node.scrollIntoView({ block: "nearest" });
      } else box.removeAttribute("aria-activedescendant");
    };
    const pick = (entry) => {
      close();
      choose(entry);
    };
    const open = () => {
      const text = box.value.trim().toLowerCase();
      all ??= entries();
      const rank = (entry) => (entry.key === text ? 0 : entry.key.startsWith(text) ? 1 : 2);
      const found = all.filter((entry) => entry.key.includes(text)).sort((a, b) => rank(a) - rank(b));
      listed = found.slice(0, LIMIT);
      list.replaceChildren(...listed.map((entry, i) => {
        const node = make("li", { role: "option", id: `explore-option-${i}`, "aria-selected": "false" }, entry.title, " ", make("small", { text: KINDS[entry.kind] }));
        node.addEventListener("pointerdown", (event) => event.preventDefault());
        node.addEventListener("click", () => pick(entry));
        return node;
      }));
      list.hidden = !listed.length;
      box.setAttribute("aria-expanded", String(!list.hidden));
      mark(-1);
      page.byId("explore-hits").textContent = text ? hits(found, text) : "";
    };
    const hits = (found, text) => {
      const exact = found.length && found[0].key === text;
      if (!exact && data.left_out.some((name) => name.toLowerCase() === text)) return "This gene was left out of the page for its size: open the complete values.";
      if (!found.length) return "Nothing of this name was modelled.";
      return found.length > LIMIT ? `${format(found.length, "integer")} found, the first ${LIMIT} are listed` : `${found.length} found`;
    };
    box.addEventListener("input", open);
    box.addEventListener("focus", () => box.select());
    box.addEventListener("blur", close);
    box.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        event.preventDefault();
        if (list.hidden) open();
        const n = list.children.length;
        if (n) mark((active + (event.key === "ArrowDown" ? 1 : n - (active < 0 ? 0 : 1))) % n);
      } else if (event.key === "Enter" && !list.hidden) {
        event.preventDefault();
        pick(listed[Math.max(active, 0)]);
      } else if (event.key === "Escape") close();
    });
    return () => { all = null; };
  };

  const setUpGroups = () => {
    const menu = page.byId("explore-groups");
    menu.replaceChildren(...data.groups.map((name) => make("option", { value: name, text: data.titles[name] ?? name })));
    menu.disabled = !data.groups.length;
    menu.addEventListener("change", () => {
      state.group = groupOf(menu.value);
      tell();
      redrawAll();
    });
  };

  const setUpFile = (forget) => {
    const input = page.byId("explore-file");
    input?.addEventListener("change", async () => {
      const place = page.byId("explore-hits");
      try {
        store = await values.fromFile(input.files[0], store.header.cells);
        data.left_out = [];
        forget();
        place.textContent = `${format(store.header.sets.find((set) => set.name === "genes").features.length, "integer")} genes can be chosen now.`;
      } catch (error) {
        place.textContent = `This file cannot be used: ${error.message}`;
      }
      input.value = "";
    });
  };

  const setUpViews = () => {
    const square = (w) => Math.round(Math.max(300, Math.min(380, w * 0.95)));
    const kinds = {
      "explore-map": { draw: views.map, height: square },
      "explore-violins": { draw: views.violins, height: square },
      "explore-courses": { draw: views.courses, height: square },
      "explore-locus": { draw: locus.draw, height: (w) => Math.max(240, locus.height(Math.max(220, w))) },
    };
    views_ = [...document.querySelectorAll("#explore .view")].map((root) => {
      const plot = root.querySelector(".plot");
      const canvas = make("canvas");
      plot.replaceChildren(canvas);
      const view = { id: root.id, title: root.dataset.title, root, plot, canvas, ...kinds[root.id] };
      for (const button of root.querySelectorAll("button[data-kind]")) {
        button.addEventListener("click", async () => {
          const { kind } = button.dataset;
          const [content, ending] = await contentOf(view, kind);
          common.save(fileName(view, ending), content, "text/csv");
        });
      }
      for (const button of root.querySelectorAll("button[data-move]")) {
        button.addEventListener("click", () => {
          locus.move(state.locus, button.dataset.move);
          redraw(view);
        });
      }
      new ResizeObserver(() => redraw(view)).observe(plot);
      return view;
    });
    page.onTheme(redrawAll);
  };

  const start = async () => {
    data = page.json("explore-data");
    store = values.fromPage(page.json("explore-values"));
    const all = data.time ? numbersOf(data.time) : null;
    state = {
      n: data.dataset.n, x: numbersOf("x"), y: numbersOf("y"), depth: numbersOf(data.depth), feature: null, locus: null, locusReason: data.locus_reason,
      groupColors: Object.assign({}, ...Object.values(data.colors)),
      group: data.groups.length ? groupOf(data.groups[0]) : null, time: all, timeReason: data.time_reason,
      lineages: data.lineages.map(({ name, column, color }) => ({
        name, color, weights: column ? numbersOf(column) : new Float64Array(data.dataset.n).fill(1) })),
    };
    setUpGroups();
    setUpViews();
    setUpFile(setUpBox());
    addEventListener("hashchange", fromAddress);
    if (!fromAddress()) await choose(find(data.start.kind, data.start.name), { remember: false, unfold: false });
  };

  // the map of a topic's page, drawn when the page is opened
  const topicMap = async (root, ready) => {
    const plot = root.querySelector(".plot");
    await ready();
    const entry = state && find("topic", root.dataset.topic);
    if (!entry) return;
    const canvas = make("canvas");
    plot.replaceChildren(canvas);
    const feature = await featureOf(entry);
    const view = { id: "", title: "", plot, canvas, height: (w) => Math.min(340, w), draw: (pen, w, h, look) => views.map(pen, w, h, look, { ...state, feature }) };
    const paint = () => plot.clientWidth && paintOn(view);
    new ResizeObserver(paint).observe(plot);
    page.onTheme(paint);
  };

  const setUp = () => {
    const root = document.querySelector("#explore .explorer");
    for (const plot of root ? [] : document.querySelectorAll(".topic-page .plot")) plot.hidden = true;
    if (!root) return;
    let begun = null;
    const begin = () => {
      begun ??= start().catch((error) => {
        root.before(make("p", { class: "problem", role: "alert", text: `The explorer cannot be shown: ${error.message}` }));
      });
    };
    for (const node of document.querySelectorAll(".topic-page")) {
      node.addEventListener("toggle", () => node.open && topicMap(node, () => { begin(); return begun; }), { once: true });
    }
    const sent = () => page.anchor().startsWith(PREFIX) && begin();
    addEventListener("hashchange", sent);
    sent();
    page.near([root], begin);
  };

  return { setUp };
})();
