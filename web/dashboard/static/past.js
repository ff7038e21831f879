// The slider over the events of a row: the address says as of which of them it is shown.

function prepare(root) {
  const form = root.querySelector("[data-past]");
  if (!form) return;
  const positions = JSON.parse(form.dataset.past);
  const slider = form.querySelector("input");
  const said = form.querySelector("output");
  const say = () => {
    const last = Number(slider.value) === positions.length - 1;
    said.textContent = last ? "now" : `event ${Number(slider.value) + 1} of ${positions.length}`;
    slider.setAttribute("aria-valuetext", said.textContent);
  };
  slider.disabled = false;
  say();
  slider.addEventListener("input", say);
  slider.addEventListener("change", () => {
    const address = new URL(location.href);
    const index = Number(slider.value);
    if (index === positions.length - 1) address.searchParams.delete("as_of");
    else address.searchParams.set("as_of", positions[index]);
    location.assign(address);
  });
}

prepare(document);
document.addEventListener("refreshed", (event) => prepare(event.target));
