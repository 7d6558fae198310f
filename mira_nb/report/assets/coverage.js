// Coverage of fragments in the locus view: cuts per bin of each group, per million fragments of the group.
const coverage = (() => {
  // windows of bins by chromosome, and the cuts of each group over all bins
  const start = async (facts) => {
    if (!facts.coverage) return null;
    const { width, windows, fragments } = facts.coverage;
    const store = values.fromPage(page.json("explore-coverage"), "coverage");
    const cuts = [];
    for (const name of facts.groups) cuts.push(await store.read("coverage", name));
    const places = new Map();
    let first = 0;
    for (const [chrom, from, n] of windows) {
      if (!places.has(chrom)) places.set(chrom, []);
      places.get(chrom).push({ from, n, first });
      first += n;
    }
    return { width, fragments, cuts, places };
  };

  const level = (known, group, bin) => (known.fragments[group] ? (1e6 * known.cuts[group][bin]) / known.fragments[group] : 0);

  // bins within a part of a chromosome: start and number
  const bins = (known, chrom, low, high) => {
    const out = [];
    for (const { from, n, first } of known.places.get(chrom) ?? []) {
      const begin = Math.max(0, Math.floor((low - from) / known.width));
      const end = Math.min(n, Math.ceil((high - from) / known.width));
      for (let i = begin; i < end; i += 1) out.push({ at: from + i * known.width, bin: first + i });
    }
    return out;
  };

  // one bar per pixel at most, as high as the highest bin in it
  const draw = (pen, look, x, shown, known, names, left, right, top, row, color) => {
    const inside = bins(known, shown.chrom, ...shown.window);
    const bars = names.map((_, g) => {
      const found = new Map();
      for (const { at, bin } of inside) {
        const px = Math.max(left, Math.floor(x(at)));
        if (px < right) found.set(px, Math.max(found.get(px) ?? 0, level(known, g, bin)));
      }
      return found;
    });
    const most = Math.max(1e-9, ...bars.flatMap((found) => [...found.values()]));
    const counted = (known.places.get(shown.chrom) ?? []).map(({ from, n }) => [Math.max(left, x(from)), Math.min(right, x(from + n * known.width))])
      .filter(([a, b]) => b > a);
    const wide = Math.max(1, x(known.width) - x(0));
    names.forEach((name, g) => {
      const base = top + row * (g + 1) - 3;
      for (const [a, b] of counted) pen.path([[a, base], [b, base]], { stroke: look.faint });
      for (const [px, value] of bars[g]) if (value > 0) pen.rect(px, base - ((row - 4) * value) / most, Math.min(wide, right - px), ((row - 4) * value) / most, color(name));
      pen.text(left - 6, base - 6, views.cut(pen, name, left - 14, 11), { fill: look.ink, anchor: "end" });
    });
    const words = inside.length ? `fragments, 0 to ${common.format(most)}` : "fragments: counted near start sites only";
    pen.text(left, top - 4, words, { size: 10, fill: look.soft });
  };

  const rows = (known, chrom, group, low, high) => bins(known, chrom, low, high).map(({ at, bin }) => [chrom, at, at + known.width, level(known, group, bin)])
    .filter((item) => item[3] > 0);

  return { start, draw, rows };
})();
