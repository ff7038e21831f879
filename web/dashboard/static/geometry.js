// Draws geometries in three dimensions by 3Dmol, if the server has it; the table of atoms stays.

import { library } from "./library.js";

const loaded = library("mol3d");

export async function draw(root) {
  const places = [...root.querySelectorAll("[data-geometry]")];
  if (!places.length || !(await loaded())) return;
  const { $3Dmol } = window;
  for (const place of places) {
    const atoms = JSON.parse(place.dataset.geometry);
    const xyz = [atoms.length, "", ...atoms.map((a) => `${a.element} ${a.x} ${a.y} ${a.z}`)].join("\n");
    place.hidden = false;
    try {
      const viewer = $3Dmol.createViewer(place, { backgroundAlpha: 0, antialias: true });
      const model = viewer.addModel(xyz, "xyz");
      const largest = Math.max(0.05, ...atoms.map((a) => Math.abs(a.charge ?? 0)));
      model.selectedAtoms({}).forEach((atom, index) => {
        atom.properties.charge = atoms[index].charge ?? 0;
      });
      const colours = { prop: "charge", gradient: new $3Dmol.Gradient.RWB(-largest, largest) };
      viewer.setStyle({}, { stick: { radius: 0.12, colorscheme: colours }, sphere: { scale: 0.27, colorscheme: colours } });
      viewer.zoomTo();
      viewer.render();
      place.dataset.drawn = "yes";
    } catch {
      place.hidden = true; // the browser has no WebGL
    }
  }
}

draw(document);
document.addEventListener("refreshed", (event) => draw(event.target));
