// A range that is dragged over a histogram becomes a condition of the address.

document.addEventListener("drawn", (event) => {
  const box = event.target.closest("[data-brush]");
  const { plot } = event.target;
  if (!box || !plot) return;
  const name = box.dataset.brush;
  plot.hooks.setSelect = [...(plot.hooks.setSelect ?? []), () => {
    const { left, width } = plot.select;
    if (width < 3) return; // a click
    const address = new URL(location.href);
    address.searchParams.delete("page");
    address.searchParams.set(`${name}_from`, plot.posToVal(left, "x").toPrecision(6));
    address.searchParams.set(`${name}_to`, plot.posToVal(left + width, "x").toPrecision(6));
    location.assign(address);
  }];
});
