// Makes and updates the elements of one message. What a message says reaches the page either as text or as the HTML
// that the server made from Markdown, in which nothing is active.

const ICONS = { eyes: ["#i-eyes", "seen"], white_check_mark: ["#i-check", "done"] };
const CARDS = ["plan/", "pull/", "failed/"];
// Files of more lines begin closed.
const OPEN_LINES = 40;

/** Brings an element in line with a message; only what differs is touched, so that focus and open files stay. */
export function update(element, message, press) {
  const old = element.message ?? {};
  element.message = message;
  const asks = message.buttons.some((button) => !["run_stop", "pm_model"].includes(button.action));
  const kinds = {
    card: asks || CARDS.some((kind) => message.key.startsWith(kind)),
    asks,
    progress: message.key.startsWith("progress/"),
    only: message.ephemeral,
  };
  for (const [kind, on] of Object.entries(kinds)) element.classList.toggle(kind, on);
  const differs = (part) => JSON.stringify(old[part]) !== JSON.stringify(message[part]);
  const part = (name) => element.querySelector(`:scope > .body > .${name}`);
  if (differs("html")) part("text").innerHTML = message.html;
  if (differs("file")) part("files").replaceChildren(...(message.file ? [file(message.file)] : []));
  if (differs("buttons")) part("buttons").replaceChildren(...message.buttons.map((b) => button(b, message, press)));
  if (differs("reactions")) part("reactions").replaceChildren(...message.reactions.map(reaction));
  part("text").hidden = message.html === "";
  part("buttons").hidden = message.buttons.length === 0;
  part("reactions").hidden = message.reactions.length === 0;
}

/** A new element for a message. */
export function create(message, press) {
  const element = make("li", "message");
  element.dataset.author = message.author.toLowerCase();
  const avatar = make("span", "avatar");
  avatar.ariaHidden = "true";
  if (message.author === "codebutler") avatar.append(icon("#i-tie", ""));
  else avatar.textContent = initials(message.author);
  const meta = make("div", "meta");
  meta.append(make("span", "author", name(message.author)), time(message.ts));
  if (message.ephemeral) meta.append(make("span", "whisper", "only you see this"));
  const body = make("div", "body");
  body.append(...["text", "files", "buttons", "reactions"].map((part) => make("div", part)));
  // On a card the introduction stands outside of the frame.
  const column = make("div", "column");
  column.append(meta);
  element.append(avatar, column, body);
  update(element, message, press);
  return element;
}

/** How an author is called. */
export function name(author) {
  return author === "you" ? "You" : author;
}

/** When a timestamp was, for people. */
export function clock(ts) {
  const date = new Date(Number(ts) * 1000);
  const today = date.toDateString() === new Date().toDateString();
  const day = today ? {} : { month: "short", day: "numeric" };
  return date.toLocaleString([], { ...day, hour: "2-digit", minute: "2-digit" });
}

function time(ts) {
  const element = make("time", "", clock(ts));
  const date = new Date(Number(ts) * 1000);
  element.dateTime = date.toISOString();
  element.title = date.toLocaleString();
  return element;
}

function initials(author) {
  return author === "you" ? "You" : author.length <= 2 ? author : author[0];
}

function button(button, message, press) {
  if (button.url) {
    const link = make("a", "button", button.label);
    if (/^https?:\/\//i.test(button.url)) link.href = button.url;
    link.target = "_blank";
    link.rel = "noopener noreferrer";
    link.append(icon("#i-out"));
    return link;
  }
  const element = make("button", `button ${button.style}`, button.label);
  element.type = "button";
  element.addEventListener("click", () => press(message, button, element));
  return element;
}

function reaction(name) {
  const [symbol, label] = ICONS[name] ?? [null, name];
  const element = make("span", symbol === "#i-check" ? "reaction done" : "reaction");
  if (symbol) element.append(icon(symbol));
  element.append(label);
  return element;
}

function file(file) {
  const all = file.content.replace(/\n$/, "").split("\n");
  const lines = file.syntax === "diff" ? withoutNoise(all) : all;
  const details = make("details", "file");
  details.open = lines.length <= OPEN_LINES;
  const summary = make("summary");
  summary.append(icon("#i-file"), make("span", "name", file.name), about(file, lines));
  const pre = make("pre");
  pre.tabIndex = 0;
  pre.setAttribute("aria-label", file.name);
  const code = make("code");
  code.append(...(file.syntax === "diff" ? diffLines(lines) : lines.map((text, at) => line(text, "", at + 1))));
  pre.append(code);
  details.append(summary, pre);
  return details;
}

function about(file, lines) {
  const element = make("span", "about");
  if (file.syntax !== "diff") {
    element.textContent = lines.length === 1 ? "1 line" : `${lines.length} lines`;
    return element;
  }
  const count = (sign) => lines.filter((text) => text[0] === sign && !text.startsWith(sign.repeat(3))).length;
  element.append(make("span", "plus", `+${count("+")}`), " ", make("span", "minus", `−${count("-")}`));
  return element;
}

/** A diff without what each file's first line says already. The list of files stays when a file has no patch here. */
function withoutNoise(lines) {
  const first = lines.findIndex((text) => text.startsWith("diff --git "));
  const patches = lines.filter((text) => text.startsWith("diff --git ")).length;
  const listed = Number(/^(\d+) files? changed from /.exec(lines[0])?.[1] ?? -1);
  let inHead = false;
  return lines.slice(patches === listed ? first : 0).filter((text) => {
    if (text.startsWith("diff --git ")) inHead = true;
    else if (text.startsWith("@@ ")) inHead = false;
    return !inHead || !/^(index |--- |\+\+\+ )/.test(text);
  });
}

/** Numbers the lines of a diff as they are in the files: the old one for what goes, the new one for the rest. */
function diffLines(lines) {
  let from = 0;
  let to = 0;
  let left = 0;
  return lines.map((text) => {
    const hunk = /^@@ -(\d+)(?:,(\d+))? \+(\d+)(?:,(\d+))? @@/.exec(text);
    if (hunk) {
      [from, to] = [Number(hunk[1]), Number(hunk[3])];
      left = Number(hunk[2] ?? 1) + Number(hunk[4] ?? 1);
      return line(text, "hunk");
    }
    const patch = /^diff --git a\/.* b\/(.*)$/.exec(text);
    if (patch && left <= 0) return line(patch[1], "patch");
    if (left <= 0) return line(text, "head");
    if (text[0] === "\\") return line(text, "head");
    left -= text[0] === "+" || text[0] === "-" ? 1 : 2;
    if (text[0] === "-") return line(text, "del", from++);
    if (text[0] === "+") return line(text, "add", to++);
    from++;
    return line(text, "", to++);
  });
}

function line(text, kind, number = "") {
  const element = make("span", `line ${kind}`, text);
  element.dataset.number = number;
  return element;
}

function icon(symbol, style = "icon") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", symbol);
  svg.setAttribute("aria-hidden", "true");
  if (style) svg.setAttribute("class", style);
  svg.append(use);
  return svg;
}

function make(tag, style = "", text = "") {
  const element = document.createElement(tag);
  if (style) element.className = style.trim();
  element.append(text);
  return element;
}
