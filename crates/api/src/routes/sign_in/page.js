"use strict";

// Where the token is kept: in this tab, until it is closed. Unlike a cookie it is sent to nobody by itself.
const KEPT = "fusion-kit.token";

// What each scope may do.
const MAY = {
  read: "look",
  operate: "look, and start and change work",
  admin: "look, start and change work, and look after providers and tokens",
};

// The code leaves the address bar, and with it the history, before anything else is done.
let code = takeCode();

function takeCode() {
  const found = new URLSearchParams(location.hash.slice(1)).get("code");
  history.replaceState(null, "", location.pathname);
  return found;
}

// Asks the server that this page came from, and no other.
function ask(method, path, token, body) {
  const headers = {};
  if (token) headers.Authorization = `Bearer ${token}`;
  if (body) headers["Content-Type"] = "application/json";
  return fetch(`api/v1/${path}`, {
    method,
    headers,
    body: body && JSON.stringify(body),
    cache: "no-store",
    credentials: "omit",
    redirect: "error",
  });
}

function tell(text) {
  document.getElementById("told").textContent = text;
}

function show(isSignedIn) {
  document.getElementById("signed-in").hidden = !isSignedIn;
  document.getElementById("signed-out").hidden = isSignedIn;
}

function signedIn(token, words) {
  document.getElementById("name").textContent = token.name;
  document.getElementById("scope").textContent = MAY[token.scope] ?? token.scope;
  const until = token.expires_at && new Date(token.expires_at).toLocaleString();
  document.getElementById("until").textContent = until || "it is taken away";
  tell(words);
  show(true);
}

function signedOut(words) {
  tell(words);
  show(false);
}

async function refusal(answer) {
  const problem = await answer.json().catch(() => ({}));
  return problem.detail || `the server answered with ${answer.status}`;
}

// Exchanges a code for a token; gives what kept it from it, or nothing.
async function exchange(code) {
  const answer = await ask("POST", "sessions", null, { code });
  if (!answer.ok) return refusal(answer);
  const before = sessionStorage.getItem(KEPT);
  sessionStorage.setItem(KEPT, (await answer.json()).secret);
  if (before) await ask("DELETE", "sessions/current", before);
  return undefined;
}

async function arrive() {
  const given = code;
  code = null;
  const fault = given ? await exchange(given) : undefined;
  const token = sessionStorage.getItem(KEPT);
  if (!token) return signedOut(fault ? `Not signed in: ${fault}.` : "Nobody is signed in here.");
  const answer = await ask("GET", "sessions/current", token);
  if (answer.ok) {
    const words = fault ? `That link does nothing: ${fault}. You are still signed in.` : "You are signed in.";
    return signedIn(await answer.json(), words);
  }
  if (answer.status !== 401) return tell(`${await refusal(answer)}: load this page again.`);
  sessionStorage.removeItem(KEPT);
  return signedOut("You are signed in no more: the time was over, or it was taken away.");
}

async function leave() {
  const answer = await ask("DELETE", "sessions/current", sessionStorage.getItem(KEPT));
  if (!answer.ok && answer.status !== 401) return tell(`Still signed in: ${await refusal(answer)}.`);
  sessionStorage.removeItem(KEPT);
  return signedOut("You are signed out.");
}

function doing(work) {
  work().catch(() => tell("The server does not answer: load this page again."));
}

document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("sign-out").addEventListener("click", () => doing(leave));
  // A second link that is opened in the same tab only changes what follows `#`.
  window.addEventListener("hashchange", () => {
    code = takeCode();
    doing(arrive);
  });
  doing(arrive);
});
