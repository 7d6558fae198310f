// Twin of report/explore/packing.py: packed values of genes and motifs, from the page's blocks or from a file values.mnv.
const values = (() => {
  const MAGIC = "MIRANBV1";
  const KEEP = 6;

  const gunzip = async (bytes) => {
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  };

  const counts = (raw, place, nFeatures, nCells) => {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const stored = (i) => view.getUint32(4 * i, true);
    const steps = (i) => view.getUint32(4 * (nFeatures + i), true);
    let atGaps = 8 * nFeatures + 4;
    let atValues = atGaps;
    let all = 0;
    for (let i = 0; i < nFeatures; i += 1) {
      atValues += steps(i);
      all += stored(i);
    }
    let atLarge = atValues + all;
    for (let i = 0; i < place; i += 1) {
      for (let k = 0; k < stored(i); k += 1) if (raw[atValues + k] === 255) atLarge += 4;
      atGaps += steps(i);
      atValues += stored(i);
    }
    const out = new Float64Array(nCells);
    let cell = -1;
    for (let k = 0; k < steps(place); k += 1) {
      const gap = raw[atGaps + k];
      if (gap === 255) cell += 255;
      else {
        cell += gap + 1;
        let value = raw[atValues];
        atValues += 1;
        if (value === 255) {
          value = view.getUint32(atLarge, true);
          atLarge += 4;
        }
        out[cell] = value;
      }
    }
    return out;
  };

  const levels = (raw, place, nCells, offset, scale) => {
    const out = new Float64Array(nCells);
    for (let i = 0; i < nCells; i += 1) {
      const q = raw[place * nCells + i];
      out[i] = q === 255 ? NaN : offset + scale * q;
    }
    return out;
  };

  // `chunkOf(number)` gives the packed bytes of a chunk, counted through all sets
  const reader = (header, chunkOf) => {
    const places = new Map();
    let number = 0;
    for (const set of header.sets) {
      const known = new Map();
      let first = 0;
      for (const [n] of set.chunks) {
        for (let i = 0; i < n; i += 1) known.set(set.features[first + i], { set, chunk: number, place: i, n, at: first + i });
        first += n;
        number += 1;
      }
      places.set(set.name, known);
    }
    const recent = new Map();
    const unpacked = async (chunk) => {
      const raw = recent.get(chunk) ?? await gunzip(await chunkOf(chunk));
      recent.delete(chunk);
      recent.set(chunk, raw);
      if (recent.size > KEEP) recent.delete(recent.keys().next().value);
      return raw;
    };
    const read = async (set, feature) => {
      const found = places.get(set)?.get(feature);
      if (!found) return null;
      const raw = await unpacked(found.chunk);
      return found.set.kind === "counts" ? counts(raw, found.place, found.n, header.n_cells)
        : levels(raw, found.place, header.n_cells, found.set.offset[found.at], found.set.scale[found.at]);
    };
    return { header, read, has: (set, feature) => Boolean(places.get(set)?.has(feature)) };
  };

  const fromPage = (header, blocks = "values") => reader(header, (chunk) => {
    const text = atob(page.byId(`${blocks}-${chunk}`).textContent);
    const out = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i += 1) out[i] = text.charCodeAt(i);
    return out;
  });

  // a file that the reader chose; it must hold the same cells in the same order
  const fromFile = async (file, cells) => {
    const start = new DataView(await file.slice(0, 12).arrayBuffer());
    const magic = start.byteLength < 12 ? "" : String.fromCharCode(...new Uint8Array(start.buffer, 0, 8));
    if (magic !== MAGIC) throw new Error(`${file.name} is not a file of values of a run`);
    const length = start.getUint32(8, true);
    const header = JSON.parse(await file.slice(12, 12 + length).text());
    if (header.cells !== cells) throw new Error(`${file.name} belongs to another run: its cells differ`);
    const bounds = [12 + length];
    for (const set of header.sets) for (const [, size] of set.chunks) bounds.push(bounds.at(-1) + size);
    return reader(header, async (chunk) => new Uint8Array(await file.slice(bounds[chunk], bounds[chunk + 1]).arrayBuffer()));
  };

  return { fromPage, fromFile };
})();
