// The terminal's page: xterm.js between the keyboard and the shell that the panel carries.

const place = document.getElementById("terminal");
const state = document.getElementById("state");
const again = document.getElementById("reconnect");
const remembered = `shell-${place.dataset.server}`;

// xterm makes style sheets of its own. The page's policy takes those that carry its nonce.
const make = document.createElement.bind(document);
document.createElement = (name, options) => {
  const made = make(name, options);
  if (String(name).toLowerCase() === "style") made.nonce = place.dataset.nonce;
  return made;
};

document.body.classList.add("whole");
place.hidden = false;
document.getElementById("tools").hidden = false;

const [{ Terminal }, { FitAddon }] = await Promise.all([import(place.dataset.xterm), import(place.dataset.fit)]);
const term = new Terminal({
  cursorBlink: true,
  fontFamily: getComputedStyle(place).getPropertyValue("--mono"),
  fontSize: 14,
  scrollback: 5000,
  // The screen is read out, too.
  screenReaderMode: true,
  theme: { background: "#14171a", foreground: "#e7eaec", cursor: "#7cb8f5" },
});
const fit = new FitAddon();
term.loadAddon(fit);
term.open(place);
fit.fit();
term.focus();

const say = (words, broken) => {
  // Some words come from where commands stand between backticks.
  state.textContent = words.replaceAll("`", "");
  again.hidden = !broken;
  place.dataset.state = broken ? "closed" : words === "Connected." ? "open" : "opening";
};

// The connection. The shell outlives it for a while: whoever comes back says what they have seen of it.
let socket, shell, seen = 0, tries = 0, timer;
try {
  ({ shell } = JSON.parse(sessionStorage.getItem(remembered) ?? "{}"));
} catch {
  // A browser that remembers nothing gets a new shell.
}
const remember = () => {
  try {
    if (shell) sessionStorage.setItem(remembered, JSON.stringify({ shell }));
    else sessionStorage.removeItem(remembered);
  } catch {
    // As above.
  }
};
const size = () => ({ columns: term.cols, rows: term.rows });
const isOpen = () => socket?.readyState === WebSocket.OPEN;

const connect = () => {
  clearTimeout(timer);
  const before = socket;
  socket = undefined;
  before?.close();
  say(tries ? "Reconnecting …" : "Connecting …");
  const wish = new URLSearchParams({ ...size(), ...(shell ? { shell, seen } : {}) });
  const mine = new WebSocket(`wss://${location.host}${place.dataset.socket}?${wish}`);
  mine.binaryType = "arraybuffer";
  socket = mine;
  let over = false;
  mine.onmessage = ({ data }) => {
    if (mine !== socket) return;
    if (typeof data !== "string") {
      seen += data.byteLength;
      term.write(new Uint8Array(data));
      return;
    }
    const told = JSON.parse(data);
    if (told.shell) {
      if (shell && told.shell.number !== shell) term.write("\r\n\x1b[2m[the shell from before is gone; this is a new one]\x1b[0m\r\n");
      else if (told.shell.anew) term.reset();
      ({ number: shell, seen } = told.shell);
      tries = 0;
      remember();
      say("Connected.");
    } else {
      over = true;
      // The last screen stays. A shell that was opened elsewhere goes on there.
      shell = undefined;
      remember();
      say(told.end ?? told.elsewhere, true);
    }
  };
  mine.onclose = () => {
    if (mine !== socket || over) return;
    socket = undefined;
    lost();
  };
};

const lost = () => {
  if (tries >= 10) return say("The connection is lost. The screen is as it was last.", true);
  const seconds = Math.min(2 ** tries, 15);
  tries += 1;
  say(`The connection is lost. The next try is in ${seconds} s.`, true);
  timer = setTimeout(connect, seconds * 1000);
};

again.addEventListener("click", () => {
  tries = 0;
  connect();
  term.focus();
});
addEventListener("offline", () => {
  const before = socket;
  socket = undefined;
  before?.close();
  clearTimeout(timer);
  say("The connection is lost: this device is offline. The screen is as it was last.", true);
});
addEventListener("online", () => {
  if (!isOpen() && shell) connect();
});
addEventListener("pageshow", (event) => event.persisted && connect());

// Input. A long paste goes in pieces that the panel takes.
const encoder = new TextEncoder();
const send = (bytes) => {
  for (let at = 0; at < bytes.length && isOpen(); at += 16384) socket.send(bytes.subarray(at, at + 16384));
};
const control = document.getElementById("ctrl");
const hold = (on) => control.setAttribute("aria-pressed", String(on));
term.onData((text) => {
  if (control.getAttribute("aria-pressed") === "true" && /^[a-zA-Z@[\\\]^_]$/.test(text)) {
    text = String.fromCharCode(text.toUpperCase().charCodeAt(0) & 31);
    hold(false);
  }
  send(encoder.encode(text));
});
term.onBinary((text) => send(Uint8Array.from(text, (letter) => letter.charCodeAt(0))));
term.onResize(() => isOpen() && socket.send(JSON.stringify({ size: size() })));
new ResizeObserver(() => fit.fit()).observe(place);

// A way out for whoever has no mouse: Tab belongs to the shell.
term.attachCustomKeyEventHandler((event) => {
  if (event.key !== "F6") return true;
  if (event.type === "keydown") {
    event.preventDefault();
    (again.hidden ? document.getElementById("copy") : again).focus();
  }
  return false;
});

// Pasted lines don't run by themselves. Shells take them as one text; whatever doesn't is asked about.
const ask = document.getElementById("ask");
place.addEventListener(
  "paste",
  (event) => {
    const text = event.clipboardData?.getData("text/plain") ?? "";
    if (!/[\r\n]/.test(text) || term.modes.bracketedPasteMode) return;
    event.preventDefault();
    event.stopPropagation();
    document.getElementById("pasted").textContent = text;
    ask.returnValue = "no";
    ask.onclose = () => {
      if (ask.returnValue === "yes") term.paste(text);
      term.focus();
    };
    ask.showModal();
    // Whoever presses Enter without reading pastes nothing.
    ask.querySelector("button").focus();
  },
  true,
);

// Keys that a phone lacks. The focus, and with it the phone's keyboard, stays where it is.
for (const button of document.querySelectorAll(".keys button")) {
  button.addEventListener("pointerdown", (event) => event.preventDefault());
  button.addEventListener("click", () => {
    if (button === control) hold(control.getAttribute("aria-pressed") !== "true");
    else if (button.dataset.arrow) send(encoder.encode((term.modes.applicationCursorKeysMode ? "\x1bO" : "\x1b[") + button.dataset.arrow));
    else send(encoder.encode(button.dataset.key));
  });
}

const text = () => {
  const { active } = term.buffer;
  const lines = Array.from({ length: term.rows }, (_, row) => active.getLine(active.viewportY + row)?.translateToString(true) ?? "");
  return lines.join("\n").trimEnd();
};
const copy = document.getElementById("copy");
copy.addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText(text());
    copy.textContent = "Copied";
    setTimeout(() => (copy.textContent = "Copy screen"), 2000);
  } catch {
    document.getElementById("text").value = text();
    document.getElementById("shown").showModal();
    document.getElementById("text").select();
  }
});

connect();
