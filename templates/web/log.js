// The log's page: shows lines as they come, and doesn't move whoever reads older ones.

const log = document.getElementById("log");
const state = document.getElementById("state");
const newest = document.getElementById("newest");
const most = 2000;
let source, fresh, tries = 0;

const isAtEnd = () => log.scrollHeight - log.scrollTop - log.clientHeight < 40;
const toEnd = () => {
  log.scrollTop = log.scrollHeight;
  newest.hidden = true;
};
const add = (lines) => {
  const follows = isAtEnd();
  // The stream begins with the lines that the page has already.
  const replaces = fresh;
  fresh = false;
  const made = document.createDocumentFragment();
  for (const line of lines) {
    const row = document.createElement("div");
    row.textContent = line;
    made.append(row);
  }
  if (replaces) log.replaceChildren(made);
  else log.append(made);
  const excess = log.childElementCount - most;
  if (excess > 0) {
    // Whoever reads keeps their place: what goes above it no longer counts.
    const before = log.scrollHeight;
    for (let at = 0; at < excess; at += 1) log.firstElementChild.remove();
    if (!follows) log.scrollTop -= before - log.scrollHeight;
  }
  if (follows) toEnd();
  else newest.hidden = false;
};

const open = () => {
  if (source || document.hidden) return;
  source = new EventSource(log.dataset.events);
  fresh = true;
  source.addEventListener("open", () => {
    tries = 0;
    state.textContent = "Follows the journal.";
  });
  source.addEventListener("lines", (event) => add(JSON.parse(event.data)));
  source.addEventListener("over", (event) => {
    const [lines, why] = JSON.parse(event.data);
    if (lines.length) add(lines);
    close();
    state.textContent = `${why} Load the page again to go on.`;
  });
  source.addEventListener("error", () => {
    close();
    tries += 1;
    state.textContent = "The log isn’t followed at the moment.";
    if (tries <= 5) setTimeout(open, Math.min(2 ** tries, 30) * 1000);
  });
};
const close = () => {
  source?.close();
  source = undefined;
};

log.addEventListener("scroll", () => isAtEnd() && (newest.hidden = true));
newest.addEventListener("click", toEnd);
document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
addEventListener("pagehide", close);
addEventListener("pageshow", (event) => event.persisted && open());
toEnd();
open();
