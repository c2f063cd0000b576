// Browsers keep whole pages for the button that leads back, even those that no
// cache may store. Somebody else may sit there by then: what comes back is empty,
// and is asked for anew, which leads to the sign-in.
addEventListener("pagehide", () => { document.body.hidden = true; });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });

// A button that shows a password, which is hidden again before it is sent, so
// that no browser takes it for a text to remember.
addEventListener("DOMContentLoaded", () => {
  for (const button of document.querySelectorAll("[data-shows]")) {
    const field = document.getElementById(button.dataset.shows);
    const show = (on) => {
      field.type = on ? "text" : "password";
      button.setAttribute("aria-pressed", on);
    };
    button.hidden = false;
    button.addEventListener("click", () => show(field.type === "password"));
    field.form.addEventListener("submit", () => show(false));
  }
  for (const line of document.querySelectorAll("[data-judges]")) {
    const field = document.getElementById(line.dataset.judges);
    const said = line.querySelector("[role=status]");
    field.addEventListener("input", () => {
      line.hidden = field.value === "";
      const level = strength(field.value);
      line.querySelector("meter").value = level;
      if (said.textContent !== said.dataset[level]) said.textContent = said.dataset[level]; // is read aloud
    });
  }
});

// strength judges a new password from 0 to 4 by its length and by how many
// different characters it has. Whether it is a common one the server knows.
function strength(password) {
  const all = [...password.normalize("NFC")];
  if (all.length < 12) return 0;
  if (new Set(all).size < 6) return 1;
  if (all.length < 16) return 2;
  return all.length < 20 ? 3 : 4;
}
