// A ZIP file of a few texts, stored without compression.
const zip = (() => {
  const TABLE = Uint32Array.from({ length: 256 }, (_, n) => {
    let c = n;
    for (let k = 0; k < 8; k += 1) c = c & 1 ? 0xedb88320 ^ (c >>> 1) : c >>> 1;
    return c >>> 0;
  });
  const checksum = (bytes) => {
    let c = 0xffffffff;
    for (const byte of bytes) c = TABLE[(c ^ byte) & 0xff] ^ (c >>> 8);
    return (c ^ 0xffffffff) >>> 0;
  };
  const DATE = (1 << 5) | 1; // 1 January 1980: the same content gives the same file
  const UTF8 = 0x0800;

  const record = (fields) => {
    const out = new DataView(new ArrayBuffer(fields.reduce((n, [, size]) => n + size, 0)));
    let at = 0;
    for (const [value, size] of fields) {
      if (size === 2) out.setUint16(at, value, true);
      else out.setUint32(at, value, true);
      at += size;
    }
    return new Uint8Array(out.buffer);
  };

  const pack = (files) => {
    const coder = new TextEncoder();
    const body = [];
    const index = [];
    let at = 0;
    for (const [name, text] of files) {
      const title = coder.encode(name);
      const bytes = coder.encode(text);
      const facts = [[20, 2], [UTF8, 2], [0, 2], [0, 2], [DATE, 2], [checksum(bytes), 4], [bytes.length, 4], [bytes.length, 4], [title.length, 2], [0, 2]];
      const head = record([[0x04034b50, 4], ...facts]);
      body.push(head, title, bytes);
      index.push(record([[0x02014b50, 4], [20, 2], ...facts, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]]), title);
      at += head.length + title.length + bytes.length;
    }
    const size = index.reduce((n, part) => n + part.length, 0);
    const end = record([[0x06054b50, 4], [0, 2], [0, 2], [files.length, 2], [files.length, 2], [size, 4], [at, 4], [0, 2]]);
    return new Blob([...body, ...index, end], { type: "application/zip" });
  };

  return { pack };
})();
