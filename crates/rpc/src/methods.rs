//! The table of methods: which name is answered by what, on which kind of thread.

use std::sync::Arc;

use alloy_primitives::{Address, Bytes, U64};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::RpcModule;
use jsonrpsee::core::RegisterMethodError;
use jsonrpsee::server::Extensions;
use jsonrpsee::types::Params;
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

use crate::accounts::Caller;
use crate::api::{Api, Work};
use crate::arguments::Arguments;
use crate::error::Failure;
use crate::transactions::submit;
use crate::{
    account_state, accounts, blocks, evidence, fees, filters, identity, logs, pool, proofs,
    simulate, subscriptions, transactions,
};

/// The one method that a batch answers all at once, see `service`.
pub(crate) const SEND_RAW: &str = "eth_sendRawTransaction";

/// All methods of `api`.
pub(crate) fn all(api: Arc<Api>) -> Result<RpcModule<Api>, RegisterMethodError> {
    let mut methods = Methods(RpcModule::from_arc(api));
    identity_and_blocks(&mut methods)?;
    state_and_simulation(&mut methods)?;
    logs_and_filters(&mut methods)?;
    sending(&mut methods)?;
    let subscribe = |params, sink, api, _extensions| subscriptions::serve(params, sink, api);
    methods.0.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        subscribe,
    )?;
    Ok(methods.0)
}

fn identity_and_blocks(methods: &mut Methods) -> Result<(), RegisterMethodError> {
    methods.read("eth_chainId", identity::chain_id)?;
    methods.read("eth_syncing", identity::syncing)?;
    methods.read("net_version", identity::net_version)?;
    methods.read("net_listening", identity::net_listening)?;
    methods.read("net_peerCount", identity::net_peer_count)?;
    methods.read("web3_clientVersion", identity::client_version)?;
    methods.read("web3_sha3", identity::sha3)?;
    methods.read("rpc_modules", identity::modules)?;
    methods.read("causeway_getNetwork", identity::network)?;
    methods.read("causeway_getBlockProof", proofs::block)?;
    methods.read("causeway_getEvidence", evidence::evidence)?;
    methods.read("eth_blockNumber", blocks::number)?;
    methods.read("eth_getBlockByNumber", blocks::by_number)?;
    methods.read("eth_getBlockByHash", blocks::by_hash)?;
    methods.read("eth_getBlockReceipts", blocks::receipts)?;
    methods.read(
        "eth_getBlockTransactionCountByNumber",
        blocks::count_by_number,
    )?;
    methods.read("eth_getBlockTransactionCountByHash", blocks::count_by_hash)?;
    methods.read("eth_getUncleCountByBlockNumber", blocks::uncles_by_number)?;
    methods.read("eth_getUncleCountByBlockHash", blocks::uncles_by_hash)?;
    methods.read("eth_getTransactionByHash", transactions::by_hash)?;
    methods.read(
        "eth_getTransactionByBlockHashAndIndex",
        transactions::by_block_hash,
    )?;
    methods.read(
        "eth_getTransactionByBlockNumberAndIndex",
        transactions::by_block_number,
    )?;
    methods.read("eth_getRawTransactionByHash", transactions::raw)?;
    methods.read("eth_getTransactionReceipt", transactions::receipt)
}

fn state_and_simulation(methods: &mut Methods) -> Result<(), RegisterMethodError> {
    methods.read("eth_getBalance", account_state::balance)?;
    methods.read("eth_getTransactionCount", account_state::nonce)?;
    methods.read("eth_getCode", account_state::code)?;
    methods.read("eth_getStorageAt", account_state::storage)?;
    methods.read("eth_getProof", proofs::account)?;
    methods.read("eth_gasPrice", fees::gas_price)?;
    methods.read("eth_maxPriorityFeePerGas", fees::priority_fee)?;
    methods.read("eth_blobBaseFee", fees::blob_base_fee)?;
    methods.read("eth_feeHistory", fees::history)?;
    methods.evm("eth_call", simulate::call)?;
    methods.evm("eth_estimateGas", simulate::estimate_gas)?;
    methods.evm("eth_createAccessList", simulate::create_access_list)
}

fn logs_and_filters(methods: &mut Methods) -> Result<(), RegisterMethodError> {
    methods.read("eth_getLogs", logs::search)?;
    methods.read("eth_newFilter", filters::new_logs)?;
    methods.read("eth_newBlockFilter", filters::new_blocks)?;
    methods.read("eth_newPendingTransactionFilter", filters::new_pending)?;
    methods.read("eth_getFilterChanges", filters::changes)?;
    methods.read("eth_getFilterLogs", filters::all_logs)?;
    methods.read("eth_uninstallFilter", filters::uninstall)?;
    methods.read("txpool_status", pool::status)?;
    methods.read("txpool_content", pool::content)?;
    methods.read("txpool_contentFrom", pool::content_from)?;
    methods.read("txpool_inspect", pool::inspect)
}

