// Twin of charts/packed.py: columns of base64-coded numbers back to arrays and rows.
const packed = (() => {
  const bytes = (text) => {
    const raw = atob(text);
    const out = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i += 1) out[i] = raw.charCodeAt(i);
    return out;
  };

  const numbers = (text, kind) => {
    const raw = bytes(text);
    if (kind === "u8" || kind === "cat8") return raw;
    const view = new DataView(raw.buffer);
    const width = kind === "f64" ? 8 : kind === "f32" ? 4 : 2;
    const out = new Array(raw.length / width);
    for (let i = 0; i < out.length; i += 1) {
      out[i] = width === 8 ? view.getFloat64(8 * i, true)
        : width === 4 ? view.getFloat32(4 * i, true) : view.getUint16(2 * i, true);
    }
    return out;
  };

  // values of one column; `text(ref)` gives the base64 of a column that is kept elsewhere in the page
  const column = (item, text) => {
    if (item.kind === "str") return item.values;
    const raw = numbers(item.data === undefined ? text(item.ref) : item.data, item.kind);
    const out = new Array(raw.length);
    const missing = item.kind.endsWith("16") ? 65535 : 255;
    for (let i = 0; i < raw.length; i += 1) {
      const q = raw[i];
      if (item.kind === "f32" || item.kind === "f64") out[i] = Number.isNaN(q) ? null : q;
      else if (q === missing) out[i] = null;
      else out[i] = item.kind.startsWith("cat") ? item.categories[q] : item.offset + item.scale * q;
    }
    return out;
  };

  const columns = (dataset, text) => {
    const out = {};
    for (const item of dataset.columns) out[item.name] = column(item, text);
    return out;
  };

  const rows = (dataset, text) => {
    const byName = Object.entries(columns(dataset, text));
    const out = new Array(dataset.n);
    for (let i = 0; i < dataset.n; i += 1) {
      const row = {};
      for (const [name, values] of byName) row[name] = values[i];
      out[i] = row;
    }
    return out;
  };

  return { column, columns, rows };
})();
