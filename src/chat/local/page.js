// Follows the chat (GET /api/state, then GET /api/events), shows the thread named in the address, and sends what the
// person writes and presses. Every change comes back as an event; nothing is shown before the server says so.

import { clock, create, name, update } from "/view.js";

const byId = (id) => document.getElementById(id);
const text = byId("text");
const scroll = byId("scroll");
const phone = matchMedia("(max-width: 760px)");
// Where the keyboard covers half of the screen, it comes up only when it is asked for.
const touch = matchMedia("(pointer: coarse)");
const TURNS = { waiting: "waiting for you", working: "working", idle: "" };
const RETRY_MS = 2000;

const threads = new Map(); // ts -> { ts, title, state, messages: Map(ts -> message), item, unread }
const drafts = new Map();
let version = 0;
let title = "CodeButler";
let open = null; // the thread that is shown; null: a new one
let source = null;
let release = () => {};

// --- What the server says ---

async function load() {
  source?.close();
  let response;
  try {
    response = await fetch("/api/state");
  } catch {
    lost("No connection to CodeButler. Trying again…");
    setTimeout(load, RETRY_MS);
    return;
  }
  if (response.status === 403) {
    lost("CodeButler was started anew. Open the address that it printed.");
    return;
  }
  const state = await response.json();
  lost("");
  version = state.version;
  title = state.title;
  byId("repository").textContent = state.title;
  byId("notice").textContent = state.notice ?? "";
  byId("notice").hidden = !state.notice;
  threads.clear();
  byId("threads").replaceChildren();
  for (const { messages, ...summary } of state.threads) {
    const thread = know(summary);
    for (const message of messages) thread.messages.set(message.ts, message);
    list(thread);
  }
  const newest = [...threads.keys()].sort().at(-1);
  if (!location.hash && newest) history.replaceState(null, "", `#${newest}`);
  route();
  follow();
  share();
}

function follow() {
  source?.close();
  source = new EventSource(`/api/events?after=${version}`);
  source.onopen = () => lost("");
  source.onmessage = (event) => change(JSON.parse(event.data));
  source.onerror = () => {
    lost("The connection is lost. Trying again…");
    if (source.readyState === EventSource.CLOSED) setTimeout(load, RETRY_MS);
  };
}

/** A browser opens six connections to one server, for all tabs together: of the hidden ones, one keeps its stream. */
function share() {
  if (document.hidden) {
    navigator.locks.request("hidden", { ifAvailable: true }, (lock) => {
      if (lock) return new Promise((free) => (release = free));
      if (document.hidden) source?.close();
    });
  } else {
    release();
    if (source?.readyState === EventSource.CLOSED) follow();
  }
}

function change(event) {
  version = event.version;
  const thread = know(event.thread);
  const { message } = event;
  const fresh = !thread.messages.has(message.ts);
  thread.messages.set(message.ts, message);
  if (thread.ts === open) {
    place(message, fresh);
    head();
  } else if (fresh && message.author !== "you") {
    thread.unread = true;
  }
  list(thread);
  // There was nothing when the page was opened, and now there is something.
  if (open === null && !location.hash && text.value === "") history.replaceState(null, "", `#${thread.ts}`);
  if (open === null && wanted() === thread.ts) route();
}

function know(summary) {
  const thread = threads.get(summary.ts) ?? { messages: new Map() };
  threads.set(summary.ts, Object.assign(thread, summary));
  return thread;
}

function lost(words) {
  byId("lost").textContent = words;
  byId("lost").hidden = words === "";
}

// --- What is shown ---

const wanted = () => {
  const hash = decodeURIComponent(location.hash.slice(1));
  return hash === "new" ? "" : hash;
};

function route() {
  const thread = threads.get(wanted());
  drafts.set(open, text.value);
  open = thread?.ts ?? null;
  text.value = drafts.get(open) ?? "";
  byId("messages").replaceChildren();
  problem("");
  if (thread) {
    thread.unread = false;
    thread.item.scrollIntoView({ block: "nearest" });
    for (const ts of [...thread.messages.keys()].sort()) place(thread.messages.get(ts), false);
  }
  for (const each of threads.values()) list(each);
  byId("empty").hidden = Boolean(thread);
  head();
  grow();
  draw(false);
  toEnd();
  if (!touch.matches) text.focus();
}

/** Puts a message where it belongs, or brings it up to date. */
function place(message, announced) {
  const messages = byId("messages");
  const follows = atEnd();
  const id = `m${message.ts}`;
  const known = byId(id);
  if (known) {
    update(known, message, press);
  } else {
    const element = create(message, press);
    element.id = id;
    const later = [...messages.children].find((other) => other.id > id);
    messages.insertBefore(element, later ?? null);
    introduce(element);
    introduce(element.nextElementSibling);
    if (announced) announce(message);
  }
  if (follows || message.author === "you") toEnd();
  else if (!known && announced) byId("newer").hidden = false;
}

/** Leaves the introduction out where the same author goes on. */
function introduce(element) {
  const before = element?.previousElementSibling;
  const again = before?.dataset.author === element?.dataset.author && !element?.classList.contains("only");
  element?.classList.toggle("again", again);
}

