// What every program in JavaScript has in common: how it talks with the runner, and how many at once.
// The same as protocol.py, which tells what is agreed.

import { createInterface } from "node:readline";

export const ANSWER = "Hello, how can I help you today?";
export const PARTS = 200;

const [row, number, atOnce, store, model] = process.argv.slice(2);

export const plan = {
  row,
  number: Number(number),
  atOnce: Number(atOnce),
  store,
  asksModel: model === "raw",
  url: `${process.env.MOCK_URL}/v1`,
  // 20 units; of W4, whose units are 202 steps, 2; of W6, which is about starts, none.
  warmUp: { W4: 2, W6: 0 }[row] ?? 20,
  // Steps one after the other in a unit of W3 and W7, and one elsewhere.
  chain: { W3: 3, W7: 5 }[row] ?? 1,
};

export const prompt = (before) => (before ? `Go on from: ${before}` : "Say hello.");

export function check(text) {
  if (text !== ANSWER) throw new Error(`a wrong answer: ${text}`);
}

// Does so many units, so many at once, and says how many steps they had.
async function each(number, atOnce, unit) {
  let left = number;
  let steps = 0;
  const lane = async () => {
    while (left > 0) {
      left -= 1;
      const done = await unit();
      steps += done;
    }
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, number) }, lane));
  return steps;
}

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

async function told(line) {
  process.stdout.write(`${line}\n`);
  await lines.next();
}

// Warms up, waits to be told, does the work. A unit answers with the steps that it completed.
export async function measured(unit) {
  await each(plan.warmUp, plan.atOnce, unit);
  await told("ready");
  const steps = await each(plan.number, plan.atOnce, unit);
  await told(JSON.stringify({ units: plan.number, steps }));
}
