// Locus of a gene: peaks with LITE weights and decay curve, genes, fragments and accessibility by group, hits of drivers.
const locus = (() => {
  const { format } = common;
  const SIDE = 300;
  const LABELS = 118;
  const ROW = 20;
  const GENES = 112;
  const HIT_ROW = 14;
  const REGIONS = ["", "upstream", "proximal", "downstream"];
  let facts = null;
  let store = null;
  let peaks = null;
  let cover = null;
  let current = null;
  const chromosomes = new Map();

  const start = async (loci) => {
    facts = page.json(loci);
    store = values.fromPage(page.json("explore-loci"), "loci");
    const step = await store.read("peaks", "step");
    const width = await store.read("peaks", "width");
    const from = new Float64Array(step.length);
    let row = 0;
    for (const [name, n] of facts.chromosomes) {
      chromosomes.set(name, [row, row + n]);
      for (let i = 0, at = 0; i < n; i += 1, row += 1) {
        at += step[row];
        from[row] = at;
      }
    }
    peaks = { from, to: from.map((v, i) => v + width[i]), open: [], hits: [] };
    for (const name of facts.groups) peaks.open.push(await store.read("open", name));
    const factors = store.header.sets.find((set) => set.name === "hits")?.features ?? [];
    for (const name of factors) peaks.hits.push({ name, has: await store.read("hits", name) });
    cover = await coverage.start(facts);
  };

  // weight of the LITE model: a 2^(-distance / decay) beside the start site, a of the promoter near it
  const weight = (gene, region, distance) => (region === 2 ? gene.a[1]
    : gene.a[region === 1 ? 0 : 2] * 2 ** (-distance / 1000 / gene.decay_kb[region === 1 ? 0 : 1]));

  const of = async (name) => {
    const gene = facts?.genes[name];
    if (!gene) return null;
    const region = await store.read("members", name);
    const [low, high] = chromosomes.get(gene.chrom) ?? [0, 0];
    const rows = [];
    for (let i = low; i < high; i += 1) {
      if (!region[i]) continue;
      const distance = Math.abs((peaks.from[i] + peaks.to[i]) / 2 - gene.tss);
      rows.push({ i, from: peaks.from[i], to: peaks.to[i], distance, region: region[i], weight: weight(gene, region[i], distance) });
    }
    const others = Object.entries(facts.genes).filter(([other, g]) => other !== name && g.chrom === gene.chrom);
    const models = genes.near(facts, name, gene, others);
    current = { name, ...gene, rows, models, window: windowOf(gene, rows), whole: wholeOf(gene, rows) };
    return current;
  };
  const wholeOf = (gene, rows) => {
    const reach = Math.max(20000, ...rows.map((row) => row.distance)) * 1.03;
    return [Math.max(0, gene.tss - reach), gene.tss + reach];
  };
  // at first, the peaks next to the start site that carry nine tenths of the weight are in the picture
  const windowOf = (gene, rows) => {
    const near = [...rows].sort((a, b) => a.distance - b.distance);
    const all = near.reduce((sum, row) => sum + row.weight, 0);
    let sum = 0;
    const last = near.find((row) => (sum += row.weight) >= 0.9 * all);
    const reach = 1.15 * Math.max(30000, last?.distance ?? 0);
    return [Math.max(0, gene.tss - reach), gene.tss + reach];
  };
  const level = (group, i) => (facts.totals[group] ? (1e6 * peaks.open[group][i]) / facts.totals[group] : 0);

  // right end and scale of the tracks, and tops of the parts below the curve: genes, fragments, accessibility, hits
  const layout = (w, shown) => {
    const beside = w > 700 && (shown.lite ?? []).length > 0;
    const right = w - 14 - (beside ? SIDE : 0);
    const x = views.scale(shown.window, [LABELS, right]);
    const n = facts.groups.length;
    const fragments = GENES + genes.height(shown, x, LABELS, right, Boolean(facts.models)) + 14;
    const open = fragments + (cover ? ROW * n + 18 : 0);
    return { beside, right, x, fragments, open, hits: open + ROW * n + 8 };
  };
  const height = (w) => (current ? layout(w, current).hits + 20 + HIT_ROW * peaks.hits.length : 198);

  const draw = (pen, w, h, look, state) => {
    const shown = state.locus;
    if (!shown) return views.nothing(pen, w, h, look, state.locusReason);
    const { beside, right, x, fragments, open: top, hits } = layout(w, shown);
    const inside = shown.rows.filter((row) => row.to >= shown.window[0] && row.from <= shown.window[1]);
    const color = (name) => state.groupColors[name] ?? look.soft;
    ruler(pen, look, x, shown, right);
    decay(pen, look, x, shown, inside, right);
    genes.draw(pen, look, x, shown, LABELS, right, GENES, Boolean(facts.models));
    if (cover) coverage.draw(pen, look, x, shown, cover, facts.groups, LABELS, right, fragments, ROW, color);
    const most = Math.max(1e-9, ...inside.flatMap((row) => facts.groups.map((_, g) => level(g, row.i))));
    facts.groups.forEach((name, g) => {
      const base = top + ROW * (g + 1) - 3;
      pen.path([[LABELS, base], [right, base]], { stroke: look.faint });
      for (const row of inside) {
        const high = ((ROW - 5) * level(g, row.i)) / most;
        const wide = Math.max(1.6, x(row.to) - x(row.from));
        if (high > 0) pen.rect(Math.max(LABELS, (x(row.from) + x(row.to)) / 2 - wide / 2), base - high, wide, high, color(name));
      }
      pen.text(LABELS - 6, base - 6, views.cut(pen, name, LABELS - 14, 11), { fill: look.ink, anchor: "end" });
    });
    pen.text(LABELS, top - 4, `accessibility, 0 to ${format(most)}`, { size: 10, fill: look.soft });
    peaks.hits.forEach(({ name, has }, f) => {
      const y = hits + HIT_ROW * (f + 0.5);
      pen.text(LABELS - 6, y, views.cut(pen, name, LABELS - 14, 10.5), { size: 10.5, fill: look.ink, anchor: "end" });
      for (const row of inside) if (has[row.i]) pen.rect(Math.max(LABELS, (x(row.from) + x(row.to)) / 2 - 1.5), y - 4, 3, 8, look.ink);
    });
    if (beside) predicted(pen, look, w, shown, color);
    return null;
  };
  const ruler = (pen, look, x, shown, right) => {
    pen.path([[LABELS, 24], [right, 24]], { stroke: look.soft });
    const kept = views.ticks(...shown.window, Math.max(2, Math.round((right - LABELS) / 130)));
    for (const t of kept) {
      pen.path([[x(t), 24], [x(t), 28]], { stroke: look.soft });
      pen.text(x(t), 13, format(t, "integer"), { size: 10.5, fill: look.soft, anchor: "middle" });
    }
    pen.text(8, 13, views.cut(pen, shown.chrom, LABELS - 24, 11), { fill: look.ink });
  };
  const decay = (pen, look, x, shown, inside, right) => {
    const [top, bottom] = [38, 104];
    const most = Math.max(...shown.a, 1e-9);
    const y = (v) => bottom - ((bottom - top) * v) / most;
    const sign = shown.strand === "-" ? -1 : 1;
    const near = facts.promoter_bp;
    const edges = [-near - 1, -near, near, near + 1].map((d) => shown.tss + d);
    const places = Array.from({ length: 401 }, (_, k) => shown.window[0] + ((shown.window[1] - shown.window[0]) * k) / 400);
    const line = [...places, ...edges].filter((at) => at >= shown.window[0] && at <= shown.window[1]).sort((a, b) => a - b).map((at) => {
      const from = (at - shown.tss) * sign;
      return [x(at), y(weight(shown, Math.abs(from) <= near ? 2 : from < 0 ? 1 : 3, Math.abs(from)))];
    });
    pen.path([[LABELS, bottom], [right, bottom]], { stroke: look.faint });
    pen.path(line, { stroke: look.soft, width: 1.4 });
    for (const row of inside) {
      const px = x((row.from + row.to) / 2);
      if (px < LABELS || px > right) continue;
      pen.path([[px, bottom], [px, y(row.weight)]], { stroke: "#0a72b5", width: 1.2 });
      pen.dot(px, y(row.weight), 2.8, "#0a72b5");
    }
    pen.text(LABELS - 6, top + 6, "LITE weight", { fill: look.ink, anchor: "end" });
    pen.text(LABELS - 6, top + 22, `up to ${format(most)}`, { size: 10, fill: look.soft, anchor: "end" });
  };
  const predicted = (pen, look, w, shown, color) => {
    const [left, right, top, bottom] = [w - SIDE + 52, w - 14, 24, 190];
    const pairs = facts.groups.map((name, g) => ({ name, lite: shown.lite[g], nite: shown.nite?.[g], seen: shown.observed[g] }))
      .filter((p) => p.lite !== null && p.seen !== null);
    const most = Math.max(1e-9, ...pairs.flatMap((p) => [p.lite, p.seen, p.nite ?? 0])) * 1.05;
    const x = views.scale([0, most], [left, right]);
    const y = views.scale([0, most], [bottom, top]);
    pen.text(left, 11, "Expression of groups", { fill: look.ink, weight: 650 });
    views.axisBelow(pen, look, x, [0, most], left, right, bottom, "LITE (dot), NITE (cross) prediction", SIDE);
    for (const t of views.ticks(0, most, 4)) pen.text(left - 5, y(t), format(Number(t.toPrecision(6))), { size: 10.5, fill: look.soft, anchor: "end" });
    pen.text(left - 40, (top + bottom) / 2, "observed per 10,000", { fill: look.ink, anchor: "middle", angle: -90 });
    pen.path([[x(0), y(0)], [x(most), y(most)]], { stroke: look.soft, dash: [4, 4] });
    for (const p of pairs) {
      pen.dot(x(p.lite), y(p.seen), 4.5, color(p.name));
      if (p.nite !== null && p.nite !== undefined) {
        const [px, py] = [x(p.nite), y(p.seen)];
        pen.path([[px - 3.5, py - 3.5], [px + 3.5, py + 3.5]], { stroke: color(p.name), width: 1.6 });
        pen.path([[px - 3.5, py + 3.5], [px + 3.5, py - 3.5]], { stroke: color(p.name), width: 1.6 });
      }
    }
  };

  const move = (shown, what) => {
    const [low, high] = shown.window;
    const span = high - low;
    const middle = (low + high) / 2;
    const zoom = (by) => [Math.max(0, middle - (span * by) / 2), middle + (span * by) / 2];
    shown.window = { in: () => zoom(0.5), out: () => zoom(2), left: () => [Math.max(0, low - span / 4), Math.max(span, high - span / 4)],
      right: () => [low + span / 4, high + span / 4], all: () => shown.whole }[what]();
  };

  // ---------------------------------------------------------------- files
  const lines = (rows) => rows.map((row) => `${row.join("\t")}\n`).join("");
  const tracks = (shown) => [
    [`${shown.name} LITE weight`, lines(shown.rows.map((row) => [shown.chrom, row.from, row.to, row.weight]))],
    ...facts.groups.map((name, g) => [`accessibility ${name}`, lines(shown.rows.map((row) => [shown.chrom, row.from, row.to, level(g, row.i)]))]),
    ...(cover ? facts.groups.map((name, g) => [`fragments ${name}`, lines(coverage.rows(cover, shown.chrom, g, ...shown.whole))]) : []),
  ];
  const bedGraph = (shown) => tracks(shown).map(([name, body]) => `track type=bedGraph name="${name.replace(/["\r\n]/g, " ")}"\n${body}`).join("");
  const safe = (name) => name.replace(/[^\w+-]+/g, "_") || "_";
  const session = (shown) => {
    const files = tracks(shown).map(([name, body], i) => [`${i + 1}_${safe(name)}.bedgraph`, body]);
    const hits = peaks.hits.flatMap(({ name, has }) => shown.rows.filter((row) => has[row.i]).map((row) => [shown.chrom, row.from, row.to, name]));
    if (hits.length) files.push(["driver_hits.bed", lines(hits)]);
    const [low, high] = shown.whole;
    if (facts.models) files.push(["genes.bed", lines(genes.bed(shown.chrom, shown.models.filter((item) => item.end > low && item.start < high)))]);
    const quoted = (text) => text.replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c]);
    const place = `${shown.chrom}:${Math.round(shown.window[0]) + 1}-${Math.round(shown.window[1])}`;
    const parts = ['<?xml version="1.0" encoding="UTF-8" standalone="no"?>', `<Session locus="${quoted(place)}" version="8">`, "  <Resources>",
      ...files.map(([name]) => `    <Resource path="${quoted(name)}"/>`), "  </Resources>", '  <Panel name="Tracks">',
      ...files.map(([name]) => `    <Track id="${quoted(name)}" name="${quoted(name.replace(/\.\w+$/, ""))}"/>`), "  </Panel>", "</Session>", ""];
    return zip.pack([["session.xml", parts.join("\n")], ...files]);
  };
  const csv = (shown) => common.csv(
    ["chrom", "start", "end", "region", "distance", "weight", ...facts.groups.map((name) => `open per million, ${name}`), ...peaks.hits.map(({ name }) => `hit of ${name}`)],
    shown.rows.map((row) => [shown.chrom, row.from, row.to, REGIONS[row.region], row.distance, row.weight, ...facts.groups.map((_, g) => level(g, row.i)), ...peaks.hits.map(({ has }) => has[row.i])]));

  return { start, of, draw, height, move, bedGraph, session, csv };
})();
