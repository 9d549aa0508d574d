// The AI SDK of Vercel: it keeps nothing, so the rows are those in memory, and W7 without a store.

import { readdir } from "node:fs/promises";
import { createOpenAICompatible } from "@ai-sdk/openai-compatible";
import { generateText, stepCountIs, tool, ToolLoopAgent } from "ai";
import { z } from "zod";
import { check, measured, plan, prompt } from "../protocol.mjs";

const provider = createOpenAICompatible({ name: "mock", baseURL: plan.url, apiKey: "none" });
const instructions = "You are a worker.";
const list_files = tool({
  description: "Lists the files of the folder.",
  inputSchema: z.object({}),
  execute: async () => (await readdir(".")).join("\n"),
});

const agent = () =>
  new ToolLoopAgent({
    model: provider(plan.row === "W2" ? "tool-turns-10" : "mock"),
    instructions,
    tools: { list_files },
    stopWhen: stepCountIs(20),
  });

// W2: an agent that calls its tool for as long as the model wants it.
const worker = agent();
async function turns() {
  const { text, steps } = await worker.generate({ prompt: "Say hello." });
  if (steps.length !== 11) throw new Error(`${steps.length} calls instead of 11`);
  check(text);
  return 1;
}

// Calls one after the other, each of which is given what the one before it answered.
async function chain() {
  let said = "";
  for (let step = 0; step < plan.chain; step += 1) {
    const { text } = await generateText({ model: provider("mock"), instructions, prompt: prompt(said) });
    said = text;
  }
  check(said);
  return plan.chain;
}

// W5: agents that wait.
const waiting = [];
async function idle() {
  waiting.push(agent());
  return 1;
}

await measured({ W2: turns, W5: idle }[plan.row] ?? chain);
process.exit(0);
