// Views of one feature over the cells: map, distribution by group, course along pseudotime; each for either pen.
const views = (() => {
  const VIRIDIS = ("440154 470d60 48186a 482374 472d7b 453781 424086 3e4989 3b528b 375b8d 33638d 2f6b8e 2c728e 297a8e 26828e 23898e 21918c"
    + " 1f988b 1fa088 22a785 28ae80 32b67a 3fbc73 4ec36b 5ec962 70cf57 84d44b 98d83e addc30 c2df23 d8e219 ece51b fde725").split(" ").map((hex) => `#${hex}`);
  const DIVERGING = ["#1f5fa8", "#6f9bcb", "#9aa0a6", "#dba35f", "#c05a00"];
  const MISSING = "#b4bac0";
  const MAX_ROWS = 40;
  const LEAST_CELLS = 10;
  const { format } = common;

  const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
  const ramp = (stops) => {
    const parts = stops.map(rgb);
    return Array.from({ length: 256 }, (_, i) => {
      const at = (i / 255) * (parts.length - 1);
      const k = Math.min(Math.floor(at), parts.length - 2);
      const mixed = parts[k].map((v, c) => Math.round(v + (parts[k + 1][c] - v) * (at - k)));
      return `#${mixed.map((v) => v.toString(16).padStart(2, "0")).join("")}`;
    });
  };
  const RAMPS = { viridis: ramp(VIRIDIS), diverging: ramp(DIVERGING) };

  const range = (data) => {
    let low = Infinity;
    let high = -Infinity;
    for (const v of data) {
      if (!Number.isFinite(v)) continue;
      if (v < low) low = v;
      if (v > high) high = v;
    }
    return low <= high ? [low, high] : [0, 0];
  };
  const scale = ([d0, d1], [r0, r1]) => (v) => (d1 > d0 ? r0 + ((v - d0) / (d1 - d0)) * (r1 - r0) : (r0 + r1) / 2);
  const ticks = (low, high, wanted) => {
    if (!(high > low)) return [low];
    const raw = (high - low) / wanted;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = power * ([1, 2, 5, 10].find((m) => m * power >= raw));
    const out = [];
    for (let v = Math.ceil(low / step) * step; v <= high + step * 1e-9; v += step) out.push(Math.abs(v) < step * 1e-9 ? 0 : v);
    return out;
  };
  // a scale of both signs is drawn about zero, if both sides matter
  const colorsOf = (data) => {
    let [low, high] = range(data);
    const both = low < 0 && high > 0 && Math.min(-low, high) > 0.1 * Math.max(-low, high);
    if (both) [low, high] = [-Math.max(-low, high), Math.max(-low, high)];
    const steps = RAMPS[both ? "diverging" : "viridis"];
    return { low, high, steps, of: (v) => (Number.isFinite(v) ? steps[high > low ? Math.round(((v - low) / (high - low)) * 255) : 0] : MISSING) };
  };

  const mean = (data, weights = null) => {
    let sum = 0;
    let total = 0;
    for (let i = 0; i < data.length; i += 1) {
      const w = weights ? weights[i] : 1;
      if (Number.isFinite(data[i]) && w > 0) {
        sum += w * data[i];
        total += w;
      }
    }
    return total ? sum / total : NaN;
  };
  const median = (data) => {
    const sorted = Float64Array.from(data.filter(Number.isFinite)).sort();
    const half = sorted.length >> 1;
    return !sorted.length ? NaN : sorted.length % 2 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
  };
  const membersOf = (group) => {
    const out = group.names.map(() => []);
    group.codes.forEach((code, i) => code >= 0 && out[code].push(i));
    return out;
  };
  // one line a group: number of cells, mean, median, share above zero
  const summary = (data, group) => membersOf(group).map((rows, g) => {
    const part = rows.map((i) => data[i]).filter(Number.isFinite);
    return { name: group.names[g], n: part.length, mean: mean(part), median: median(part), above: part.length ? part.filter((v) => v > 0).length / part.length : NaN };
  });

  const cut = (pen, text, room, size) => {
    if (pen.measure(text, size) <= room) return text;
    let short = text;
    while (short.length > 1 && pen.measure(`${short}…`, size) > room) short = short.slice(0, -1);
    return `${short}…`;
  };

  const nothing = (pen, w, h, look, words) => {
    const size = 12;
    const lines = [];
    for (const word of words.split(" ")) {
      const last = lines.at(-1);
      if (last !== undefined && pen.measure(`${last} ${word}`, size) < w - 40) lines[lines.length - 1] = `${last} ${word}`;
      else lines.push(word);
    }
    lines.forEach((line, i) => pen.text(w / 2, h / 2 + (i - (lines.length - 1) / 2) * 17, line, { size, fill: look.soft, anchor: "middle" }));
  };

  const legend = (pen, w, h, look, colors, label) => {
    const long = Math.min(180, w - 130);
    const top = h - 30;
    pen.text(8, top - 9, cut(pen, label, w - 16, 11), { fill: look.ink });
    for (let i = 0; i < 60; i += 1) pen.rect(8 + (long * i) / 60, top, long / 60 + 0.6, 9, colors.steps[Math.round((i / 59) * 255)]);
    pen.text(8, top + 19, format(colors.low), { size: 10.5, fill: look.soft });
    pen.text(8 + long, top + 19, format(colors.high), { size: 10.5, fill: look.soft, anchor: "end" });
  };
  const keys = (pen, w, h, look, group) => {
    let x = 8;
    let y = h - 44;
    group.names.forEach((name, g) => {
      const words = cut(pen, name, w / 2, 11);
      const room = pen.measure(words, 11) + 30;
      if (x + room > w) {
        x = 8;
        y += 16;
      }
      if (y > h - 6) return;
      pen.dot(x + 5, y, 4.5, group.colors[g]);
      pen.text(x + 13, y, words, { fill: look.ink });
      x += room;
    });
  };

  // where each cell stands in a map of this size
  const place = (state, w, h) => {
    const x = scale(range(state.x), [12, w - 12]);
    const y = scale(range(state.y), [h - 70, 12]);
    return { x: (i) => x(state.x[i]), y: (i) => y(state.y[i]), r: Math.max(0.9, Math.min(4, Math.sqrt((w * h) / state.n) / 3.4)) };
  };
  const map = (pen, w, h, look, state) => {
    const at = place(state, w, h);
    const { feature } = state;
    const order = Array.from({ length: state.n }, (_, i) => i);
    if (feature.group) {
      for (const i of order) {
        const code = feature.group.codes[i];
        pen.dot(at.x(i), at.y(i), at.r, code < 0 ? MISSING : feature.group.colors[code], 0.85);
      }
      keys(pen, w, h, look, feature.group);
    } else {
      const colors = colorsOf(feature.data);
      const rank = (v) => (Number.isFinite(v) ? v : -Infinity);
      order.sort((a, b) => rank(feature.data[a]) - rank(feature.data[b]));
      for (const i of order) pen.dot(at.x(i), at.y(i), at.r, colors.of(feature.data[i]));
      legend(pen, w, h, look, colors, feature.label);
    }
    const named = feature.group ?? state.group;
    if (!named || named.names.length > 30) return;
    membersOf(named).forEach((rows, g) => {
      if (!rows.length) return;
      pen.text(median(rows.map(at.x)), median(rows.map(at.y)), named.names[g], { size: 11.5, weight: 650, fill: look.ink, anchor: "middle", halo: look.ground });
    });
  };

  // density of the values on a grid, by a Gaussian kernel of Silverman's width, at least a fortieth of the range
  const density = (part, grid) => {
    const m = mean(part);
    const sd = Math.sqrt(mean(part.map((v) => (v - m) ** 2)));
    const width = Math.max(0.9 * sd * part.length ** -0.2, (grid.at(-1) - grid[0]) / 40) || 1;
    const out = new Float64Array(grid.length);
    for (const v of part) grid.forEach((g, k) => { out[k] += Math.exp(-0.5 * ((g - v) / width) ** 2); });
    return out;
  };
  const axisBelow = (pen, look, x, [low, high], left, right, bottom, label, w) => {
    pen.path([[left, bottom], [right, bottom]], { stroke: look.faint });
    for (const t of ticks(low, high, 4)) {
      pen.path([[x(t), bottom], [x(t), bottom + 4]], { stroke: look.faint });
      pen.text(x(t), bottom + 12, format(Number(t.toPrecision(6))), { size: 10.5, fill: look.soft, anchor: "middle" });
    }
    pen.text((left + right) / 2, bottom + 29, cut(pen, label, w - 16, 11), { fill: look.ink, anchor: "middle" });
  };
  const violins = (pen, w, h, look, state) => {
    const { feature, group } = state;
    if (!group) return nothing(pen, w, h, look, "The run has no groups of cells yet.");
    if (feature.group) return composition(pen, w, h, look, feature.group, group);
    const rows = membersOf(group).map((cells, g) => ({ g, part: cells.map((i) => feature.data[i]).filter(Number.isFinite) }))
      .filter(({ part }) => part.length).slice(0, MAX_ROWS);
    if (!rows.length) return nothing(pen, w, h, look, `No cell has a value of ${feature.label}.`);
    const left = Math.min(w * 0.34, 16 + Math.max(...rows.map(({ g }) => pen.measure(group.names[g]))));
    const right = w - 46;
    const bottom = h - 42;
    const domain = range(rows.flatMap(({ part }) => range(part)));
    const x = scale(domain, [left, right]);
    const high = (bottom - 8) / rows.length;
    const grid = Array.from({ length: 72 }, (_, k) => domain[0] + ((domain[1] - domain[0]) * k) / 71);
    axisBelow(pen, look, x, domain, left, right, bottom, feature.label, w);
    rows.forEach(({ g, part }, row) => {
      const middle = 8 + high * (row + 0.5);
      const found = density(part, grid);
      const most = Math.max(...found) || 1;
      const half = high * 0.44;
      const edge = grid.map((v, k) => [x(v), (found[k] / most) * half]);
      const shape = [...edge.map(([px, d]) => [px, middle - d]), ...edge.reverse().map(([px, d]) => [px, middle + d])];
      pen.path(shape, { fill: group.colors[g], alpha: 0.75 });
      const center = x(median(part));
      pen.path([[center, middle - Math.min(half, 9)], [center, middle + Math.min(half, 9)]], { stroke: look.ink, width: 2 });
      pen.text(left - 6, middle, cut(pen, group.names[g], left - 10, 11), { fill: look.ink, anchor: "end" });
      pen.text(right + 6, middle, format(part.length, "integer"), { size: 10, fill: look.soft });
    });
    return null;
  };
  // a column of labels: its fractions in every group
  const composition = (pen, w, h, look, inner, group) => {
    const rows = membersOf(group).slice(0, MAX_ROWS);
    const left = Math.min(w * 0.34, 16 + Math.max(...group.names.map((name) => pen.measure(name))));
    const right = w - 46;
    const high = (h - 50) / rows.length;
    axisBelow(pen, look, scale([0, 1], [left, right]), [0, 1], left, right, h - 42, "fraction of the group's cells", w);
    rows.forEach((cells, g) => {
      const sizes = inner.names.map((_, k) => cells.filter((i) => inner.codes[i] === k).length);
      let at = left;
      sizes.forEach((n, k) => {
        const wide = cells.length ? ((right - left) * n) / cells.length : 0;
        pen.rect(at, 8 + high * (g + 0.12), wide, high * 0.76, inner.colors[k]);
        at += wide;
      });
      pen.text(left - 6, 8 + high * (g + 0.5), cut(pen, group.names[g], left - 10, 11), { fill: look.ink, anchor: "end" });
      pen.text(right + 6, 8 + high * (g + 0.5), format(cells.length, "integer"), { size: 10, fill: look.soft });
    });
    return null;
  };

  // weighted mean along pseudotime by a Gaussian kernel of 4 % of its range, with a band of two standard errors
  const smooth = (time, data, weights, grid, width) => grid.map((g) => {
    let total = 0;
    let squares = 0;
    let sum = 0;
    let sum2 = 0;
    for (let i = 0; i < data.length; i += 1) {
      if (!Number.isFinite(time[i]) || !Number.isFinite(data[i])) continue;
      const far = (time[i] - g) / width;
      if (far > 4 || far < -4 || !(weights[i] > 1e-3)) continue;
      const w = weights[i] * Math.exp(-0.5 * far * far);
      total += w;
      squares += w * w;
      sum += w * data[i];
      sum2 += w * data[i] * data[i];
    }
    const n = squares ? (total * total) / squares : 0;
    const m = total ? sum / total : NaN;
    return { n, mean: m, se: n ? Math.sqrt(Math.max(0, sum2 / total - m * m) / n) : NaN };
  });
  const curves = (state) => {
    const domain = range(state.time);
    const grid = Array.from({ length: 60 }, (_, k) => domain[0] + ((domain[1] - domain[0]) * k) / 59);
    return state.lineages.map((line) => ({
      ...line,
      points: smooth(state.time, state.feature.data, line.weights, grid, 0.04 * (domain[1] - domain[0]))
        .map((p, k) => ({ t: grid[k], ...p })).filter((p) => p.n >= LEAST_CELLS),
    }));
  };
  const courses = (pen, w, h, look, state) => {
    if (!state.time) return nothing(pen, w, h, look, state.timeReason);
    if (state.feature.group) return nothing(pen, w, h, look, "Labels have no course along pseudotime: choose a gene, motif, topic or column of numbers.");
    const lines = curves(state).filter((line) => line.points.length > 1);
    if (!lines.length) return nothing(pen, w, h, look, "Too few cells have both a pseudotime and a value.");
    const [left, right, bottom] = [46, w - 10, h - 58];
    const domain = range(lines.flatMap((line) => line.points.flatMap((p) => [p.mean - 2 * p.se, p.mean + 2 * p.se])));
    const span = range(state.time);
    const x = scale(span, [left, right]);
    const y = scale(domain, [bottom, 10]);
    axisBelow(pen, look, x, span, left, right, bottom, "pseudotime", w);
    for (const t of ticks(...domain, 4)) {
      pen.path([[left, y(t)], [right, y(t)]], { stroke: look.faint });
      pen.text(left - 5, y(t), format(Number(t.toPrecision(6))), { size: 10.5, fill: look.soft, anchor: "end" });
    }
    pen.text(11, (10 + bottom) / 2, cut(pen, state.feature.label, bottom, 11), { fill: look.ink, anchor: "middle", angle: -90 });
    for (const line of lines) {
      const upper = line.points.map((p) => [x(p.t), y(p.mean + 2 * p.se)]);
      const lower = line.points.map((p) => [x(p.t), y(p.mean - 2 * p.se)]).reverse();
      pen.path([...upper, ...lower], { fill: line.color, alpha: 0.16 });
    }
    for (const line of lines) pen.path(line.points.map((p) => [x(p.t), y(p.mean)]), { stroke: line.color, width: 2.2 });
    let at = left;
    for (const line of lines) {
      const words = cut(pen, line.name, 120, 11);
      pen.rect(at, h - 11, 12, 3, line.color);
      pen.text(at + 16, h - 9, words, { fill: look.ink });
      at += pen.measure(words) + 32;
    }
    return null;
  };

  return { map, violins, courses, curves, summary, place, colorsOf, range, scale, ticks, cut, nothing, axisBelow, mean };
})();
