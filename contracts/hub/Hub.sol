// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

// What the five contracts of the hub share: where they are, the shapes of what they are asked and told, and what
// they ask of each other. They are installed in the hub's genesis, at fixed addresses and without a constructor.

/// @dev Who is a member.
IMembers constant MEMBERS = IMembers(address(0xca00));
/// @dev Which cities members run, and what these offer.
ICities constant CITIES = ICities(address(0xca01));
/// @dev Which chains there are, and where.
IApplications constant APPLICATIONS = IApplications(address(0xca02));
/// @dev Proposals and votes.
IGovernance constant GOVERNANCE = IGovernance(address(0xca03));
/// @dev Which cities are the hub's validators.
IValidators constant VALIDATORS = IValidators(address(0xca04));
/// @dev EIP-4788's system address: no key of it exists, only a block's own system calls come from it.
address constant SYSTEM = 0xffffFFFfFFffffffffffffffFfFFFfffFFFfFFfE;

/// @dev Status of a member, a city, an application.
uint8 constant ACTIVE = 1;
/// @dev Status of a member, a city.
uint8 constant SUSPENDED = 2;
/// @dev Status of a member, a city: for ever.
uint8 constant REMOVED = 3;

/// @dev Numbers of members that are given out, ever: votes are kept as bits, four words of them.
uint32 constant MAX_MEMBERS = 1_023;
/// @dev Numbers of cities that are given out, ever.
uint32 constant MAX_CITIES = 4_096;
/// @dev Cities that are the hub's validators at one time, founders' ones at first: consensus.md's figures end there.
uint256 constant MAX_SERVING = 31;
/// @dev Cities of one application.
uint256 constant MAX_PLACED = 100;
/// @dev Members that an offer lists.
uint256 constant MAX_LISTED = 256;
/// @dev Entries of one page of a list, and applications of one transaction.
uint256 constant MAX_PAGE = 256;
/// @dev Handovers of one transaction.
uint256 constant MAX_SHOWN = 64;

/// @notice What a city says of itself, signed by its node key (EIP-712).
struct Card {
    /// 2.
    uint64 version;
    /// The network that the card is for; zero in a founder's.
    bytes32 network;
    /// The institution's name.
    string member;
    /// The address that speaks for the institution.
    address authority;
    /// UN/LOCODE.
    string place;
    /// Address of the node key.
    address node;
    bytes32 tlsFingerprint;
    /// HOST:PORT of the city's links.
    string endpoint;
    /// URL of its JSON-RPC; may be empty.
    string rpc;
}

/// @notice A founder's card with its signature: r ‖ s ‖ v.
struct FoundingCity {
    Card card;
    bytes proof;
}

/// @notice What a network begins with.
struct Founding {
    bytes32 networkId;
    /// Chain ids are this × 2²¹ + n.
    uint64 chainIdPrefix;
    /// The record of the hub's own chain.
    bytes hubRecord;
    /// One city a member.
    FoundingCity[] cities;
    /// What each of these cities offers at first.
    Offer offer;
}

/// @notice What a city offers, to whom, at which price.
struct Offer {
    uint64 gasPerSecond;
    uint64 bytesStored;
    uint32 chains;
    uint32 blocksPerSecond;
    /// Units of account for a million gas a second and month; nothing is charged on chain.
    uint128 pricePerGasSecond;
    /// 0 nobody, 1 every member, 2 listed members and its own.
    uint8 policy;
    /// Members, ascending; empty unless policy is 2.
    uint32[] listed;
}

/// @notice What chains take of a city.
struct Capacity {
    uint64 gasPerSecond;
    uint64 bytesStored;
    uint32 chains;
    uint32 blocksPerSecond;
}

/// @notice An institution.
struct Member {
    uint32 id;
    string name;
    address authority;
    /// 1 active, 2 suspended, 3 removed.
    uint8 status;
    /// Unix seconds since when it has this status.
    uint64 since;
    /// Who may become its authority; zero: nobody.
    address successor;
    /// Unix seconds from which the successor may.
    uint64 successorFrom;
}

