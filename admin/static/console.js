// Browsers keep whole pages for the button that leads back, even those that no
// cache may store. Somebody else may sit there by then: what comes back is empty,
// and is asked for anew, which leads to the sign-in.
addEventListener("pagehide", () => { document.body.hidden = true; });
addEventListener("pageshow", (event) => { if (event.persisted) location.reload(); });
