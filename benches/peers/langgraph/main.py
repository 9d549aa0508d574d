"""LangGraph: agents of LangChain for W1 and W2, graphs of nodes for the others."""

import asyncio
import contextlib
import operator
import os
import pathlib
import sys
import uuid
from typing import Annotated, TypedDict

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph
from langgraph.types import Send
from protocol import ANSWER, PARTS, check, measured, plan, prompt

PLAN = plan()


def chat(name):
    return ChatOpenAI(model=name, base_url=PLAN.url, api_key="none", max_retries=2)


MODEL = chat("mock") if PLAN.asks_model else None


async def ask(text):
    if MODEL is None:
        return ANSWER
    return (await MODEL.ainvoke(text)).content


@contextlib.asynccontextmanager
async def saver():
    """The checkpointer of the store, as its documentation makes it."""
    if PLAN.store == "memory":
        yield None
    elif PLAN.store == "sqlite":
        from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

        async with AsyncSqliteSaver.from_conn_string("langgraph.db") as made:
            await made.setup()
            yield made
    else:
        import psycopg
        from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool

        name = f"langgraph_{uuid.uuid4().hex}"
        server = await psycopg.AsyncConnection.connect(os.environ["PG_URL"], autocommit=True)
        await server.execute(f"CREATE DATABASE {name}")
        await server.close()
        url = os.environ["PG_URL"].rsplit("/", 1)[0] + "/" + name
        settings = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
        async with AsyncConnectionPool(url, min_size=8, max_size=8, kwargs=settings) as pool:
            made = AsyncPostgresSaver(pool)
            await made.setup()
            yield made


class Talk(TypedDict):
    text: str


def chain(checkpointer):
    """Nodes one after the other, each of which is given what the one before it answered."""
    graph = StateGraph(Talk)

    async def step(state: Talk):
        return {"text": await ask(prompt(state["text"]))}

    names = [f"s{number}" for number in range(PLAN.chain)]
    for name in names:
        graph.add_node(name, step)
    for before, after in zip([START, *names], [*names, END]):
        graph.add_edge(before, after)
    compiled = graph.compile(checkpointer=checkpointer)

    async def unit():
        check((await compiled.ainvoke({"text": ""}, **thread()))["text"])
        return PLAN.chain

    return unit


class Fan(TypedDict):
    texts: Annotated[list[str], operator.add]


def fan_out(checkpointer):
    graph = StateGraph(Fan)

    async def step(_state):
        return {"texts": [await ask("Do your part.")]}

    graph.add_node("split", step)
    graph.add_node("part", step)
    graph.add_node("join", step)
    graph.add_edge(START, "split")
    graph.add_conditional_edges("split", lambda _state: [Send("part", {}) for _ in range(PARTS)], ["part"])
    graph.add_edge("part", "join")
    graph.add_edge("join", END)
    compiled = graph.compile(checkpointer=checkpointer)

    async def unit():
        texts = (await compiled.ainvoke({"texts": []}, **thread()))["texts"]
        for text in texts:
            check(text)
        return len(texts)

    return unit


def list_files() -> str:
    """Lists the files of the folder."""
    return "\n".join(os.listdir("."))


def agent(checkpointer):
    """An agent that calls its tool for as long as the model wants it."""
    if PLAN.row == "W2":
        model, tools = chat("tool-turns-10"), [list_files]
    else:
        model, tools = MODEL, []
    made = create_agent(model, tools=tools, system_prompt="You are a worker.", checkpointer=checkpointer)

    async def unit():
        said = await made.ainvoke({"messages": [{"role": "user", "content": "Say hello."}]}, **thread())
        check(said["messages"][-1].content)
        return 1

    return unit


def thread():
    """A thread of its own for each unit; checkpoints are written while the next node runs (the default)."""
    config = {"configurable": {"thread_id": uuid.uuid4().hex}, "recursion_limit": 100}
    if PLAN.store == "memory":
        return {"config": config}
    return {"config": config, "durability": os.environ.get("LANGGRAPH_DURABILITY", "async")}


async def idle():
    agents = []

    async def unit():
        agents.append(create_agent(MODEL, tools=[list_files], system_prompt="You are a worker."))
        return 1

    await measured(PLAN, unit)


async def main():
    if PLAN.row == "W5":
        return await idle()
    async with saver() as checkpointer:
        make = {"W3": chain, "W4": fan_out, "W7": chain}.get(PLAN.row, agent)
        await measured(PLAN, make(checkpointer))


asyncio.run(main())
