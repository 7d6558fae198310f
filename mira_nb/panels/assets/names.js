// An entry for names of the run: what is typed is searched, several names stand as a list from which each can be removed.
const { make } = common;
const MOST_SHOWN = 60;

const parts = (text) => text.split(/[,;\t\r\n]+/).map((part) => part.trim()).filter(Boolean);

function render({ model, el }) {
  const several = model.get("several");
  const search = makeSearch({
    label: model.get("label"), placeholder: model.get("placeholder"),
    ask: (text, id) => model.send({ kind: "search", text, id }),
    onPick: (item) => take([item.value]),
    onText: (text) => take(parts(text)),
  });
  search.node.classList.add("mn-names-search");
  const list = make("ul", { class: "mn-chips", "aria-label": "Chosen names" });
  const pick = make("button", { type: "button", class: "mn-button mn-pick-button", "aria-label": `${model.get("pick_label")}: ${model.get("label")}` }, model.get("pick_label"));
  pick.addEventListener("click", () => model.send({ kind: "pick" }));
  const box = make("div", { class: "mn-names" }, search.node, ...(several ? [list] : []));
  el.replaceChildren(box);
  const showPick = () => { if (model.get("pickable")) box.append(pick); else pick.remove(); };

  const names = () => parts(model.get("value"));
  function keep(found) {
    const text = found.join(", ");
    if (text === model.get("value")) return;
    model.set("value", text);
    model.save_changes();
  }
  function take(found) {
    if (several) {
      search.input.value = "";
      if (found.length) keep([...new Set([...names(), ...found])]);
    } else keep(found.slice(0, 1));
    draw();
  }
  function remove(name) {
    const place = names().indexOf(name);
    keep(names().filter((known) => known !== name));
    draw();
    const buttons = list.querySelectorAll("button");
    (buttons[Math.min(place, buttons.length - 1)] ?? search.input).focus();
  }
  function draw() {
    if (!several) {
      if (document.activeElement !== search.input || !search.input.value) search.input.value = model.get("value");
      return;
    }
    const wrong = new Set(model.get("wrong"));
    const known = names();
    list.hidden = !known.length;
    list.replaceChildren(...known.slice(0, MOST_SHOWN).map((name) => {
      const button = make("button", { type: "button", "aria-label": `Remove ${name}`, title: `Remove ${name}` }, "×");
      button.addEventListener("click", () => remove(name));
      return make("li", { class: wrong.has(name) ? "mn-chip mn-chip-wrong" : "mn-chip" }, make("span", {}, name), button);
    }));
    if (known.length > MOST_SHOWN) list.append(make("li", { class: "mn-help" }, `and ${known.length - MOST_SHOWN} more`));
    if (known.length > 5) {
      const all = make("button", { type: "button", class: "mn-clear" }, "Remove all");
      all.addEventListener("click", () => { keep([]); draw(); search.input.focus(); });
      list.append(make("li", {}, all));
    }
  }
  search.input.addEventListener("change", () => take(parts(search.input.value)));
  search.input.addEventListener("paste", (event) => {
    const text = event.clipboardData?.getData("text") ?? "";
    if (!several || parts(text).length < 2) return;
    event.preventDefault();
    take(parts(text));
  });
  search.input.addEventListener("keydown", (event) => {
    if (event.key === "Backspace" && several && !search.input.value && names().length) {
      keep(names().slice(0, -1));
      draw();
    }
  });
  const received = (content) => { if (content.kind === "found") search.show(content.items, content.id); };
  const redraw = () => {
    if (!several) search.input.value = model.get("value");
    draw();
  };
  model.on("msg:custom", received);
  model.on("change:value", redraw);
  model.on("change:wrong", draw);
  model.on("change:pickable", showPick);
  showPick();
  if (model.get("returned")) {
    // back from the map: the reader goes on where the map was opened
    model.set("returned", false);
    model.save_changes();
    setTimeout(() => { pick.scrollIntoView({ block: "center" }); pick.focus(); }, 50);
  }
  redraw();
  return () => {
    model.off("msg:custom", received);
    model.off("change:value", redraw);
    model.off("change:wrong", draw);
    model.off("change:pickable", showPick);
  };
}

export default { render };
