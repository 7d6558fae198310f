// The figures of one stage, each fetched when it comes into view and drawn with the Vega bundle, which the kernel
// sends once per page.
const { make } = common;

// ---------------------------------------------------------------- packed rows (common.js and packed.js of the report are put before this script)
const MOST_POINTS = 50_000;

// rows of every packed dataset, evenly thinned where there are too many to draw
function unpack(spec) {
  const datasets = {};
  const notes = [];
  for (const [name, item] of Object.entries(spec.usermeta?.mira_nb?.packed ?? {})) {
    const all = packed.rows(item);
    const step = Math.ceil(all.length / MOST_POINTS);
    datasets[name] = step > 1 ? all.filter((_, i) => i % step === 0) : all;
    if (step > 1) notes.push(`${datasets[name].length.toLocaleString("en")} of ${all.length.toLocaleString("en")} points are drawn.`);
  }
  return { datasets, note: notes.join(" ") };
}

// the rows go into the compiled chart, where nothing copies them
function filled(datasets) {
  return (vega) => {
    for (const data of vega.data ?? []) {
      if (!(data.name in datasets)) continue;
      data.values = datasets[data.name];
      delete data.url;
      delete data.format;
    }
    return vega;
  };
}

// ---------------------------------------------------------------- the Vega bundle, once a page
function library(model) {
  if (window.vegaEmbed) return Promise.resolve();
  window.miraNbLibrary ??= new Promise((resolve, reject) => {
    async function received(message, buffers) {
      if (message.kind !== "library") return;
      model.off("msg:custom", received);
      const url = URL.createObjectURL(new Blob([buffers[0]], { type: "text/javascript" }));
      try {
        await import(url); // as a module, so that its names stay its own
        resolve();
      } catch (error) {
        reject(error);
      } finally {
        URL.revokeObjectURL(url);
      }
    }
    model.on("msg:custom", received);
    model.send({ kind: "library" });
  });
  return window.miraNbLibrary;
}

// ---------------------------------------------------------------- one figure
function card(item, level) {
  const plot = make("div", { class: "mn-plot", "aria-busy": "true", tabindex: "0", role: "group", "aria-label": item.title }, make("p", { class: "mn-help" }, "Loading …"));
  const tools = make("div", { class: "mn-tools" });
  const caption = make("figcaption", {}, make(level, {}, item.title), make("p", {}, item.caption));
  const node = make("figure", { class: "mn-figure", "data-name": item.name }, caption, plot, tools);
  return { node, plot, tools, item, view: null };
}

function tool(entry, text, action) {
  const button = make("button", { type: "button", class: "mn-button" }, text);
  button.setAttribute("aria-label", `Save ${text}: ${entry.item.title}`);
  button.addEventListener("click", action);
  entry.tools.append(button);
}

function problem(entry, text) {
  entry.plot.replaceChildren(make("p", { class: "mn-mistake", role: "alert" }, text));
}

function drawImage(entry, bytes, mime) {
  const url = URL.createObjectURL(new Blob([bytes], { type: mime }));
  const image = make("img", { src: url, alt: entry.item.alt || `${entry.item.title}. ${entry.item.caption}` });
  entry.plot.replaceChildren(image);
  const kind = mime === "image/png" ? "png" : "svg";
  tool(entry, kind.toUpperCase(), () => common.save(`${entry.item.name}.${kind}`, bytes, mime));
}

async function drawChart(entry, bytes, model) {
  const text = new TextDecoder().decode(bytes);
  await library(model);
  const target = make("div", {});
  entry.plot.replaceChildren(target);
  const spec = JSON.parse(text);
  const { datasets, note } = unpack(spec);
  const shown = { ...spec, config: { ...model.get("config"), ...(spec.config ?? {}) } };
  delete shown.usermeta;
  if (spec.width === "container") target.style.width = "100%";
  const options = { mode: "vega-lite", actions: false, ast: true, renderer: "canvas", logLevel: 1, patch: filled(datasets) };
  const result = await window.vegaEmbed(target, shown, options);
  if (note) entry.plot.append(make("p", { class: "mn-help" }, note));
  entry.view = result;
  const canvas = target.querySelector("canvas");
  if (canvas) {
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", entry.item.alt || entry.item.title);
  }
  tool(entry, "PNG", async () => common.save(`${entry.item.name}.png`, await result.view.toImageURL("png", 2)));
  tool(entry, "SVG", async () => common.save(`${entry.item.name}.svg`, await result.view.toSVG(), "image/svg+xml"));
  tool(entry, "Vega-Lite", () => common.save(`${entry.item.name}.vl.json`, text, "application/json"));
}

async function draw(entry, message, bytes, model) {
  if (entry.drawn) return;
  entry.drawn = true;
  try {
    if (message.kind === "problem") problem(entry, message.text);
    else if (message.mime.startsWith("image/")) drawImage(entry, bytes, message.mime);
    else await drawChart(entry, bytes, model);
  } catch (error) {
    problem(entry, `The figure could not be drawn: ${error.message}`);
  }
  entry.plot.setAttribute("aria-busy", "false");
}

function render({ model, el }) {
  let entries = new Map();
  const observer = new IntersectionObserver(
    (seen) => {
      for (const { isIntersecting, target } of seen) {
        if (!isIntersecting) continue;
        observer.unobserve(target);
        model.send({ kind: "figure", id: target.dataset.name });
      }
    },
    // under Voila the page scrolls inside this element, and margins count from the scrolling element only
    { root: document.getElementById("rendered_cells"), rootMargin: "400px" },
  );
  function clear() {
    observer.disconnect();
    for (const entry of entries.values()) entry.view?.finalize();
    entries = new Map();
  }
  function layout() {
    clear();
    const box = make("div", { class: "mn-gallery" });
    let section = "";
    for (const item of model.get("items")) {
      if (item.section && item.section !== section) box.append(make("h3", {}, item.section));
      section = item.section;
      const entry = card(item, item.section ? "h4" : "h3");
      entries.set(item.name, entry);
      box.append(entry.node);
      observer.observe(entry.node);
    }
    el.replaceChildren(box);
  }
  function received(message, buffers) {
    const entry = entries.get(message.id);
    if (entry) draw(entry, message, buffers[0], model);
  }
  model.on("msg:custom", received);
  model.on("change:items", layout);
  layout();
  return () => {
    clear();
    model.off("msg:custom", received);
    model.off("change:items", layout);
  };
}

export default { render };
