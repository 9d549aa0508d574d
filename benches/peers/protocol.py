"""What every program in Python has in common: how it talks with the runner, and how many at once.

A program is started as `main.py ROW NUMBER AT_ONCE STORE MODEL` in an empty folder. It warms up, prints
the line "ready", does its units once a line comes in, prints what it did as one line of JSON, and ends
when its input does. Who started it takes the times.
"""

import asyncio
import json
import os
import sys
from dataclasses import dataclass

ANSWER = "Hello, how can I help you today?"
PARTS = 200


@dataclass
class Plan:
    row: str
    number: int
    at_once: int
    store: str
    asks_model: bool

    @property
    def url(self):
        return os.environ["MOCK_URL"] + "/v1"

    @property
    def warm_up(self):
        """20 units; of W4, whose units are 202 steps, 2; of W6, which is about starts, none."""
        return {"W4": 2, "W6": 0}.get(self.row, 20)

    @property
    def chain(self):
        """Steps one after the other in a unit of W3 and W7, and one elsewhere."""
        return {"W3": 3, "W7": 5}.get(self.row, 1)


def plan():
    row, number, at_once, store, model = sys.argv[1:]
    return Plan(row, int(number), int(at_once), store, model == "raw")


def prompt(before):
    return f"Go on from: {before}" if before else "Say hello."


def check(text):
    if text != ANSWER:
        raise SystemExit(f"a wrong answer: {text!r}")


async def each(number, at_once, unit):
    """Does so many units, so many at once, and says how many steps they had."""
    left = iter(range(number))
    steps = 0

    async def lane():
        nonlocal steps
        for _ in left:
            done = await unit()
            steps += done

    await asyncio.gather(*(lane() for _ in range(min(at_once, number))))
    return steps


async def measured(plan, unit):
    """Warms up, waits to be told, does the work. A unit answers with the steps that it completed."""
    await each(plan.warm_up, plan.at_once, unit)
    await told("ready")
    steps = await each(plan.number, plan.at_once, unit)
    await told(json.dumps({"units": plan.number, "steps": steps}))


async def told(line):
    print(line, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