function announce(message) {
  if (message.author === "you" || message.key.startsWith("progress/")) return;
  const words = message.file ? `shows ${message.file.name}` : byId(`m${message.ts}`).querySelector(".text").textContent;
  byId("announcer").textContent = `${name(message.author)}: ${words.slice(0, 300)}`;
}

function head() {
  const thread = threads.get(open);
  byId("title").textContent = thread?.title ?? "New thread";
  const turn = byId("turn");
  turn.textContent = thread ? TURNS[thread.state] : "";
  turn.hidden = turn.textContent === "";
  turn.dataset.turn = thread?.state ?? "idle";
  text.placeholder = thread ? "Reply" : "Describe a bug, a feature, or ask about the code";
}

/** One row of the list of threads. Newest first, and never moved, so that it keeps its focus. */
function list(thread) {
  if (!thread.item) {
    thread.item = document.createElement("li");
    thread.item.innerHTML =
      '<a><span class="dot"></span><span class="name"></span><span class="about"></span></a>';
    const later = [...threads.values()].filter((other) => other.item?.isConnected && other.ts < thread.ts);
    const next = later.sort((a, b) => (a.ts < b.ts ? 1 : -1))[0];
    byId("threads").insertBefore(thread.item, next?.item ?? null);
  }
  const link = thread.item.firstChild;
  link.href = `#${thread.ts}`;
  link.classList.toggle("unread", Boolean(thread.unread));
  link.dataset.turn = thread.state;
  if (thread.ts === open) link.setAttribute("aria-current", "true");
  else link.removeAttribute("aria-current");
  link.children[1].textContent = thread.title;
  const words = [clock([...thread.messages.keys()].sort().at(-1) ?? thread.ts), TURNS[thread.state]];
  if (thread.unread) words.push("new");
  link.children[2].textContent = words.filter(Boolean).join(" · ");
  const waiting = [...threads.values()].filter((other) => other.state === "waiting").length;
  document.title = `${waiting ? `(${waiting}) ` : ""}${title} · CodeButler`;
}

const atEnd = () => scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 90;

function toEnd() {
  scroll.scrollTop = scroll.scrollHeight;
  byId("newer").hidden = true;
}

/** Opens or closes the list of threads where it does not fit beside the thread. */
function draw(on) {
  const shown = on && phone.matches;
  const inside = byId("drawer").contains(document.activeElement);
  document.body.classList.toggle("drawn", shown);
  document.querySelector("main").inert = shown;
  byId("menu").ariaExpanded = String(shown);
  if (shown) byId("new").focus();
  else if (inside && phone.matches) byId("menu").focus();
}

// --- What the person does ---

async function send(path, body) {
  let response;
  try {
    response = await fetch(path, {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
    });
  } catch {
    throw new Error("Not sent: no connection to CodeButler. Try again.");
  }
  if (response.ok) return response.json();
  if (response.status === 413) throw new Error("Not sent: the message is too long. Shorten it.");
  const answer = await response.json().catch(() => ({}));
  throw new Error(answer.error ?? `Not sent: the server answered ${response.status}. Try again.`);
}

async function say() {
  const words = text.value;
  if (words.trim() === "" || text.readOnly) return;
  const from = open;
  text.readOnly = true;
  problem("");
  try {
    const said = await send("/api/messages", { text: words, ...(from === null ? {} : { thread: from }) });
    drafts.delete(from);
    text.value = "";
    if (from === null) location.hash = said.thread;
  } catch (error) {
    problem(error.message);
  } finally {
    text.readOnly = false;
    grow();
  }
}

/** Presses a button. It stays disabled until its message changes, or for a moment when it does not. */
async function press(message, button, element) {
  const group = [...element.parentElement.children];
  const enable = (on) => group.forEach((other) => (other.disabled = !on));
  enable(false);
  problem("");
  try {
    await send("/api/press", { thread: message.thread, action: button.action, value: button.value });
    setTimeout(enable, RETRY_MS, true);
    if (!touch.matches || button.action === "plan_change") text.focus();
  } catch (error) {
    enable(true);
    element.focus();
    problem(error.message);
  }
}

function problem(words) {
  byId("problem").textContent = words;
  byId("problem").hidden = words === "";
}

/** As high as its text. */
function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight}px`;
  byId("send").disabled = text.value.trim() === "";
}

text.addEventListener("input", grow);
text.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    say();
  }
});
byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  say();
});
byId("newer").addEventListener("click", toEnd);
let following = true;
scroll.addEventListener(
  "scroll",
  () => {
    following = atEnd();
    if (following) byId("newer").hidden = true;
  },
  { passive: true },
);
// A phone's keyboard, a turned screen, a growing text: who read the end goes on reading it.
new ResizeObserver(() => following && toEnd()).observe(scroll);
byId("menu").addEventListener("click", () => draw(true));
byId("shade").addEventListener("click", () => draw(false));
// A link to the thread that is open already changes no address.
byId("drawer").addEventListener("click", (event) => event.target.closest("a") && draw(false));
document.addEventListener("keydown", (event) => event.key === "Escape" && draw(false));
phone.addEventListener("change", () => {
  draw(false);
  grow();
});
addEventListener("hashchange", route);
document.addEventListener("visibilitychange", share);
load();
