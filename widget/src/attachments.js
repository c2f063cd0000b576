// Files of messages. They are fetched and not linked, so that the address, which
// has the device id, stands nowhere in the page, and a token can go along.
import { filled } from "./texts.js";
import { h, icon } from "./view.js";

const thumbnailUpTo = 8 << 20; // bytes; larger pictures are shown when asked for
const pictures = new Set(["image/jpeg", "image/png", "image/gif", "image/webp", "image/avif"]);

const shrinkFrom = 1.5 * (1 << 20); // bytes; smaller pictures go as they are
const longestSide = 2560; // pixels: a letter can still be read
const quality = 0.85;

// shrunk makes large pictures smaller before they go over a bad network.
export async function shrunk(file) {
  if (!pictures.has(file.type) || file.size < shrinkFrom) return file;
  try {
    const picture = await createImageBitmap(file);
    const scale = Math.min(1, longestSide / Math.max(picture.width, picture.height));
    const canvas = Object.assign(document.createElement("canvas"), { width: picture.width * scale, height: picture.height * scale });
    canvas.getContext("2d").drawImage(picture, 0, 0, canvas.width, canvas.height);
    const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", quality));
    return blob.size < file.size ? new File([blob], file.name.replace(/\.\w+$/, "") + ".jpg", { type: "image/jpeg" }) : file;
  } catch {
    return file; // the bridge will say what is wrong with it
  }
}

export class Attachments {
  #fetched = new Map(); // by id: the address of a blob, or null after a failure

  constructor(talk) {
    this.talk = talk;
    this.near = new IntersectionObserver((seen) => {
      for (const { isIntersecting, target } of seen) if (isIntersecting) this.#thumbnail(target);
    }, { rootMargin: "200px" });
  }

  element(file, say) {
    const words = filled(say.download, { name: file.name });
    const button = h("button", { type: "button", class: "attached", "aria-label": words, title: words, onclick: () => this.#download(file) },
      h("span", { class: "chip" }, icon("file"), h("bdi", {}, file.name), h("span", { class: "size" }, size(file.size))));
    if (pictures.has(file.type) && file.size <= thumbnailUpTo) {
      button.file = file;
      this.near.observe(button);
    }
    return button;
  }

  async #thumbnail(button) {
    this.near.unobserve(button);
    const url = await this.#blob(button.file);
    if (!url) return;
    const picture = h("img", { alt: "", onload: () => button.prepend(picture) }); // a page that forbids blobs keeps the name
    picture.src = url;
  }

  async #download(file) {
    const url = await this.#blob(file);
    if (url) h("a", { href: url, download: file.name }).click();
  }

  async #blob(file) {
    const { id } = file;
    if (!/^[\w-]+$/.test(id)) return null; // it would lead to another address
    if (this.#fetched.get(id)) return this.#fetched.get(id);
    try {
      const talk = this.talk();
      const response = await talk.line.open(talk.line.chat(talk.language(), "attachments", id));
      if (response.status !== 200) return null;
      // No blob of this page's origin may be a document.
      const type = pictures.has(file.type) ? file.type : "application/octet-stream";
      this.#fetched.set(id, URL.createObjectURL(new Blob([await response.blob()], { type })));
    } catch {
      return null;
    }
    return this.#fetched.get(id);
  }

  forget() {
    for (const url of this.#fetched.values()) URL.revokeObjectURL(url);
    this.#fetched.clear();
    this.near.disconnect();
  }
}

function size(bytes) {
  const mega = bytes >= 1 << 20;
  const value = mega ? bytes / (1 << 20) : Math.max(1, bytes / 1024);
  return `${value.toFixed(mega ? 1 : 0)} ${mega ? "MB" : "KB"}`;
}