/// @notice A city.
struct City {
    uint32 id;
    uint32 member;
    address node;
    bytes32 tlsFingerprint;
    string place;
    string endpoint;
    string rpc;
    /// 1 active, 2 suspended, 3 removed: the worse of its own and its member's.
    uint8 status;
    /// Unix seconds since when it has its own status.
    uint64 since;
    Offer offer;
    Capacity taken;
}

/// @notice What somebody wants of an application's chain.
struct Specification {
    string name;
    uint32[] cities;
    address owner;
    /// 0: 60,000,000.
    uint64 gasLimit;
    uint64 gasPerSecond;
    uint64 bytesStored;
    uint32 blocksPerSecond;
    /// 0 free, 1 EIP-1559.
    uint8 feeRule;
    /// 0 open, 2 shares.
    uint8 admission;
    /// 0 anyone, 1 the placed cities.
    uint8 readers;
    uint64 minimumIntervalMs;
    /// One institution may hold f + 1 cities or more.
    bool allowConcentration;
}

/// @notice What of a record an application chooses, and what its creation gives it.
struct Rules {
    uint64 chainId;
    /// Unix milliseconds.
    uint64 genesisMs;
    uint64 gasLimit;
    uint8 feeRule;
    uint8 admission;
    uint8 readers;
    uint64 minimumIntervalMs;
}

/// @notice An application, or with n = 0 the hub itself.
struct Application {
    uint64 n;
    uint64 chainId;
    string name;
    address owner;
    /// The member whose authority the owner is; 0: none.
    uint32 member;
    /// 1 active, 2 changing, 3 suspended, 4 closed.
    uint8 status;
    /// The hub's block that created it.
    uint64 createdBlock;
    /// What the hub names now, in the order of `validators`.
    uint32[] cities;
    /// Node keys, ascending.
    address[] validators;
    uint64[] powers;
    bytes record;
    bytes32 setHash;
    bytes32 recordHash;
    /// What it takes of each of its cities.
    Capacity taken;
}

/// @notice A change of an application's cities that is not over.
struct Change {
    /// 0 none, 1 the joining cities take in the chain, 2 the hub names the new set and the chain's handover block is
    /// to be shown.
    uint8 stage;
    /// Unix seconds since when it is in that stage.
    uint64 since;
    uint32[] leaving;
    uint32[] joining;
    /// Those of `joining` that hold the chain.
    uint32[] ready;
}

/// @notice What an application's cities bear, as they are now.
struct Safety {
    /// Enough of them are in force, and any one institution may fail unless the owner allowed otherwise.
    bool safe;
    /// One institution may hold f + 1 cities or more, says the owner.
    bool allowConcentration;
    uint32 cities;
    /// How many of them are suspended or removed, which others cut off.
    uint32 missing;
    /// Any so many cities may fail and the chain goes on.
    uint32 citiesMayFail;
    uint32 institutions;
    uint32 institutionsMayFail;
}

/// @notice A handover block with its certificate.
struct Handover {
    uint64 n;
    uint64 height;
    uint32 round;
    /// RLP of the block's header.
    bytes header;
    bytes32 outboxRoot;
    /// Ascending.
    address[] signers;
    /// r ‖ s ‖ v of each.
    bytes[] signatures;
}

/// @notice How a city stands towards the hub.
struct Candidate {
    uint32 city;
    address node;
    /// 0 not at all, 1 waits, 2 serves, 3 is to take over with the next renewal.
    uint8 standing;
    /// The hub's block since when it serves or waits.
    uint64 since;
    /// Who withdrew it: 0 nobody, 1 its node key, 2 its member.
    uint8 withdrew;
    /// Of one that serves: the city that is to take over from it; of that one: the city that serves until then. 0: none.
    uint32 other;
}

