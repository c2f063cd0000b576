// A slider beside the number, and the preview without a press of its button.
const number = document.getElementById("f-percentage");
const slider = document.getElementById("gate-slider");
if (number && slider) {
  const follow = () => { slider.value = number.value; };
  slider.hidden = false;
  follow();
  number.addEventListener("input", follow);
  slider.addEventListener("input", () => { number.value = slider.value; });
  slider.addEventListener("change", () => document.querySelector("#gate-form [hx-post]").click());
}
