"""DBOS: a workflow whose steps ask the model through OpenAI's client."""

import asyncio
import os
import pathlib
import sys
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from dbos import DBOS
from openai import AsyncOpenAI
from protocol import ANSWER, PARTS, check, measured, plan, prompt

PLAN = plan()
CLIENT = AsyncOpenAI(base_url=PLAN.url, api_key="none") if PLAN.asks_model else None


@DBOS.step()
async def ask(text: str) -> str:
    if CLIENT is None:
        return ANSWER
    messages = [{"role": "system", "content": "You are a worker."}, {"role": "user", "content": text}]
    answer = await CLIENT.chat.completions.create(model="mock", messages=messages)
    return answer.choices[0].message.content


@DBOS.workflow()
async def chain(steps: int) -> str:
    text = ""
    for _ in range(steps):
        text = await ask(prompt(text))
    return text


@DBOS.workflow()
async def fan_out() -> list[str]:
    split = await ask("Split it.")
    parts = await asyncio.gather(*(ask("Do your part.") for _ in range(PARTS)))
    return [split, *parts, await ask("Join it.")]


async def unit():
    texts = await fan_out() if PLAN.row == "W4" else [await chain(PLAN.chain)]
    for text in texts:
        check(text)
    return len(texts) if PLAN.row == "W4" else PLAN.chain


def store():
    if PLAN.store == "sqlite":
        return "sqlite:///dbos.db"
    # DBOS makes the database that its URL names.
    server = os.environ["PG_URL"].rsplit("/", 1)[0].replace("postgres://", "postgresql://")
    return f"{server}/dbos_{uuid.uuid4().hex}"


DBOS(config={"name": "peers", "system_database_url": store(), "log_level": "ERROR"})
DBOS.launch()
asyncio.run(measured(PLAN, unit))
DBOS.destroy()
