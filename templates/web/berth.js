// The panel's script: pages are whole without it. It keeps what is live live, copies lines, and waits for a typed name.

const say = (text) => {
  let box = document.getElementById("say");
  if (!box) {
    box = Object.assign(document.createElement("p"), { id: "say", className: "sr" });
    box.setAttribute("role", "status");
    document.body.append(box);
  }
  box.textContent = text;
};

// Copy buttons.
const copies = (root) => {
  if (!navigator.clipboard) return;
  for (const button of root.querySelectorAll("[data-copy][hidden]")) {
    button.hidden = false;
    const word = button.textContent;
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(button.previousElementSibling.textContent);
        button.textContent = "Copied";
        say("Copied");
      } catch {
        getSelection().selectAllChildren(button.previousElementSibling);
        button.textContent = "Press Ctrl+C";
      }
      setTimeout(() => (button.textContent = word), 2000);
    });
  }
};

// A button that waits until the name of what it removes is typed.
const confirmations = () => {
  for (const button of document.querySelectorAll("[data-confirm]")) {
    const input = button.form.elements.namedItem("confirm");
    const look = () => (button.disabled = input.value.trim() !== button.dataset.confirm);
    input.addEventListener("input", look);
    look();
  }
};

// A form is sent once.
const once = () => {
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "yes";
  });
  // The page comes back as it was left, by "Back".
  addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });
};

// Times in the reader's own zone.
const times = (root) => {
  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const time of root.querySelectorAll("time[datetime]:not([title])")) {
    const at = new Date(time.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    time.title = time.textContent;
    time.textContent = format.format(at);
  }
};

const settle = (root) => {
  copies(root);
  times(root);
};

// Live parts. The server sends them as HTML that it has made itself, under the ids of the elements that hold them.
const put = (id, html) => {
  const place = document.getElementById(id);
  if (!place || place.dataset.last === html) return;
  // Whoever selects or stands in there isn't disturbed.
  if (place.contains(document.activeElement)) return;
  place.dataset.last = html;
  place.innerHTML = html;
  settle(place);
};

const live = () => {
  const root = document.getElementById("live");
  if (!root) return;
  const patience = 20_000;
  let source, timer, polls, done = false;

  const poll = async () => {
    try {
      const answer = await fetch(location.href, { headers: { accept: "text/html" }, redirect: "error" });
      if (!answer.ok) return;
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      for (const part of page.querySelectorAll("[data-live]")) put(part.id, part.innerHTML.trim());
      if (!page.getElementById("live")) stop(true);
    } catch {
      // The next try may do.
    }
  };
  const heard = () => {
    clearInterval(polls);
    polls = undefined;
    clearTimeout(timer);
    timer = setTimeout(() => {
      poll();
      polls = setInterval(poll, 5000);
    }, patience);
  };
  const stop = (forGood) => {
    done ||= forGood;
    source?.close();
    source = undefined;
    clearTimeout(timer);
    clearInterval(polls);
    polls = undefined;
  };
  const start = () => {
    if (done || source) return;
    heard();
    source = new EventSource(root.dataset.events);
    source.addEventListener("parts", (event) => {
      heard();
      for (const [id, html] of Object.entries(JSON.parse(event.data))) put(id, html);
    });
    source.addEventListener("beat", heard);
    // What is left to say stands on the page. If that waits still, something has begun anew.
    source.addEventListener("end", async () => {
      stop(false);
      await poll();
      if (!done && !document.hidden) setTimeout(start, 1000);
    });
    // Signed out, or gone: the page says so when it is asked for.
    source.addEventListener("gone", () => location.reload());
    // A refused stream isn't tried again by the browser; polling goes on.
    source.addEventListener("error", () => source?.readyState === EventSource.CLOSED && (source = undefined));
  };
  document.addEventListener("visibilitychange", () => (document.hidden ? stop(false) : start()));
  addEventListener("pagehide", () => stop(false));
  addEventListener("pageshow", (event) => event.persisted && start());
  if (!document.hidden) start();
};

settle(document);
confirmations();
once();
live();
