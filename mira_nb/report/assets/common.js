// What scripts of the report and of the dashboard share: making elements, saving files, CSV, numbers as text.
const common = (() => {
  const make = (tag, attributes = {}, ...children) => {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (name === "text") node.textContent = value;
      else if (value === true) node.setAttribute(name, "");
      else if (value !== false && value !== null && value !== undefined) node.setAttribute(name, value);
    }
    node.append(...children);
    return node;
  };

  const save = (name, content, type) => {
    const url = typeof content === "string" && content.startsWith("data:")
      ? content : URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
    const link = make("a", { href: url, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    if (url.startsWith("blob:")) setTimeout(() => URL.revokeObjectURL(url), 10000);
  };

  const csvCell = (value) => {
    if (value === null || value === undefined) return "";
    let text = String(value);
    // as in the files of the run folder: a spreadsheet must not take a name for a formula
    if (/^[=+\-@\t\r]/.test(text) && !/^([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]|[-+]?inf)$/.test(text)) text = `'${text}`;
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  const csv = (header, rows) => `${[header, ...rows].map((row) => row.map(csvCell).join(",")).join("\n")}\n`;

  // four figures, commas between thousands, powers of ten where a reader would want them
  const superscript = (n) => String(n).replace(/./g, (c) => "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"["-0123456789".indexOf(c)]);
  const scientific = (value, digits) => {
    const [mantissa, exponent] = value.toExponential(digits).split("e");
    return `${mantissa.replace("-", "−")} × 10${superscript(Number(exponent))}`;
  };
  const grouped = (text) => {
    const [whole, fraction] = text.split(".");
    const spaced = whole.replace(/\B(?=(\d{3})+$)/g, ",");
    return fraction === undefined ? spaced : `${spaced}.${fraction}`;
  };
  const format = (value, kind) => {
    if (value === null || value === undefined || value === "") return "–";
    if (typeof value !== "number") return String(value);
    const size = Math.abs(value);
    const sign = value < 0 ? "−" : "";
    if (kind === "integer") return sign + grouped(String(size));
    if (kind === "pvalue") return size === 0 ? "0" : size < 1e-3 ? scientific(value, 2) : String(Number(value.toPrecision(3)));
    if (size === 0) return "0";
    if (size < 1e-3 || size >= 1e7) return scientific(value, 2);
    return sign + grouped(String(Number(size.toPrecision(4))));
  };

  return { make, save, csv, format };
})();
