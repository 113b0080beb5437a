// The page: which view is shown, and the key.

import { Api, Refusal } from "./api.js";
import { fill, h } from "./dom.js";
import { showEpisode, showEpisodes } from "./episodes.js";
import { showService } from "./service.js";
import { showState } from "./state.js";
import { showStates } from "./states.js";

const api = new Api();
const main = document.getElementById("main");
const VIEWS = [
  ["States", "#/", ["state"]],
  ["Episodes", "#/episodes", ["episodes", "episode"]],
  ["Service", "#/service", ["service"]],
];
let leave = () => {};

/** What the part of the address behind the # asks for. */
function asked() {
  const [path, query] = location.hash.replace(/^#\/?/, "").split("?");
  return {
    parts: path.split("/").filter(Boolean).map(decodeURIComponent),
    query: new URLSearchParams(query ?? ""),
  };
}

async function show() {
  leave();
  const ending = new AbortController();
  const closing = [];
  leave = () => {
    ending.abort();
    for (const close of closing) close();
  };
  const { parts, query } = asked();
  const view = { api, main, query, signal: ending.signal, closing, go };
  fill(
    document.getElementById("views"),
    VIEWS.map(([name, hash, paths]) => {
      const isHere = parts.length ? paths.includes(parts[0]) : hash === "#/";
      return h("a", { href: hash, "aria-current": isHere ? "page" : null }, name);
    }),
  );
  try {
    if (parts[0] === "state" && parts[1]) await showState(view, parts[1]);
    else if (parts[0] === "episode" && parts[1]) await showEpisode(view, parts[1]);
    else if (parts[0] === "episodes") await showEpisodes(view);
    else if (parts[0] === "service") await showService(view);
    else await showStates(view);
  } catch (error) {
    if (ending.signal.aborted) return;
    fill(
      main,
      h(
        "section",
        { class: "card", role: "alert" },
        h("h1", {}, error instanceof Refusal ? "The service refuses" : "Something went wrong"),
        h("p", {}, error.message),
        error.code ? h("p", { class: "note" }, `code ${error.code}`) : null,
        h("p", {}, h("a", { href: "#/" }, "All states")),
      ),
    );
    if (!(error instanceof Refusal)) console.error(error);
  }
  tellWho();
}

/** Goes to another view, or changes what this one was asked for without leaving it. */
function go(hash, isSame = false) {
  if (isSame) history.replaceState(null, "", hash);
  else location.hash = hash;
}

let isAsking = null;
function askForKey(wasWrong) {
  isAsking ??= new Promise((resolve) => {
    const field = h("input", {
      type: "password",
      autocomplete: "off",
      required: true,
      "aria-label": "API key",
      spellcheck: "false",
    });
    const form = h(
      "form",
      { method: "dialog" },
      h("h2", {}, "This service asks for a key"),
      h(
        "p",
        {},
        wasWrong
          ? "That key is not known here. Try another one."
          : "Enter an API key; the scope read suffices to look. It is kept for this tab only.",
      ),
      field,
      h(
        "div",
        { class: "controls" },
        h("button", { class: "primary", value: "ok" }, "Open"),
        h("button", { value: "cancel", formnovalidate: true }, "Cancel"),
      ),
    );
    const dialog = h(
      "dialog",
      {
        close: () => {
          const key = dialog.returnValue === "ok" ? field.value.trim() : "";
          if (key) api.keep(key);
          dialog.remove();
          isAsking = null;
          resolve(key !== "");
        },
      },
      form,
    );
    document.body.append(dialog);
    dialog.showModal();
  });
  return isAsking;
}

function tellWho() {
  const forget = h(
    "button",
    {
      class: "quiet",
      click: () => {
        api.keep("");
        location.reload();
      },
    },
    "Forget key",
  );
  fill(document.getElementById("who"), api.key ? forget : null);
}

api.onUnauthorized = askForKey;
addEventListener("hashchange", show);
show();
