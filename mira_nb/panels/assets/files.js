// Buttons that fetch a file through the kernel and save it, or open it in a new tab. No server route is needed.
const { make } = common;

function size(bytes) {
  if (!(bytes >= 0)) return "";
  return bytes < 1e6 ? `${Math.max(1, Math.round(bytes / 1e3))} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function render({ model, el }) {
  const list = make("div", { class: "mn-files" });
  const said = make("div", { class: "mn-files-said", role: "status" });
  el.replaceChildren(list, said);
  const tabs = new Map();
  const hash = (id) => {
    const part = model.get("items").find((item) => item.id === id)?.hash;
    return part ? `#${part}` : "";
  };
  function draw() {
    list.replaceChildren();
    for (const item of model.get("items")) {
      const button = make("button", { type: "button", class: "mn-button" }, item.label);
      if (item.description) button.title = item.description;
      if (item.bytes >= 0) button.append(make("span", { class: "mn-size" }, ` ${size(item.bytes)}`));
      button.disabled = Boolean(item.disabled);
      button.addEventListener("click", () => {
        // the tab must be opened by the click itself, or the browser blocks it
        if (item.open) tabs.set(item.id, window.open("about:blank"));
        said.textContent = `Fetching ${item.label} …`;
        model.send({ kind: "file", id: item.id });
      });
      list.append(button);
    }
  }
  function received(message, buffers) {
    if (message.kind === "problem") {
      tabs.get(message.id)?.close();
      said.textContent = message.text;
      return;
    }
    if (message.kind !== "file") return;
    said.textContent = "";
    const content = new Blob([buffers[0]], { type: message.mime });
    const tab = tabs.get(message.id);
    tabs.delete(message.id);
    if (tab && !tab.closed) tab.location = URL.createObjectURL(content) + hash(message.id);
    else common.save(message.name, content);
  }
  model.on("change:items", draw);
  model.on("msg:custom", received);
  draw();
  return () => {
    model.off("change:items", draw);
    model.off("msg:custom", received);
  };
}

export default { render };
