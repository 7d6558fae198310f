// Gene models of the locus view: bodies, exons, strands and names, in lanes that do not overlap.
const genes = (() => {
  const LANES = 4;
  const LANE = 18;

  const model = ([name, start, length, strand, steps]) => {
    const exons = [];
    for (let i = 0, at = start; i < steps.length; i += 2) {
      const from = at + steps[i];
      at = from + steps[i + 1];
      exons.push([from, at]);
    }
    return { name, start, end: start + length, strand, exons };
  };

  // the models near a gene; genes of which the start site alone is known are points
  const near = (facts, name, gene, others) => {
    const known = (facts.models?.[gene.chrom] ?? []).map(model);
    const named = new Set(known.map((item) => item.name));
    const points = [[name, gene], ...others].filter(([other]) => !named.has(other))
      .map(([other, { tss, strand }]) => ({ name: other, start: tss, end: tss + 1, strand, exons: [], point: true }));
    return [...known, ...points];
  };

  const arrow = (pen, at, y, way, fill, size = 4) => pen.path([[at, y - size], [at + 1.4 * size * way, y], [at, y + size]], { fill });
  const site = (pen, at, y, way, stroke) => {
    pen.path([[at, y + 4], [at, y - 5], [at + 9 * way, y - 5]], { stroke, width: 1.5 });
    arrow(pen, at + 8 * way, y - 5, way, stroke, 3);
  };

  // where a gene and its name stand: the name behind the gene, before it, or on it; lengths of names are estimated, so
  // that the height of the picture is known before it is drawn
  const place = (item, x, left, right, own) => {
    const from = Math.max(left, x(item.start));
    const to = Math.min(right, Math.max(x(item.end), from + 1.5));
    const wide = item.name.length * (own ? 8.2 : 7.4);
    const tip = own || item.point ? x(item.strand === "-" ? item.end : item.start) : null;
    const after = Math.max(to, tip !== null && item.strand !== "-" ? tip + 12 : 0) + 5;
    const before = Math.min(from, tip !== null && item.strand === "-" ? tip - 12 : Infinity) - 5;
    if (after + wide <= right) return { ...item, from, to, text: after, anchor: "start", span: [before, after + wide] };
    if (before - wide >= left) return { ...item, from, to, text: before, anchor: "end", span: [before - wide, after] };
    const middle = Math.min(Math.max((from + to) / 2, left + wide / 2), right - wide / 2);
    return { ...item, from, to, text: middle, anchor: "middle", inside: true, span: [Math.min(from, middle - wide / 2), Math.max(to, middle + wide / 2)] };
  };

  // the genes of a window in lanes: the gene itself first, then the longest
  const lanesOf = (shown, x, left, right) => {
    const lanes = [];
    let hidden = 0;
    const inside = shown.models.filter((item) => item.end > shown.window[0] && item.start < shown.window[1])
      .sort((a, b) => (b.name === shown.name) - (a.name === shown.name) || (b.end - b.start) - (a.end - a.start));
    for (const item of inside) {
      const put = place(item, x, left, right, item.name === shown.name);
      let lane = lanes.find((others) => others.every(({ span }) => put.span[1] + 6 < span[0] || put.span[0] - 6 > span[1]));
      if (!lane && lanes.length < LANES) {
        lane = [];
        lanes.push(lane);
      }
      if (lane) lane.push(put);
      else hidden += 1;
    }
    return { lanes, hidden };
  };
  const height = (shown, x, left, right, modelled) => (modelled ? LANE * Math.max(2, lanesOf(shown, x, left, right).lanes.length) : 24);

  // start sites alone: arrows, and the name of the gene itself
  const sites = (pen, look, x, shown, left, right, top) => {
    for (const item of [...shown.models].sort((a, b) => (a.name === shown.name) - (b.name === shown.name))) {
      const at = x(item.strand === "-" ? item.end : item.start);
      if (at < left || at > right) continue;
      const way = item.strand === "-" ? -1 : 1;
      const own = item.name === shown.name;
      const fill = own ? look.ink : look.soft;
      site(pen, at, top + 15, way, fill);
      if (own) pen.text(at - 5 * way, top + 8, item.name, { fill, weight: 650, anchor: way > 0 ? "end" : "start" });
    }
  };

  const draw = (pen, look, x, shown, left, right, top, modelled) => {
    pen.text(left - 6, top + 9, modelled ? "genes" : "start sites", { fill: look.ink, anchor: "end" });
    if (!modelled) {
      sites(pen, look, x, shown, left, right, top);
      return;
    }
    const { lanes, hidden } = lanesOf(shown, x, left, right);
    lanes.forEach((lane, k) => lane.forEach((put) => body(pen, look, x, put, top + LANE * (k + 0.5), put.name === shown.name, left, right)));
    if (hidden) pen.text(left - 6, top + 24, `${hidden} more`, { size: 10, fill: look.soft, anchor: "end" });
  };
  const body = (pen, look, x, put, y, own, left, right) => {
    const fill = own ? look.ink : look.soft;
    const way = put.strand === "-" ? -1 : 1;
    const start = x(way > 0 ? put.start : put.end);
    if (put.point) {
      if (start >= left && start <= right) site(pen, start, y, way, fill);
    } else {
      pen.path([[put.from, y], [put.to, y]], { stroke: fill, width: own ? 1.6 : 1.1 });
      for (const [from, to] of put.exons) {
        const [a, b] = [Math.max(left, x(from)), Math.min(right, x(to))];
        if (b >= left && a <= right) pen.rect(a, y - 4, Math.max(1, b - a), 8, fill);
      }
      if (own && start >= left && start <= right) site(pen, start, y - 2, way, fill);
      for (let at = put.from + 15; at < put.to - 6; at += 30) arrow(pen, at, y, way, fill, 2.6);
      if (put.to - put.from < 22) arrow(pen, way > 0 ? put.to : put.from, y, way, fill, 3);
    }
    pen.text(put.text, y, put.name, { size: 10.5, fill, weight: own ? 650 : 400, anchor: put.anchor, halo: put.inside ? look.ground : null });
  };

  // BED with blocks: exons where they fill the body from end to end, else one block
  const bed = (chrom, models) => [...models].sort((a, b) => a.start - b.start || a.end - b.end).map((item) => {
    const { name, start, end, strand } = item;
    const whole = item.exons.length && item.exons[0][0] === start && item.exons.at(-1)[1] === end;
    const blocks = whole ? item.exons : [[start, end]];
    return [chrom, start, end, name.replace(/\s+/g, "_"), 0, strand, start, end, 0, blocks.length,
      blocks.map(([a, b]) => b - a).join(","), blocks.map(([a]) => a - start).join(",")];
  });

  return { near, height, draw, bed };
})();
