// What HTML alone cannot do: send with Enter, empty a form that was sent, say when the line is cut.
document.addEventListener("keydown", (event) => {
  const field = event.target;
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  if (!field.matches?.("[data-enter]")) return;
  event.preventDefault();
  field.form.requestSubmit();
});

document.addEventListener("htmx:after:request", (event) => {
  const { ctx } = event.detail;
  const form = ctx.sourceElement;
  if (ctx.response.status < 300 && form.matches("form[data-reset]")) form.reset();
});

// Where the phone is in view anyway, one may type at once; a small screen would scroll down to it.
if (!window.matchMedia("(max-width: 44rem)").matches) {
  document.getElementById("text")?.focus({ preventScroll: true });
}

// A request that never reached the router, and a live stream that broke off.
document.addEventListener("htmx:error", () => document.body.classList.add("is-offline"));
document.addEventListener("htmx:sse:error", () => document.body.classList.add("is-offline"));
document.addEventListener("htmx:sse:after:connection", () => document.body.classList.remove("is-offline"));
