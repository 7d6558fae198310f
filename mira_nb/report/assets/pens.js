// Two pens with the same strokes: one draws on a canvas, one writes an SVG file.
const pens = (() => {
  const FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";
  const LIGHT = { dark: false, ink: "#1d2328", soft: "#59636d", faint: "#dfe3e6", ground: "#ffffff" };
  const DARK = { dark: true, ink: "#e6e8ea", soft: "#a3adb7", faint: "#3a4148", ground: "#1b1f23" };

  const onCanvas = (context) => ({
    dot(x, y, r, fill, alpha = 1) {
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.beginPath();
      context.arc(x, y, r, 0, 2 * Math.PI);
      context.fill();
      context.globalAlpha = 1;
    },
    path(points, { stroke = null, width = 1, fill = null, alpha = 1, dash = [] } = {}) {
      context.globalAlpha = alpha;
      context.beginPath();
      points.forEach(([x, y], i) => (i ? context.lineTo(x, y) : context.moveTo(x, y)));
      if (fill) {
        context.closePath();
        context.fillStyle = fill;
        context.fill();
      }
      if (stroke) {
        context.setLineDash(dash);
        context.strokeStyle = stroke;
        context.lineWidth = width;
        context.stroke();
        context.setLineDash([]);
      }
      context.globalAlpha = 1;
    },
    rect(x, y, w, h, fill, alpha = 1) {
      context.globalAlpha = alpha;
      context.fillStyle = fill;
      context.fillRect(x, y, w, h);
      context.globalAlpha = 1;
    },
    text(x, y, words, { size = 11, fill, anchor = "start", weight = 400, halo = null, angle = 0 } = {}) {
      context.save();
      context.translate(x, y);
      context.rotate((angle * Math.PI) / 180);
      context.font = `${weight} ${size}px ${FONT}`;
      context.textAlign = anchor === "middle" ? "center" : anchor;
      context.textBaseline = "middle";
      if (halo) {
        context.strokeStyle = halo;
        context.lineWidth = 3.5;
        context.lineJoin = "round";
        context.globalAlpha = 0.8;
        context.strokeText(words, 0, 0);
        context.globalAlpha = 1;
      }
      context.fillStyle = fill;
      context.fillText(words, 0, 0);
      context.restore();
    },
    measure(words, size = 11, weight = 400) {
      context.font = `${weight} ${size}px ${FONT}`;
      return context.measureText(words).width;
    },
  });

  const escaped = (text) => String(text).replace(/[&<>"]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[c])
    .replace(/[\u0000-\u0008\u000b\u000c\u000e-\u001f]/g, "");
  const short = (value) => String(Math.round(value * 100) / 100);

  const asSvg = (width, height, ground) => {
    const parts = [];
    const ruler = onCanvas(document.createElement("canvas").getContext("2d"));
    const opacity = (alpha) => (alpha < 1 ? ` opacity="${alpha}"` : "");
    return {
      dot(x, y, r, fill, alpha = 1) {
        parts.push(`<circle cx="${short(x)}" cy="${short(y)}" r="${short(r)}" fill="${fill}"${opacity(alpha)}/>`);
      },
      path(points, { stroke = null, width: line = 1, fill = null, alpha = 1, dash = [] } = {}) {
        const d = points.map(([x, y], i) => `${i ? "L" : "M"}${short(x)} ${short(y)}`).join("") + (fill ? "Z" : "");
        const dashes = dash.length ? ` stroke-dasharray="${dash.join(" ")}"` : "";
        const edge = stroke ? ` stroke="${stroke}" stroke-width="${line}"${dashes}` : "";
        parts.push(`<path d="${d}" fill="${fill ?? "none"}"${edge}${opacity(alpha)}/>`);
      },
      rect(x, y, w, h, fill, alpha = 1) {
        parts.push(`<rect x="${short(x)}" y="${short(y)}" width="${short(w)}" height="${short(h)}" fill="${fill}"${opacity(alpha)}/>`);
      },
      text(x, y, words, { size = 11, fill, anchor = "start", weight = 400, halo = null, angle = 0 } = {}) {
        const edge = halo ? ` stroke="${halo}" stroke-width="3.5" stroke-linejoin="round" paint-order="stroke"` : "";
        const turn = angle ? ` transform="rotate(${angle} ${short(x)} ${short(y)})"` : "";
        parts.push(`<text x="${short(x)}" y="${short(y)}" dy="0.35em" font-size="${size}" font-weight="${weight}" fill="${fill}"`
          + ` text-anchor="${anchor}"${edge}${turn}>${escaped(words)}</text>`);
      },
      measure: ruler.measure,
      done: (title) => `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}"`
        + ` font-family="${escaped(FONT)}"><title>${escaped(title)}</title><rect width="100%" height="100%" fill="${ground}"/>`
        + `${parts.join("\n")}</svg>\n`,
    };
  };

  return { onCanvas, asSvg, look: (dark) => (dark ? DARK : LIGHT), LIGHT };
})();
