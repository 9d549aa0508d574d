// Restate: a service whose handlers are durable, in this process, behind a server of its own.

import { spawn } from "node:child_process";
import { createServer } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { createRequire } from "node:module";
import * as restate from "@restatedev/restate-sdk";
import * as clients from "@restatedev/restate-sdk-clients";
import OpenAI from "openai";
import { ANSWER, PARTS, check, measured, plan, prompt } from "../protocol.mjs";

const client = plan.asksModel ? new OpenAI({ baseURL: plan.url, apiKey: "none" }) : undefined;

async function ask(text) {
  if (!client) return ANSWER;
  const messages = [
    { role: "system", content: "You are a worker." },
    { role: "user", content: text },
  ];
  const answer = await client.chat.completions.create({ model: "mock", messages });
  return answer.choices[0].message.content;
}

const peer = restate.service({
  name: "peer",
  handlers: {
    chain: async (context, steps) => {
      let text = "";
      for (let step = 0; step < steps; step += 1) {
        const said = prompt(text);
        text = await context.run(`s${step}`, () => ask(said));
      }
      return text;
    },
    fanOut: async (context) => {
      const split = await context.run("split", () => ask("Split it."));
      const part = (_, number) => context.run(`p${number}`, () => ask("Do your part."));
      const parts = await restate.RestatePromise.all(Array.from({ length: PARTS }, part));
      return [split, ...parts, await context.run("join", () => ask("Join it."))];
    },
  },
});

// Ports that were free a moment ago.
async function freePorts(number) {
  const servers = Array.from({ length: number }, () => createServer());
  await Promise.all(servers.map((one) => new Promise((done) => one.listen(0, "127.0.0.1", done))));
  const ports = servers.map((one) => one.address().port);
  await Promise.all(servers.map((one) => new Promise((done) => one.close(done))));
  return ports;
}

function startServer(ingress, admin, fabric) {
  const binary = createRequire(import.meta.url).resolve("@restatedev/restate-server-linux-x64/bin/restate-server");
  const settings = {
    RESTATE_INGRESS__BIND_ADDRESS: `127.0.0.1:${ingress}`,
    RESTATE_ADMIN__BIND_ADDRESS: `127.0.0.1:${admin}`,
    RESTATE_BIND_ADDRESS: `127.0.0.1:${fabric}`,
    RESTATE_LISTEN_MODE: "tcp",
    RESTATE_ADMIN__DISABLE_WEB_UI: "true",
    RESTATE_DISABLE_TELEMETRY: "true",
    RESTATE_LOG_FILTER: "warn",
    RESTATE_NODE_NAME: "peer",
  };
  const stdio = ["ignore", 2, 2];
  return spawn(binary, ["--no-logo", "--base-dir", "restate-data"], { env: { ...process.env, ...settings }, stdio });
}

// Asks until the server is there; a start that takes half a minute has failed.
async function register(admin, uri) {
  const body = JSON.stringify({ uri });
  const headers = { "content-type": "application/json" };
  for (let tries = 0; tries < 3000; tries += 1) {
    const answer = await fetch(`http://127.0.0.1:${admin}/deployments`, { method: "POST", headers, body }).catch(() => {});
    if (answer?.ok) return;
    await pause(10);
  }
  throw new Error("Restate's server did not take the service");
}

const [endpoint, ingress, admin, fabric] = await freePorts(4);
await restate.serve({ services: [peer], port: endpoint });
const server = startServer(ingress, admin, fabric);
await register(admin, `http://127.0.0.1:${endpoint}`);
const service = clients.connect({ url: `http://127.0.0.1:${ingress}` }).serviceClient(peer);

async function unit() {
  if (plan.row !== "W4") {
    check(await service.chain(plan.chain));
    return plan.chain;
  }
  const texts = await service.fanOut();
  texts.forEach(check);
  return texts.length;
}

try {
  await measured(unit);
} finally {
  server.kill("SIGKILL");
}
process.exit(0);
