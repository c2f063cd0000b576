// The page of an app user: the widget, with what the page's address says.
const query = new URLSearchParams(location.search);
const chat = document.createElement("deskbridge-chat");
chat.setAttribute("region", query.get("region") ?? "testland");
for (const name of ["language", "device", "launcher"]) {
  if (query.has(name)) chat.setAttribute(name, query.get(name));
}
chat.addEventListener("deskbridge-unread", ({ detail }) => {
  document.title = detail.unread > 0 ? `(${detail.unread}) Chat` : "Chat";
});
document.querySelector("main").append(chat);