/// @notice What members vote on.
struct Proposal {
    uint32 id;
    uint8 kind;
    bytes payload;
    /// The member that brought it in.
    uint32 proposer;
    string reason;
    /// Unix seconds.
    uint64 created;
    /// Unix seconds up to which members vote.
    uint64 deadline;
    /// Unix seconds from which it may be executed; 0 until it passed.
    uint64 earliest;
    /// Unix seconds after which it may not be executed any more; 0 until it passed.
    uint64 latest;
    uint32 votesFor;
    uint32 votesAgainst;
    /// Members that count, and how many of them have to be for it.
    uint32 electorate;
    uint32 needed;
    /// 1 voting, 2 passed, 3 rejected, 4 executed, 5 expired.
    uint8 status;
}

/// @notice A number that members agree on by vote, and between which bounds it stays.
struct Parameter {
    bytes32 name;
    uint64 value;
    uint64 least;
    uint64 most;
}

/// @notice A parameter's value.
struct Setting {
    bytes32 name;
    uint64 value;
}

/// @notice A set of rules by name, and the Unix second from which it is to hold.
struct Fork {
    string name;
    uint64 activation;
}

/// @notice Only this contract or address may call the function.
error NotAllowed(address caller);
/// @notice Nobody whom the registry knows as a member, or as one that a member sponsors.
error NotAMember(address account);
/// @notice The member is suspended or removed.
error MemberNotActive(uint32 member, uint8 status);
/// @notice No member has this number.
error UnknownMember(uint32 member);
/// @notice No city has this number.
error UnknownCity(uint32 city);
/// @notice No application has this number.
error UnknownApplication(uint64 n);
/// @notice The caller does not speak for the city's member.
error NotTheCitysMember(uint32 city, address caller);
/// @notice The city is suspended or removed, itself or with its member.
error CityNotActive(uint32 city, uint8 status);
/// @notice More entries, or bytes, than are taken.
error TooMany(uint256 given, uint256 most);

/// @notice A handover of application `n` is not proven: rule 0 its block is not above the last one shown, 1 the header
/// does not end with what names set and record, 2 too few sign, 3 signers are not ascending, 4 one is none of the
/// cities before the change, 5 a signature is missing, or not its signer's in the one allowed form.
error NotProven(uint64 n, uint8 rule);

/// @notice What is asked of `Members`.
interface IMembers {
    function count() external view returns (uint32);
    function activeCount() external view returns (uint32);
    function member(uint32 id) external view returns (Member memory);
    function members(uint32 from, uint32 limit) external view returns (Member[] memory);
    function idOf(address authority) external view returns (uint32);
    function activeIdOf(address authority) external view returns (uint32);
    function statusOf(uint32 id) external view returns (uint8);
    function activeBits(uint32 word) external view returns (uint256);
    function presentBits(uint32 word) external view returns (uint256);
    function creatorOf(address account) external view returns (uint32 id);
    function checkInstitutions(
        uint256[] calldata placed,
        bool allowed
    ) external pure returns (uint32 institutions, uint32 mayFail);
    function checkAdmission(string calldata name, address authority) external view;
    function checkStatus(uint32 id, uint8 status) external view;
    function checkAuthority(uint32 id, address authority) external view;
    function admit(string calldata name, address authority) external returns (uint32 id);
    function setStatus(uint32 id, uint8 status) external;
    function restoreAuthority(uint32 id, address authority) external;
    function countCreation(address account) external returns (uint32 id);
}

