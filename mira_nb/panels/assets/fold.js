// The head of a fold: a button, so that it is reached and opened with the keyboard too.
const { make } = common;

function render({ model, el }) {
  const mark = make("span", { class: "mn-fold-mark", "aria-hidden": "true" });
  const text = make("span", {});
  const button = make("button", { type: "button", class: "mn-fold-head" }, mark, text);
  el.replaceChildren(button);
  function draw() {
    text.textContent = model.get("title");
    mark.textContent = model.get("shown") ? "▾" : "▸";
    button.setAttribute("aria-expanded", String(model.get("shown")));
  }
  button.addEventListener("click", () => {
    model.set("shown", !model.get("shown"));
    model.save_changes();
  });
  model.on("change:title", draw);
  model.on("change:shown", draw);
  draw();
  return () => {
    model.off("change:title", draw);
    model.off("change:shown", draw);
  };
}

export default { render };
