// Comfort only: every page works without this file.

// Times stand in UTC; show them in the viewer's zone and keep the exact UTC on hover.
const shape = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
for (const element of document.querySelectorAll("time[datetime]")) {
  const moment = new Date(element.dateTime);
  if (Number.isNaN(moment.getTime())) continue;
  element.title = element.dateTime;
  element.textContent = shape.format(moment);
}

// Copy buttons are hidden in the page, since without a script they could do nothing.
for (const button of document.querySelectorAll("button[data-copy]")) {
  button.hidden = false;
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.textContent);
      button.textContent = "Copied";
    } catch {
      const range = document.createRange();
      range.selectNodeContents(source);
      getSelection().removeAllRanges();
      getSelection().addRange(range);
      button.textContent = "Press Ctrl+C";
    }
    setTimeout(() => { button.textContent = label; }, 2000);
  });
}

// A form that was sent once is not sent again by an impatient second click.
for (const form of document.querySelectorAll("form[method=post]")) {
  form.addEventListener("submit", () => {
    setTimeout(() => {
      for (const button of form.querySelectorAll("button")) button.disabled = true;
    });
  });
}

// The place of an error is where the keyboard continues.
const wrong = document.querySelector("[aria-invalid=true], [data-testid=form-error]");
wrong?.focus();
if (wrong?.dataset.position) {
  const at = Number(wrong.dataset.position);
  wrong.setSelectionRange(at, at + 1);
}

// A hint while a new password is typed; what decides is the server.
for (const input of document.querySelectorAll("input[data-strength]")) {
  const hint = document.getElementById(input.dataset.strength);
  const shortest = Number(input.getAttribute("minlength")) || 12;
  input.addEventListener("input", () => {
    const length = [...input.value].length;
    const kinds = [/\p{Ll}/u, /\p{Lu}/u, /\p{N}/u, /[^\p{L}\p{N}]/u].filter((kind) => kind.test(input.value)).length;
    const variety = new Set(input.value).size;
    const missing = shortest - length;
    if (length === 0) hint.textContent = "";
    else if (missing > 0) hint.textContent = `${missing} more ${missing === 1 ? "character" : "characters"}`;
    else if (variety < 7) hint.textContent = "Weak: few different characters";
    else if (length >= shortest + 6 || kinds >= 3) hint.textContent = "Strong";
    else hint.textContent = "Fair: longer is better";
  });
}

// What goes on meanwhile is told while the page is looked at; without a script a link loads it again.
const follow = (address, event, tell) => {
  let source = null;
  const stop = () => { source?.close(); source = null; };
  const listen = () => {
    source = new EventSource(address);
    source.addEventListener(event, (message) => tell(message.data));
    source.addEventListener("ended", stop);
  };
  // A window in the background would take one of the few connections that a browser has.
  document.addEventListener("visibilitychange", () => { stop(); if (!document.hidden) listen(); });
  addEventListener("pagehide", stop);
  if (!document.hidden) listen();
};

for (const news of document.querySelectorAll("[data-news]")) {
  follow(news.dataset.news, "news", (count) => {
    if (count > 0) news.querySelector("a").textContent = `${count} new ${count === "1" ? "trace" : "traces"}, show`;
  });
}

for (const shown of document.querySelectorAll("[data-progress]")) {
  follow(shown.dataset.progress, "progress", (text) => {
    for (const [id, percent, state] of text.split(",").map((one) => one.split(" "))) {
      const bar = document.querySelector(`[data-export="${CSS.escape(id)}"]`);
      if (bar && bar.dataset.state !== state) location.reload();
      else if (bar) bar.value = percent;
    }
  });
}