/// @notice What is asked of `Cities`.
interface ICities {
    function count() external view returns (uint32);
    function city(uint32 id) external view returns (City memory);
    function cities(uint32 from, uint32 limit) external view returns (City[] memory);
    function idOf(address node) external view returns (uint32);
    function statusOf(uint32 id) external view returns (uint8);
    function successorOf(uint32 id) external view returns (uint32);
    function countMissing(uint32[] calldata ids) external view returns (uint32);
    function nodes(uint32[] calldata ids) external view returns (address[] memory);
    function words(uint32[] calldata ids) external view returns (uint256[] memory);
    function checkHandover(
        Handover calldata handover,
        uint64 chainId,
        uint32[] calldata signing,
        bytes32 set,
        bytes32 record
    ) external view returns (bytes32 blockHash);
    function checkCard(Card calldata card, bytes calldata proof) external view;
    function checkStatus(uint32 id, uint8 status) external view;
    function look(
        uint32 user,
        uint32[] calldata ids,
        Capacity calldata wanted
    ) external view returns (uint256[] memory placed, uint256 price);
    function found(bytes32 networkId, Offer calldata offer) external;
    function admit(uint32 member, Card calldata card, bytes calldata proof) external returns (uint32 id);
    function setStatus(uint32 id, uint8 status) external;
    function memberChanged(uint32 member, uint8 status) external;
    function take(
        uint32 user,
        uint32[] calldata ids,
        Capacity calldata wanted
    ) external returns (uint256[] memory placed);
    function release(uint32[] calldata ids, Capacity calldata taken) external;
    function register(Card calldata card, bytes calldata proof) external returns (uint32 id);
    function rotate(uint32 id, Card calldata card, bytes calldata proof) external returns (uint32 successor);
    function setOffer(uint32 id, Offer calldata offer) external;
    function setEndpoint(uint32 id, string calldata endpoint, string calldata rpc) external;
    function retire(uint32 id) external;
}

/// @notice What is asked of `Applications`.
interface IApplications {
    function count() external view returns (uint64);
    function found(uint64 chainIdPrefix, bytes calldata hubRecord, uint32[] calldata cities) external;
    function create(Specification memory specification) external returns (uint64 n);
    function change(
        uint64 n,
        uint32[] memory leaving,
        uint32[] memory joining,
        bool allowConcentration
    ) external;
    function cancelChange(uint64 n) external;
    function ready(uint64[] calldata ns) external;
    function expel(uint32 city, uint64[] calldata ns) external;
    function rotate(uint32 city, uint64[] calldata ns) external;
    function show(Handover[] calldata handovers) external;
    function setHub(uint32[] calldata cities) external;
    function changeOf(uint64 n) external view returns (Change memory);
    function genesisOf(
        uint64 n
    ) external view returns (address[] memory validators, uint64[] memory powers, bytes memory record);
    function handoverOf(uint64 n) external view returns (uint64 height, bytes32 blockHash);
    function safetyOf(uint64 n) external view returns (Safety memory);
}

/// @notice What is asked of `Governance`.
interface IGovernance {
    function found(Founding calldata founding) external;
    function foundWith(Founding calldata founding, Setting[] calldata settings) external;
    function checkName(string calldata name) external pure;
    function hashSet(uint256[] calldata placed) external pure returns (bytes32);
    function encodeRecord(Rules calldata rules) external pure returns (bytes memory);
    function parameter(bytes32 name) external view returns (uint64);
}

/// @notice What is asked of `Validators`.
interface IValidators {
    function found(uint32[] calldata cities) external;
    function ready() external;
    function withdraw(uint32 city) external;
    function readmit(uint32 city) external;
    function renew() external;
    function due() external view returns (bool);
    function serving() external view returns (Candidate[] memory all);
    function waiting(uint32 behind, uint32 limit) external view returns (Candidate[] memory page);
    function waitingCount() external view returns (uint32);
    function isServing(uint32 city) external view returns (bool);
    function candidateOf(uint32 member) external view returns (uint32);
    function candidate(uint32 city) external view returns (Candidate memory);
    function checkHub(uint32 member, uint32 city) external view;
}

/// @dev Which application a placed city's word stands for: node key << 64 | member << 32 | city. Ascending words
/// are ascending node keys, as sets are.
function placedWord(address node, uint32 member, uint32 city) pure returns (uint256) {
    return (uint256(uint160(node)) << 64) | (uint256(member) << 32) | city;
}

/// @dev Sorts in place, ascending, by insertion: lists have at most `MAX_PLACED` entries.
function sort(uint256[] memory words) pure {
    for (uint256 i = 1; i < words.length; ++i) {
        uint256 word = words[i];
        uint256 place = i;
        for (; place > 0 && words[place - 1] > word; --place) words[place] = words[place - 1];
        words[place] = word;
    }
}
