"""web3.py with default settings, and an account that owns nothing."""

import asyncio
import time

import pytest
from eth_abi import encode
from eth_account import Account
from web3 import AsyncWeb3, Web3, WebSocketProvider
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.middleware import SignAndSendRawMiddlewareBuilder

from conftest import ANVIL, artifact, openzeppelin, until

METAMASK_FEE = 1_500_000_000
FRIEND = Account.create().address

ours = pytest.mark.skipif(ANVIL, reason="anvil differs here")


@pytest.fixture(scope="module")
def w3(chain):
    """A client that signs for an account that owns nothing, its default account."""
    w3 = Web3(Web3.HTTPProvider(chain.rpc))
    poor = Account.create()
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(poor), layer=0)
    w3.eth.default_account = poor.address
    if ANVIL:
        w3.provider.make_request("anvil_setBalance", [poor.address, hex(10**18)])
    else:
        assert w3.eth.get_balance(poor.address) == 0
    return w3


def mined(w3, transaction_hash):
    """The receipt of a transaction that has to succeed."""
    receipt = w3.eth.wait_for_transaction_receipt(transaction_hash)
    assert receipt.status == 1
    return receipt


def deploy(w3, contract, *arguments):
    """Deploys a contract and gives it with its address."""
    abi = contract["abi"]
    constructor = w3.eth.contract(abi=abi, bytecode=contract["bytecode"]).constructor(*arguments)
    return w3.eth.contract(address=mined(w3, constructor.transact()).contractAddress, abi=abi)


def test_deploys_an_erc20_transfers_and_reads_its_logs(w3):
    me = w3.eth.default_account
    token = deploy(w3, openzeppelin("ERC20PresetMinterPauser"), "Paper", "PPR")
    mined(w3, token.functions.mint(me, 1000).transact())
    receipt = mined(w3, token.functions.transfer(FRIEND, 42).transact())
    assert token.functions.balanceOf(FRIEND).call() == 42
    logs = token.events.Transfer.get_logs(from_block=0, argument_filters={"to": FRIEND})
    assert [(log.args.value, log.transactionHash) for log in logs] == [(42, receipt.transactionHash)]


def test_deploys_an_erc721_and_moves_a_token(w3):
    me = w3.eth.default_account
    tokens = deploy(w3, openzeppelin("ERC721PresetMinterPauserAutoId"), "Deeds", "DEED", "deed:")
    mined(w3, tokens.functions.mint(me).transact())
    mined(w3, tokens.functions.transferFrom(me, FRIEND, 0).transact())
    assert tokens.functions.ownerOf(0).call() == FRIEND


def test_deploys_a_proxy_and_writes_through_it(w3):
    box = deploy(w3, artifact("Box"))
    initialize = box.encode_abi("initialize", args=[w3.eth.default_account, 7])
    proxy = deploy(w3, openzeppelin("ERC1967Proxy"), box.address, initialize)
    behind = w3.eth.contract(address=proxy.address, abi=box.abi)
    mined(w3, behind.functions.store(8).transact())
    assert behind.functions.value().call() == 8


def test_subscribes_to_blocks_logs_and_pending_transactions(w3, chain):
    token = deploy(w3, artifact("Token"), "Token", "TOK", 1000)

    async def listen():
        async with AsyncWeb3(WebSocketProvider(chain.ws)) as live:
            kinds = {
                await live.eth.subscribe("newHeads"): "block",
                await live.eth.subscribe("logs", {"address": token.address}): "log",
                await live.eth.subscribe("newPendingTransactions"): "pending",
            }
            transfer = token.functions.transfer(FRIEND, 5)
            receipt = await asyncio.to_thread(lambda: mined(w3, transfer.transact()))
            heard = {}
            async for message in live.socket.process_subscriptions():
                heard[kinds[message["subscription"]]] = message["result"]
                if len(heard) == len(kinds):
                    return receipt, heard

    receipt, heard = asyncio.run(asyncio.wait_for(listen(), timeout=20))
    assert heard["block"]["hash"] == receipt.blockHash
    assert heard["log"]["transactionHash"] == receipt.transactionHash
    assert heard["pending"] == receipt.transactionHash


def test_gives_the_reason_of_a_revert(w3):
    reverter = deploy(w3, artifact("Reverter"))
    caller = w3.eth.default_account
    in_words = reverter.functions.withReason("not today")
    for attempt in (in_words.transact, in_words.call, in_words.estimate_gas):
        with pytest.raises(ContractLogicError, match="not today"):
            attempt()
    with pytest.raises(ContractCustomError) as raised:
        reverter.functions.withError(9).call()
    selector = Web3.keccak(text="Refused(address,uint256)")[:4]
    assert raised.value.data == Web3.to_hex(selector + encode(["address", "uint256"], [caller, 9]))
    failed = reverter.functions.withReason("mined").transact({"gas": 100_000})
    assert w3.eth.wait_for_transaction_receipt(failed).status == 0


def succeeds(attempt):
    """Whether `attempt` is not reverted."""
    try:
        attempt()
    except ContractCustomError:
        return False
    return True


@ours
@pytest.mark.parametrize(
    "fees",
    [
        {},
        {"gasPrice": METAMASK_FEE},
        {"maxFeePerGas": METAMASK_FEE, "maxPriorityFeePerGas": METAMASK_FEE},
    ],
)
def test_pays_nothing_whatever_fees_are_filled_in(w3, fees):
    receipt = mined(w3, w3.eth.send_transaction({"to": FRIEND, **fees}))
    assert receipt.effectiveGasPrice == 0
    kept = w3.eth.get_transaction(receipt.transactionHash)
    for field, value in fees.items():
        assert kept[field] == value
    assert w3.eth.get_balance(w3.eth.default_account) == 0


@ours
def test_releases_a_time_lock_that_expired_while_the_chain_was_parked(w3):
    unlocks_at = max(w3.eth.get_block("latest").timestamp, int(time.time())) + 2
    lock = deploy(w3, artifact("TimeLock"), FRIEND, unlocks_at)
    height = w3.eth.block_number
    release = lock.functions.release()
    with pytest.raises(ContractCustomError):
        release.transact()
    until("the lock's time", lambda: succeeds(release.estimate_gas))
    assert w3.eth.block_number == height, "no block was made meanwhile"
    with pytest.raises(ContractCustomError):
        release.call()  # at `latest`, which is the last block's time
    mined(w3, release.transact())
    assert lock.functions.released().call()
