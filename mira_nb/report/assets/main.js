page.setUpTheme();
page.setUpCopies();
page.setUpNavigation();
page.unpack().then(() => {
  page.near(document.querySelectorAll(".table-view"), (root) => {
    try {
      const { title, file, href, size } = root.dataset;
      tables.build(root, page.json(`data-${root.id}`), { title, file, whole: href ? { href, size } : null });
    } catch (error) {
      root.replaceChildren(common.make("p", { class: "problem", text: `This table cannot be shown: ${error.message}` }));
    }
  });
  address.setUp();
  charts.setUp();
  folds.setUp();
  explore.setUp();
  glossary.setUp();
  page.setUpLinks();
  document.documentElement.dataset.ready = String(Math.round(performance.now()));
}).catch((error) => {
  const text = `Charts and tables of this page cannot be drawn (${error.message}). Browsers of 2023 and later can.`;
  page.byId("top").after(common.make("p", { class: "problem", role: "alert", text }));
});
// what is shown is printed: the main figures, or everything once that is pressed
page.byId("print").addEventListener("click", async () => {
  page.byId("print").disabled = true;
  await charts.drawShown();
  page.byId("print").disabled = false;
  print();
});
