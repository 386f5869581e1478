//! What the hub's contracts are asked and told. The contracts themselves, with what each function may do and who may
//! call it, are in `contracts/hub`.

// The macro writes items without docs of its own.
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "written by a macro from Solidity"
)]

use alloy_primitives::{Address, address};
use alloy_sol_types::sol;

/// Who is a member.
pub const MEMBERS: Address = address!("000000000000000000000000000000000000ca00");
/// Which cities members run, and what these offer.
pub const CITIES: Address = address!("000000000000000000000000000000000000ca01");
/// Which chains there are, and where.
pub const APPLICATIONS: Address = address!("000000000000000000000000000000000000ca02");
/// Proposals and votes.
pub const GOVERNANCE: Address = address!("000000000000000000000000000000000000ca03");
/// Which cities are the hub's validators.
pub const VALIDATORS: Address = address!("000000000000000000000000000000000000ca04");

sol! {
    #[derive(Debug, PartialEq, Eq)]
    struct Card {
        uint64 version;
        bytes32 network;
        string member;
        address authority;
        string place;
        address node;
        bytes32 tlsFingerprint;
        string endpoint;
        string rpc;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct FoundingCity {
        Card card;
        bytes proof;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Founding {
        bytes32 networkId;
        uint64 chainIdPrefix;
        bytes hubRecord;
        FoundingCity[] cities;
        Offer offer;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Setting {
        bytes32 name;
        uint64 value;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Offer {
        uint64 gasPerSecond;
        uint64 bytesStored;
        uint32 chains;
        uint32 blocksPerSecond;
        uint128 pricePerGasSecond;
        uint8 policy;
        uint32[] listed;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Capacity {
        uint64 gasPerSecond;
        uint64 bytesStored;
        uint32 chains;
        uint32 blocksPerSecond;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Member {
        uint32 id;
        string name;
        address authority;
        uint8 status;
        uint64 since;
        address successor;
        uint64 successorFrom;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct City {
        uint32 id;
        uint32 member;
        address node;
        bytes32 tlsFingerprint;
        string place;
        string endpoint;
        string rpc;
        uint8 status;
        uint64 since;
        Offer offer;
        Capacity taken;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Specification {
        string name;
        uint32[] cities;
        address owner;
        uint64 gasLimit;
        uint64 gasPerSecond;
        uint64 bytesStored;
        uint32 blocksPerSecond;
        uint8 feeRule;
        uint8 admission;
        uint8 readers;
        uint64 minimumIntervalMs;
        bool allowConcentration;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Application {
        uint64 n;
        uint64 chainId;
        string name;
        address owner;
        uint32 member;
        uint8 status;
        uint64 createdBlock;
        uint32[] cities;
        address[] validators;
        uint64[] powers;
        bytes record;
        bytes32 setHash;
        bytes32 recordHash;
        Capacity taken;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Change {
        uint8 stage;
        uint64 since;
        uint32[] leaving;
        uint32[] joining;
        uint32[] ready;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Safety {
        bool safe;
        bool allowConcentration;
        uint32 cities;
        uint32 missing;
        uint32 citiesMayFail;
        uint32 institutions;
        uint32 institutionsMayFail;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Handover {
        uint64 n;
        uint64 height;
        uint32 round;
        bytes header;
        bytes32 outboxRoot;
        address[] signers;
        bytes[] signatures;
    }

    #[derive(Debug, PartialEq, Eq)]
    struct Candidate {
        uint32 city;
        address node;
        uint8 standing;
        uint64 since;
        uint8 withdrew;
        uint32 other;
    }

    #[derive(Debug)]
    interface IMembers {
        function count() external view returns (uint32);
        function member(uint32 id) external view returns (Member memory);
        function members(uint32 from, uint32 limit) external view returns (Member[] memory);
        function idOf(address authority) external view returns (uint32);
    }

    #[derive(Debug)]
    interface ICities {
        function count() external view returns (uint32);
        function city(uint32 id) external view returns (City memory);
        function cities(uint32 from, uint32 limit) external view returns (City[] memory);
        function idOf(address node) external view returns (uint32);
        function nodes(uint32[] calldata ids) external view returns (address[] memory);
        function successorOf(uint32 id) external view returns (uint32);
        function register(Card calldata card, bytes calldata proof) external returns (uint32 id);
        function rotate(uint32 id, Card calldata card, bytes calldata proof) external returns (uint32 successor);
        function setOffer(uint32 id, Offer calldata offer) external;
        function setEndpoint(uint32 id, string calldata endpoint, string calldata rpc) external;
        function retire(uint32 id) external;
    }

    #[derive(Debug)]
    interface IApplications {
        event Created(uint64 indexed n, uint64 chainId, address indexed owner, string name);
        event Placed(uint64 indexed n, uint32 indexed city);
        event Left(uint64 indexed n, uint32 indexed city);
        event Changing(uint64 indexed n, uint8 stage);
        event Ready(uint64 indexed n, uint32 indexed city);
        event HandedOver(uint64 indexed n, uint64 height, bytes32 blockHash);
        event ApplicationStatus(uint64 indexed n, uint8 status);

        function count() external view returns (uint64);
        function application(uint64 n) external view returns (Application memory);
        function placedCount(uint32 city) external view returns (uint64);
        function placedOn(uint32 city, uint64 from, uint64 limit) external view returns (uint64[] memory);
        function quote(Specification calldata specification) external view
            returns (uint256 price, uint32 cities, uint32 institutions, uint32 citiesMayFail, uint32 institutionsMayFail);
        function create(Specification calldata specification) external returns (uint64 n);
        function handoverOf(uint64 n) external view returns (uint64 height, bytes32 blockHash);
        function changeOf(uint64 n) external view returns (Change memory);
        function safetyOf(uint64 n) external view returns (Safety memory);
        function genesisOf(uint64 n) external view
            returns (address[] memory validators, uint64[] memory powers, bytes memory record);
        function change(uint64 n, uint32[] calldata leaving, uint32[] calldata joining, bool allowConcentration) external;
        function cancelChange(uint64 n) external;
        function ready(uint64[] calldata ns) external;
        function expel(uint32 city, uint64[] calldata ns) external;
        function rotate(uint32 city, uint64[] calldata ns) external;
        function show(Handover[] calldata handovers) external;
        function suspend(uint64 n) external;
        function resume(uint64 n) external;
        function close(uint64 n) external;
        function setOwner(uint64 n, address owner) external;
        function history(uint64 n) external view returns (uint64 createdAt, uint64 closedAt, uint32 createdFor);
    }

    #[derive(Debug)]
    interface IGovernance {
        function found(Founding calldata founding) external;
        function foundWith(Founding calldata founding, Setting[] calldata settings) external;
        function propose(uint8 kind, bytes calldata payload, string calldata reason) external returns (uint32 id);
        function vote(uint32 id, bool support) external;
        function execute(uint32 id) external;
        function parameter(bytes32 name) external view returns (uint64);
        function count() external view returns (uint32);
    }

    #[derive(Debug)]
    interface IValidators {
        function ready() external;
        function withdraw(uint32 city) external;
        function readmit(uint32 city) external;
        function renew() external;
        function due() external view returns (bool);
        function serving() external view returns (Candidate[] memory all);
        function candidate(uint32 city) external view returns (Candidate memory);
    }
}
