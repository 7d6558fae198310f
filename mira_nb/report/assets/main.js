page.setUpTheme();
page.setUpCopies();
tables.setUp();
charts.setUp();
page.setUpNavigation();
page.setUpLinks();
addEventListener("beforeprint", () => {
  for (const node of document.querySelectorAll("main details")) {
    node.dataset.was = String(node.open);
    node.open = true;
  }
});
addEventListener("afterprint", () => {
  for (const node of document.querySelectorAll("main details")) node.open = node.dataset.was === "true";
});
page.byId("print").addEventListener("click", async () => {
  page.byId("print").disabled = true;
  await charts.drawAll();
  page.byId("print").disabled = false;
  print();
});
document.documentElement.dataset.ready = String(Math.round(performance.now()));
