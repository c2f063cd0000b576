// What a person may have of their chat: a copy of everything, and everything
// erased. It opens below the head of the chat, and asks before it erases.
import { errorText, filled } from "./texts.js";
import { h, icon, put } from "./view.js";

const lookEvery = 5_000; // milliseconds between two looks at an erasure that is under way

export class Rights {
  #asks = false; // whether everything shall be erased
  #trouble = ""; // the code of what went wrong
  #timer = null;

  // host is that of the view; busy is told whether nothing may be written.
  constructor(host, busy) {
    Object.assign(this, { host, busy });
    const at = (name, id, act, kind) => (this[name] = h("button", { id, type: "button", class: kind, onclick: act }));
    this.button = h("button", { id: "data", type: "button", class: "quiet round", "aria-expanded": "false", "aria-controls": "rights", onclick: () => this.#show(this.panel.hidden) }, icon("more"));
    this.panel = h("div", { id: "rights", class: "rights", role: "group", hidden: "" },
      (this.state = h("p", { id: "erasure", role: "status" })),
      (this.sure = h("p", { id: "sure" })),
      at("copy", "copy", () => this.#copy(), "quiet"),
      at("erase", "erase", () => this.#ask(true), "quiet"),
      at("yes", "yes", () => this.#erase(), "alarm"),
      at("no", "no", () => this.#ask(false), "quiet"));
    this.yes.setAttribute("aria-describedby", "sure");
    this.no.setAttribute("aria-describedby", "sure");
    this.panel.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation(); // the chat stays open
      this.#show(false);
    });
  }

  speak(say) {
    this.say = say;
    this.button.title = say.data;
    this.button.setAttribute("aria-label", say.data);
    this.panel.setAttribute("aria-label", say.data);
    for (const [element, words] of [[this.copy, say.copy], [this.erase, say.erase], [this.yes, say.erase], [this.no, say.cancel], [this.sure, say.sure]]) put(element, words);
    this.draw();
  }

  draw() {
    const erasure = this.host.talk()?.erasure;
    const told = erasure ? `${this.say.erased[erasure.state]} ${filled(this.say.receipt, { name: `\u2066${erasure.receipt}\u2069` })}` : "";
    put(this.state, this.#trouble ? errorText(this.say, this.#trouble) : told);
    this.sure.hidden = this.yes.hidden = this.no.hidden = !this.#asks;
    this.copy.hidden = this.erase.hidden = this.#asks;
  }

  #show(open) {
    this.panel.hidden = !open;
    this.button.setAttribute("aria-expanded", String(open));
    this.#trouble = "";
    this.#ask(false);
    if (open) this.#look();
    else this.button.focus();
  }

  #ask(yes) {
    this.#asks = yes;
    this.draw();
    (yes ? this.no : this.copy).focus();
  }

  // look asks how far the last erasure is, for as long as somebody may see it.
  async #look() {
    clearTimeout(this.#timer);
    await this.host.talk()?.follow();
    this.draw();
    if (!this.panel.hidden && this.host.talk()?.erasure?.state === "pending") this.#timer = setTimeout(() => this.#look(), lookEvery);
  }

  async #copy() {
    const { document, code } = await this.host.talk().copy();
    this.#trouble = code;
    this.draw();
    if (!document) return;
    const url = URL.createObjectURL(new Blob([JSON.stringify(document, null, 2)], { type: "application/json" }));
    h("a", { href: url, download: `${this.host.region}.json` }).click();
    setTimeout(() => URL.revokeObjectURL(url), 60_000);
  }

  async #erase() {
    this.busy(this.yes.disabled = true);
    this.#trouble = await this.host.talk().erase();
    this.busy(this.yes.disabled = false);
    if (this.#trouble) return this.#ask(true);
    this.host.anew();
    this.#ask(false);
    this.#look();
  }
}
