// What values.js and locus.js ask of the report's page, answered from the kernel's last message.
const page = (() => {
  let blocks = {};
  const chunks = {};
  const base64 = (view) => {
    const bytes = new Uint8Array(view.buffer ?? view, view.byteOffset ?? 0, view.byteLength);
    let text = "";
    for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192));
    return btoa(text);
  };
  return {
    fill(content, buffers) {
      blocks = { facts: content.facts, "explore-loci": content.header, "explore-coverage": content.coverage };
      let first = 0;
      for (const [name, n] of Object.entries(content.chunks)) {
        chunks[name] = buffers.slice(first, first + n).map(base64);
        first += n;
      }
    },
    json: (name) => blocks[name],
    byId(name) {
      const [part, number] = name.split("-");
      return { textContent: chunks[part][Number(number)] };
    },
  };
})();
