// The list of stages: one button per stage, with its status in words and as a mark.
const MARKS = {
  done: "✓", outdated: "↻", running: "…", failed: "!", ready: "○", waiting: "·", blocked: "–", unavailable: "–",
};

const { make } = common;

function render({ model, el }) {
  const list = make("ol", {});
  el.replaceChildren(make("nav", { class: "mn-nav", "aria-label": "Stages of the analysis" }, list));
  function draw() {
    const focused = el.contains(document.activeElement) ? document.activeElement.dataset.name : null;
    list.replaceChildren();
    for (const item of model.get("items")) {
      const current = item.name === model.get("selected");
      const button = make(
        "button",
        { type: "button", class: `mn-stage mn-is-${item.status}`, "data-name": item.name },
        make("span", { class: "mn-mark", "aria-hidden": "true" }, MARKS[item.status] ?? "○"),
        make("span", { class: "mn-stage-title" }, item.title),
        make("span", { class: "mn-stage-label" }, item.label),
      );
      if (current) button.setAttribute("aria-current", "page");
      button.addEventListener("click", () => {
        model.set("selected", item.name);
        model.save_changes();
        draw();
      });
      list.append(make("li", {}, button));
      if (item.name === focused) button.focus();
    }
  }
  model.on("change:items", draw);
  model.on("change:selected", draw);
  draw();
  return () => {
    model.off("change:items", draw);
    model.off("change:selected", draw);
  };
}

export default { render };
