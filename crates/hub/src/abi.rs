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
        function register(Card calldata card, bytes calldata proof) external returns (uint32 id);
        function setOffer(uint32 id, Offer calldata offer) external;
        function setEndpoint(uint32 id, string calldata endpoint, string calldata rpc) external;
        function retire(uint32 id) external;
    }

    #[derive(Debug)]
    interface IApplications {
        event Created(uint64 indexed n, uint64 chainId, address indexed owner, string name);
        event Placed(uint64 indexed n, uint32 indexed city);

        function count() external view returns (uint64);
        function application(uint64 n) external view returns (Application memory);
        function placedCount(uint32 city) external view returns (uint64);
        function placedOn(uint32 city, uint64 from, uint64 limit) external view returns (uint64[] memory);
        function quote(Specification calldata specification) external view
            returns (uint256 price, uint32 cities, uint32 institutions, uint32 citiesMayFail, uint32 institutionsMayFail);
        function create(Specification calldata specification) external returns (uint64 n);
    }

    #[derive(Debug)]
    interface IGovernance {
        function found(Founding calldata founding) external;
        function propose(uint8 kind, bytes calldata payload, string calldata reason) external returns (uint32 id);
        function vote(uint32 id, bool support) external;
        function execute(uint32 id) external;
        function count() external view returns (uint32);
    }
}
