// Sends files to the kernel piece by piece: a websocket message must stay small, and the reader sees how far it is.
const { make } = common;
const PIECE = 1 << 19;

function render({ model, el }) {
  const limit = model.get("limit");
  const input = make("input", { type: "file", multiple: true, id: "mn-upload", class: "mn-upload" });
  const said = make("div", { class: "mn-files-said", role: "status" });
  const label = make("label", { for: "mn-upload" }, `Upload files (up to ${Math.round(limit / 1e6)} MB each)`);
  el.replaceChildren(make("div", { class: "mn-upload-box" }, label, input), said);
  let sending = null;
  const waiting = [];

  async function piece(offset) {
    const { file, id } = sending;
    const data = await file.slice(offset, offset + PIECE).arrayBuffer();
    said.textContent = `${file.name}: ${Math.round((100 * offset) / Math.max(1, file.size))} %`;
    model.send({ kind: "piece", id, name: file.name, offset, size: file.size }, undefined, [data]);
  }
  function next() {
    const file = waiting.shift();
    if (!file) { sending = null; return; }
    if (file.size > limit) {
      said.textContent = `${file.name} is larger than ${Math.round(limit / 1e6)} MB: put it into the served folder instead.`;
      next();
      return;
    }
    sending = { file, id: `${Date.now()}-${Math.round(Math.random() * 1e9)}` };
    piece(0);
  }
  input.addEventListener("change", () => {
    waiting.push(...input.files);
    input.value = "";
    if (!sending) next();
  });
  function received(message) {
    if (!sending || message.id !== sending.id) return;
    if (message.kind === "problem") { said.textContent = message.text; next(); return; }
    if (message.done) { said.textContent = `${message.name} was uploaded.`; next(); return; }
    piece(message.offset);
  }
  model.on("msg:custom", received);
  return () => model.off("msg:custom", received);
}

export default { render };