fn sending(methods: &mut Methods) -> Result<(), RegisterMethodError> {
    methods.wait(SEND_RAW, |api, params, _caller| async move {
        submit::send_one(&api, raw(&params)?).await
    })?;
    methods.wait(
        "eth_sendRawTransactionSync",
        |api, params, _caller| async move {
            let (raw, wait_ms) = raw_and_wait(&params)?;
            submit::send_sync(&api, raw, wait_ms).await
        },
    )?;
    methods.wait("eth_sendTransaction", |api, params, caller| async move {
        accounts::send(&api, caller, request(&params)?).await
    })?;
    methods.wait("eth_signTransaction", |api, params, caller| async move {
        accounts::sign_transaction(&api, caller, request(&params)?).await
    })?;
    methods.sign("eth_accounts", |api, arguments, caller| {
        arguments.end()?;
        Ok(api.accounts.addresses(caller))
    })?;
    methods.sign("eth_sign", |api, arguments, caller| {
        let (address, message): (Address, Bytes) = (arguments.required()?, arguments.required()?);
        arguments.end()?;
        api.accounts.sign(caller, address, &message)
    })?;
    methods.sign("personal_sign", |api, arguments, caller| {
        let (message, address): (Bytes, Address) = (arguments.required()?, arguments.required()?);
        // A password, of no use here.
        let _password: Option<String> = arguments.optional()?;
        arguments.end()?;
        api.accounts.sign(caller, address, &message)
    })?;
    methods.sign("eth_signTypedData_v4", |api, arguments, caller| {
        let (address, data): (Address, accounts::Typed) =
            (arguments.required()?, arguments.required()?);
        arguments.end()?;
        api.accounts.sign_typed(caller, address, &data)
    })
}

/// The transaction of one `eth_sendRawTransaction`.
pub(crate) fn raw(params: &Params<'_>) -> Result<Bytes, Failure> {
    let mut arguments = Arguments::new(params)?;
    let raw = arguments.required()?;
    arguments.end()?;
    Ok(raw)
}

fn raw_and_wait(params: &Params<'_>) -> Result<(Bytes, Option<u64>), Failure> {
    let mut arguments = Arguments::new(params)?;
    let raw = arguments.required()?;
    let wait_ms: Option<U64> = arguments.optional()?;
    arguments.end()?;
    Ok((raw, wait_ms.map(|wait_ms| wait_ms.to())))
}

fn request(params: &Params<'_>) -> Result<TransactionRequest, Failure> {
    let mut arguments = Arguments::new(params)?;
    let request = arguments.required()?;
    arguments.end()?;
    Ok(request)
}

struct Methods(RpcModule<Api>);

impl Methods {
    /// Reads the chain.
    fn read<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        answer: fn(&Api, &mut Arguments<'_>) -> Result<R, Failure>,
    ) -> Result<(), RegisterMethodError> {
        self.work(Work::Read, name, move |api, arguments, _caller| {
            answer(api, arguments)
        })
    }

    /// Runs the EVM.
    fn evm<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        answer: fn(&Api, &mut Arguments<'_>) -> Result<R, Failure>,
    ) -> Result<(), RegisterMethodError> {
        self.work(Work::Evm, name, move |api, arguments, _caller| {
            answer(api, arguments)
        })
    }

    /// Uses a key.
    fn sign<R: Serialize + 'static>(
        &mut self,
        name: &'static str,
        answer: fn(&Api, &mut Arguments<'_>, Caller) -> Result<R, Failure>,
    ) -> Result<(), RegisterMethodError> {
        self.work(Work::Read, name, answer)
    }

    /// Parameters are read, the work is done, and the answer is written on a worker: none of it holds up the others.
    fn work<R, F>(
        &mut self,
        kind: Work,
        name: &'static str,
        answer: F,
    ) -> Result<(), RegisterMethodError>
    where
        R: Serialize + 'static,
        F: Fn(&Api, &mut Arguments<'_>, Caller) -> Result<R, Failure>
            + Copy
            + Send
            + Sync
            + 'static,
    {
        self.0
            .register_async_method(name, move |params, api, extensions| async move {
                let shared = Arc::clone(&api);
                let work = move || {
                    let mut arguments = Arguments::new(&params)?;
                    write(&answer(&shared, &mut arguments, caller(&extensions))?)
                };
                api.run(kind, work).await
            })?;
        Ok(())
    }

    /// Waits for the chain, and goes to the workers itself.
    fn wait<R, F, Fut>(&mut self, name: &'static str, answer: F) -> Result<(), RegisterMethodError>
    where
        R: Serialize + 'static,
        F: Fn(Arc<Api>, Params<'static>, Caller) -> Fut + Copy + Send + Sync + 'static,
        Fut: Future<Output = Result<R, Failure>> + Send,
    {
        self.0
            .register_async_method(name, move |params, api, extensions| async move {
                write(&answer(api, params, caller(&extensions)).await?)
            })?;
        Ok(())
    }
}

fn write(answer: &impl Serialize) -> Result<Box<RawValue>, Failure> {
    to_raw_value(answer).map_err(Failure::Answer)
}

/// Who asks; a request that nobody vouched for is from away.
fn caller(extensions: &Extensions) -> Caller {
    extensions
        .get()
        .copied()
        .unwrap_or(Caller { is_local: false })
}
