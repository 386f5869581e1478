"""Starts the chain under test: what `tests/js/harness.mjs` is for JavaScript, with the same switches."""

import json
import os
import re
import subprocess
import time
from pathlib import Path
from typing import NamedTuple

import pytest

TESTS = Path(__file__).parent.parent
ANVIL = bool(os.environ.get("ANVIL"))


class Chain(NamedTuple):
    """Where a running chain is reached."""

    rpc: str
    ws: str


def start():
    """Starts the program, or anvil: the process and the chain."""
    if ANVIL:
        command = [TESTS / "js/node_modules/.bin/anvil", "--port", "0"]
    else:
        command = [os.environ["CAUSEWAY_BIN"], "dev", "--port", "0", "--json"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if ANVIL:
            if match := re.search(r"Listening on (\S+)", line):
                return process, Chain(f"http://{match[1]}", f"ws://{match[1]}")
        elif (event := json.loads(line))["event"] == "ready":
            return process, Chain(event["rpc"], event["ws"])
    raise RuntimeError("the program ended before it was ready")


@pytest.fixture(scope="session")
def chain():
    """A chain for all tests of the session."""
    if url := os.environ.get("CAUSEWAY_TEST_URL"):
        yield Chain(url, os.environ.get("CAUSEWAY_TEST_WS", url.replace("http", "ws", 1)))
        return
    process, chain = start()
    yield chain
    process.terminate()
    process.wait(timeout=5)


def until(what, condition, seconds=10):
    """Asks `condition` until it holds; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.02)


def artifact(name):
    """A contract of ours."""
    return json.loads((TESTS.parent / f"contracts/artifacts/{name}.json").read_text())


def openzeppelin(name):
    """A contract of OpenZeppelin's, compiled by them."""
    folder = TESTS / "js/node_modules/@openzeppelin/contracts/build/contracts"
    return json.loads((folder / f"{name}.json").read_text())
