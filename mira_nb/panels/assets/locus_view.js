// The report's locus view in the explorer: one gene at a time, sent by the kernel. The shim `page` stands before locus.js.
const { make } = common;
const MOVES = [["in", "+", "Zoom in"], ["out", "−", "Zoom out"], ["left", "←", "Move left"], ["right", "→", "Move right"], ["all", "All", "Show the whole window"]];
const SAVES = [["svg", "SVG", "as SVG"], ["csv", "CSV", "peaks as CSV"], ["bedgraph", "bedGraph", "tracks as bedGraph"], ["igv", "IGV", "tracks as a session for IGV (ZIP)"]];

function render({ model, el }) {
  const heading = make("h3", {}, "Locus");
  const said = make("p", { class: "mn-help", role: "status" });
  const plot = make("div", { class: "mn-locus", role: "img", "aria-label": "Locus" });
  const canvas = make("canvas");
  plot.append(canvas);
  let state = null;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const size = () => {
    const w = Math.max(280, Math.round(plot.clientWidth));
    return [w, Math.max(240, locus.height(w))];
  };
  function draw() {
    if (!state?.locus || !plot.clientWidth) return;
    const [w, h] = size();
    const dense = devicePixelRatio || 1;
    [canvas.width, canvas.height] = [Math.round(w * dense), Math.round(h * dense)];
    [canvas.style.width, canvas.style.height] = [`${w}px`, `${h}px`];
    const context = canvas.getContext("2d");
    context.setTransform(dense, 0, 0, dense, 0, 0);
    locus.draw(pens.onCanvas(context), w, h, pens.look(dark.matches), state);
  }
  const button = (text, label, action) => {
    const node = make("button", { type: "button", class: "mn-button", "aria-label": label }, text);
    node.addEventListener("click", action);
    return node;
  };
  function save(kind) {
    const shown = state.locus;
    const stem = `locus-${shown.name}`.replace(/[^\w.-]+/g, "_");
    if (kind === "svg") {
      const [w, h] = size();
      const pen = pens.asSvg(w, h, pens.LIGHT.ground);
      locus.draw(pen, w, h, pens.LIGHT, state);
      common.save(`${stem}.svg`, new Blob([pen.done(`Locus of ${shown.name}`)], { type: "image/svg+xml" }));
    } else if (kind === "csv") common.save(`${stem}.csv`, locus.csv(shown), "text/csv");
    else if (kind === "bedgraph") common.save(`${stem}.bedgraph`, locus.bedGraph(shown), "text/plain");
    else common.save(`${stem}.igv.zip`, locus.session(shown));
  }
  const tools = make("div", { class: "mn-map-tools", role: "toolbar", "aria-label": "Locus" },
    ...MOVES.map(([name, sign, words]) => button(sign, words, () => { locus.move(state.locus, name); draw(); })),
    ...SAVES.map(([kind, text, words]) => button(text, `Save the locus: ${words}`, () => save(kind))));
  const caption = make("p", { class: "mn-help" });
  el.replaceChildren(make("div", { class: "mn-map" }, heading, said, tools, plot, caption));
  function show(flag) { tools.hidden = !flag; plot.hidden = !flag; caption.hidden = !flag; el.hidden = !flag && !said.textContent; }

  let asked = 0;
  async function received(content, buffers) {
    asked += 1;
    if (content.kind !== "locus") {
      state = null;
      heading.textContent = "Locus";
      said.textContent = content.text ?? "";
      show(false);
      return;
    }
    const mine = asked;
    page.fill(content, buffers);
    await locus.start("facts");
    const found = await locus.of(content.gene);
    if (mine !== asked || !found) return;
    state = { locus: found, locusReason: "", groupColors: content.colours };
    caption.textContent = content.caption;
    const best = found.rows.reduce((a, b) => (b.weight > a.weight ? b : a), found.rows[0]);
    heading.textContent = `Locus of ${found.name}`;
    said.textContent = `Start site ${found.chrom}:${common.format(found.tss, "integer")} (${found.strand}), ${found.rows.length} peaks`
      + (best ? `; the largest weight, ${common.format(best.weight)}, is ${common.format(Math.round(best.distance), "integer")} bp away.` : ".");
    plot.setAttribute("aria-label", `${heading.textContent}. ${said.textContent}`);
    show(true);
    draw();
    el.dataset.locus = found.name;
  }
  const watcher = new ResizeObserver(draw);
  watcher.observe(plot);
  dark.addEventListener("change", draw);
  model.on("msg:custom", received);
  show(false);
  model.send({ kind: "ready" });
  return () => { model.off("msg:custom", received); watcher.disconnect(); dark.removeEventListener("change", draw); };
}

export default { render };
