// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, SUSPENDED, REMOVED, MAX_SERVING, SYSTEM} from "./Hub.sol";
import {APPLICATIONS, CITIES, MEMBERS, VALIDATORS, IGovernance} from "./Hub.sol";
import {Card, Fork, Founding, FoundingCity, Parameter, Proposal, Rules, Setting} from "./Hub.sol";
import {NotAllowed, MemberNotActive, UnknownMember, TooMany} from "./Hub.sol";
import {Parameters} from "./Parameters.sol";
import {Records} from "./Records.sol";
import {Signatures} from "./Signatures.sol";
import {Words} from "./Words.sol";

/// @title Proposals and votes
/// @notice Members decide who is a member, which cities stay, and the network's numbers. One institution has one vote.
/// What a proposal does is readable before anybody votes: its kind and the arguments in `payload`.
/// @dev Votes are bits by member number, counted against the members that are in force at that moment: nobody counts
/// twice, and who is suspended or removed does not count any more. Installed at 0x…ca03, without a constructor.
contract Governance is IGovernance {
    /// @dev One proposal.
    struct Row {
        uint8 kind;
        uint8 status;
        uint32 proposer;
        uint64 created;
        uint64 deadline;
        uint64 earliest;
        uint64 latest;
        // As they were counted when it was decided.
        uint32 votesFor;
        uint32 votesAgainst;
        uint32 electorate;
        uint32 needed;
        bytes payload;
        string reason;
    }

    /// @dev How the votes stand.
    struct Tally {
        uint32 votesFor;
        uint32 votesAgainst;
        uint32 electorate;
        uint32 needed;
        bool passed;
        bool lost;
    }

    /// @dev Proposals of a member on one day of UTC.
    struct Day {
        uint64 number;
        uint64 count;
    }

    uint8 private constant ADMIT_MEMBER = 1;
    uint8 private constant SUSPEND_MEMBER = 2;
    uint8 private constant RESTORE_MEMBER = 3;
    uint8 private constant REMOVE_MEMBER = 4;
    uint8 private constant RESTORE_AUTHORITY = 5;
    uint8 private constant SUSPEND_CITY = 6;
    uint8 private constant RESTORE_CITY = 7;
    uint8 private constant REMOVE_CITY = 8;
    uint8 private constant SET_PARAMETER = 9;
    uint8 private constant ACTIVATE_FORK = 10;

    uint8 private constant VOTING = 1;
    uint8 private constant PASSED = 2;
    uint8 private constant REJECTED = 3;
    uint8 private constant EXECUTED = 4;
    uint8 private constant EXPIRED = 5;

    /// @dev The longest card takes less than half.
    uint256 private constant MAX_PAYLOAD = 4_096;
    uint256 private constant MAX_REASON = 1_024;
    uint256 private constant MAX_FORKS = 64;
    bytes32 private constant DOMAIN_TYPE = keccak256(
        "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    );
    bytes32 private constant VOTE_TYPE = keccak256("Vote(uint32 proposal,bool support)");

    mapping(uint32 id => Row row) private _rows;
    /// @dev Bit i of word w: member 256 w + i voted so.
    mapping(uint32 id => mapping(uint32 word => uint256 bits)) private _for;
    mapping(uint32 id => mapping(uint32 word => uint256 bits)) private _against;
    mapping(bytes32 name => uint64 value) private _parameters;
    mapping(uint32 member => Day day) private _days;
    Fork[] private _forks;
    mapping(bytes32 nameHash => bool known) private _isFork;
    uint32 private _count;
    bool private _founded;

    /// @notice The network began.
    event Founded(bytes32 indexed networkId, uint64 chainIdPrefix, uint32 members);
    /// @notice A proposal was brought in.
    event Proposed(uint32 indexed id, uint8 indexed kind, uint32 indexed proposer, uint64 deadline);
    /// @notice A member voted.
    event Voted(uint32 indexed id, uint32 indexed member, bool support);
    /// @notice A proposal passed and may be executed in this time.
    event Passed(uint32 indexed id, uint64 earliest, uint64 latest);
    /// @notice A proposal cannot pass any more.
    event Rejected(uint32 indexed id);
    /// @notice A proposal was executed.
    event Executed(uint32 indexed id);
    /// @notice A parameter has another value.
    event ParameterSet(bytes32 indexed name, uint64 value);
    /// @notice A set of rules is to hold from a time on.
    event ForkActivated(string name, uint64 activation);

    /// @notice The network was founded before.
    error FoundedAlready();
    /// @notice A network has 1 to 31 founders.
    error FounderCount(uint256 count);
    /// @notice The zero hash is no network.
    error NoNetworkId();
    /// @notice No proposal has this number.
    error UnknownProposal(uint32 id);
    /// @notice There is no such kind of proposal.
    error UnknownKind(uint8 kind);
    /// @notice The payload is not the one ABI encoding of its kind's arguments, or settings are not in their order.
    error PayloadNotCanonical();
    /// @notice The member brought in as many proposals today as it may.
    error ProposalLimit(uint32 member, uint64 most);
    /// @notice A member votes once.
    error VotedAlready(uint32 id, uint32 member);
    /// @notice Nobody votes on this proposal any more: 2 passed, 3 rejected, 4 executed, 5 expired.
    error NotVoting(uint32 id, uint8 status);
    /// @notice The proposal did not pass, was executed, or lapsed.
    error NotPassed(uint32 id, uint8 status);
    /// @notice The proposal is locked until `earliest`.
    error TimeLocked(uint32 id, uint64 earliest);
    /// @notice The signature is not of the member's authority.
    error BadVoteSignature(uint32 member);
    /// @notice No parameter has this name.
    error UnknownParameter(bytes32 name);
    /// @notice The value is out of the parameter's bounds, or more members than there are.
    error ParameterOutOfRange(bytes32 name, uint64 value, uint64 least, uint64 most);
    /// @notice A fork begins in the future.
    error ForkInThePast(string name, uint64 activation);
    /// @notice A fork is activated once.
    error ForkKnown(string name);

    /// @notice Founds the network, once, before its first block: members with a city each, which are the hub's
    /// validators at first, and their offer. Parameters have their defaults.
    function found(Founding calldata founding) external {
        _found(founding);
    }

    /// @notice Founds the network with other parameters than the defaults.
    /// @param settings the parameters that differ, in the order of their names; each within its bounds
    function foundWith(Founding calldata founding, Setting[] calldata settings) external {
        _found(founding);
        bytes32 before = 0;
        for (uint256 i = 0; i < settings.length; ++i) {
            Setting calldata setting = settings[i];
            if (setting.name <= before) revert PayloadNotCanonical();
            before = setting.name;
            _checkParameter(setting.name, setting.value);
            _setParameter(setting.name, setting.value);
        }
    }

    /// @notice Brings in a proposal; voting for it is a step of its own.
    /// @param kind 1 AdmitMember(Card card, bytes proof), 2 SuspendMember(uint32), 3 RestoreMember(uint32),
    /// 4 RemoveMember(uint32), 5 RestoreAuthority(uint32 member, address authority), 6 SuspendCity(uint32),
    /// 7 RestoreCity(uint32), 8 RemoveCity(uint32), 9 SetParameter(bytes32 name, uint64 value),
    /// 10 ActivateFork(string name, uint64 activation)
    /// @param payload the ABI encoding of the kind's arguments
    /// @param reason what the proposer says about it
    function propose(
        uint8 kind,
        bytes calldata payload,
        string calldata reason
    ) external returns (uint32 id) {
        uint32 member = MEMBERS.activeIdOf(msg.sender);
        if (payload.length > MAX_PAYLOAD) revert TooMany(payload.length, MAX_PAYLOAD);
        if (bytes(reason).length > MAX_REASON) revert TooMany(bytes(reason).length, MAX_REASON);
        _countProposal(member);
        _check(kind, payload);
        id = ++_count;
        Row storage row = _rows[id];
        row.kind = kind;
        row.status = VOTING;
        row.proposer = member;
        row.created = uint64(block.timestamp);
        row.deadline = uint64(block.timestamp) + parameter("votingPeriod");
        row.payload = payload;
        row.reason = reason;
        emit Proposed(id, kind, member, row.deadline);
    }

    /// @notice The caller's member votes; it cannot take that back.
    function vote(uint32 id, bool support) external {
        _vote(id, MEMBERS.activeIdOf(msg.sender), support);
    }

    /// @notice Anybody brings in the vote of member `member`, whose authority signed it: a key, or a contract by
    /// EIP-1271. EIP-712 `Vote(uint32 proposal,bool support)` in the domain {Causeway, 1, chain id, this contract}.
    function voteBySignature(uint32 id, uint32 member, bool support, bytes calldata signature) external {
        uint8 status = MEMBERS.statusOf(member);
        if (status == 0) revert UnknownMember(member);
        if (status != ACTIVE) revert MemberNotActive(member, status);
        address authority = MEMBERS.member(member).authority;
        if (!Signatures.isBy(authority, voteDigest(id, support), signature)) {
            revert BadVoteSignature(member);
        }
        _vote(id, member, support);
    }

    /// @notice Does what a proposal says that passed, after its time lock. Anybody may.
    function execute(uint32 id) external {
        Row storage row = _row(id);
        _settle(id, row);
        uint8 status = _status(row);
        if (status != PASSED) revert NotPassed(id, status);
        if (block.timestamp < row.earliest) revert TimeLocked(id, row.earliest);
        row.status = EXECUTED;
        _check(row.kind, row.payload);
        _do(row.kind, row.payload);
        emit Executed(id);
    }

    /// @notice How many proposals there ever were: the greatest number.
    function count() external view returns (uint32) {
        return _count;
    }

    /// @notice Proposal `id`, with its votes as they count now, or counted when it was decided.
    function proposal(uint32 id) external view returns (Proposal memory found_) {
        Row storage row = _row(id);
        found_.id = id;
        found_.kind = row.kind;
        found_.payload = row.payload;
        found_.proposer = row.proposer;
        found_.reason = row.reason;
        found_.created = row.created;
        found_.deadline = row.deadline;
        found_.earliest = row.earliest;
        found_.latest = row.latest;
        found_.status = _status(row);
        if (row.status == VOTING) {
            Tally memory tally = _tally(id, row.kind);
            (found_.votesFor, found_.votesAgainst) = (tally.votesFor, tally.votesAgainst);
            (found_.electorate, found_.needed) = (tally.electorate, tally.needed);
        } else {
            (found_.votesFor, found_.votesAgainst) = (row.votesFor, row.votesAgainst);
            (found_.electorate, found_.needed) = (row.electorate, row.needed);
        }
    }

    /// @notice How a member voted: 0 not, 1 for, 2 against.
    function voteOf(uint32 id, uint32 member) external view returns (uint8) {
        _row(id);
        if ((_for[id][member >> 8] >> (member & 0xff)) & 1 == 1) return 1;
        return (_against[id][member >> 8] >> (member & 0xff)) & 1 == 1 ? 2 : 0;
    }

    /// @notice All parameters with their values and bounds.
    function parameters() external view returns (Parameter[] memory all) {
        all = new Parameter[](Parameters.COUNT);
        for (uint256 i = 0; i < all.length; ++i) {
            all[i] = Parameters.entry(i);
            all[i].value = _parameters[all[i].name];
        }
    }

    /// @notice All forks that were activated, in the order of the votes.
    function forks() external view returns (Fork[] memory) {
        return _forks;
    }

    /// @notice Reverts unless an application, or a fork, could have this name.
    function checkName(string calldata name) external pure {
        Words.checkApplicationName(name);
    }

    /// @notice keccak256(RLP [[address, 1], …]) of validators of equal power.
    /// @param placed words of their cities (`placedWord`), ascending
    function hashSet(uint256[] calldata placed) external pure returns (bytes32) {
        return Records.setHash(placed);
    }

    /// @notice The record of an application's chain, in the bytes that its cities agree on.
    function encodeRecord(Rules calldata rules) external pure returns (bytes memory) {
        return Records.encode(rules);
    }

    /// @notice What the payload of a proposal to admit a member says.
    function readAdmission(
        bytes calldata payload
    ) external pure returns (Card memory card, bytes memory proof) {
        return abi.decode(payload, (Card, bytes));
    }

    /// @notice What the payload of a proposal to activate a fork says.
    function readFork(bytes calldata payload) external pure returns (string memory name, uint64 activation) {
        return abi.decode(payload, (string, uint64));
    }

    /// @notice The value of a parameter; its name in ASCII, filled up with zero bytes. 0 if there is none.
    function parameter(bytes32 name) public view returns (uint64) {
        return _parameters[name];
    }

    /// @notice What the authority of a member signs to vote.
    function voteDigest(uint32 id, bool support) public view returns (bytes32) {
        bytes32 domain = keccak256(
            abi.encode(DOMAIN_TYPE, keccak256("Causeway"), keccak256("1"), block.chainid, address(this))
        );
        bytes32 message = keccak256(abi.encode(VOTE_TYPE, id, support));
        return keccak256(abi.encodePacked(hex"1901", domain, message));
    }

    function _found(Founding calldata founding) private {
        if (msg.sender != SYSTEM) revert NotAllowed(msg.sender);
        if (_founded) revert FoundedAlready();
        _founded = true;
        if (founding.networkId == 0) revert NoNetworkId();
        uint256 size = founding.cities.length;
        if (size == 0 || size > MAX_SERVING) revert FounderCount(size);
        for (uint256 i = 0; i < Parameters.COUNT; ++i) {
            Parameter memory initial = Parameters.entry(i);
            _parameters[initial.name] = initial.value;
        }
        uint32[] memory cities = new uint32[](size);
        for (uint256 i = 0; i < size; ++i) {
            FoundingCity calldata city = founding.cities[i];
            uint32 member = MEMBERS.admit(city.card.member, city.card.authority);
            // The network's id follows from these cards: none of them can name it.
            cities[i] = CITIES.admit(member, city.card, city.proof);
        }
        CITIES.found(founding.networkId, founding.offer);
        APPLICATIONS.found(founding.chainIdPrefix, founding.hubRecord, cities);
        VALIDATORS.found(cities);
        emit Founded(founding.networkId, founding.chainIdPrefix, uint32(size));
    }

    function _vote(uint32 id, uint32 member, bool support) private {
        Row storage row = _row(id);
        uint8 status = _status(row);
        if (status != VOTING) revert NotVoting(id, status);
        uint32 word = member >> 8;
        uint256 bit = 1 << (member & 0xff);
        if ((_for[id][word] | _against[id][word]) & bit != 0) revert VotedAlready(id, member);
        if (support) _for[id][word] |= bit;
        else _against[id][word] |= bit;
        emit Voted(id, member, support);
        _settle(id, row);
    }

    /// @dev Decides a proposal as soon as no further vote can change the outcome.
    function _settle(uint32 id, Row storage row) private {
        if (_status(row) != VOTING) return;
        Tally memory tally = _tally(id, row.kind);
        if (!tally.passed && !tally.lost) return;
        row.votesFor = tally.votesFor;
        row.votesAgainst = tally.votesAgainst;
        row.electorate = tally.electorate;
        row.needed = tally.needed;
        if (tally.lost) {
            row.status = REJECTED;
            emit Rejected(id);
            return;
        }
        row.status = PASSED;
        row.earliest = uint64(block.timestamp) + parameter("timeLock");
        row.latest = row.earliest + parameter("executionPeriod");
        emit Passed(id, row.earliest, row.latest);
    }

    /// @dev Does what was checked. The callees are the hub's own contracts and call nobody else.
    function _do(uint8 kind, bytes memory payload) private {
        if (kind == ADMIT_MEMBER) {
            (Card memory card, bytes memory proof) = abi.decode(payload, (Card, bytes));
            CITIES.admit(MEMBERS.admit(card.member, card.authority), card, proof);
        } else if (kind == SUSPEND_MEMBER) _setMember(payload, SUSPENDED);
        else if (kind == RESTORE_MEMBER) _setMember(payload, ACTIVE);
        else if (kind == REMOVE_MEMBER) _setMember(payload, REMOVED);
        else if (kind == RESTORE_AUTHORITY) {
            (uint32 member, address authority) = abi.decode(payload, (uint32, address));
            MEMBERS.restoreAuthority(member, authority);
        } else if (kind == SUSPEND_CITY) CITIES.setStatus(abi.decode(payload, (uint32)), SUSPENDED);
        else if (kind == RESTORE_CITY) CITIES.setStatus(abi.decode(payload, (uint32)), ACTIVE);
        else if (kind == REMOVE_CITY) CITIES.setStatus(abi.decode(payload, (uint32)), REMOVED);
        else if (kind == SET_PARAMETER) {
            (bytes32 name, uint64 value) = abi.decode(payload, (bytes32, uint64));
            _setParameter(name, value);
        } else {
            (string memory name, uint64 activation) = abi.decode(payload, (string, uint64));
            _forks.push(Fork({name: name, activation: activation}));
            _isFork[keccak256(bytes(name))] = true;
            emit ForkActivated(name, activation);
        }
    }

    function _setParameter(bytes32 name, uint64 value) private {
        _parameters[name] = value;
        emit ParameterSet(name, value);
    }

    function _setMember(bytes memory payload, uint8 status) private {
        uint32 member = abi.decode(payload, (uint32));
        MEMBERS.setStatus(member, status);
        CITIES.memberChanged(member, status);
    }

    function _countProposal(uint32 member) private {
        Day storage day = _days[member];
        uint64 today = uint64(block.timestamp / 1 days);
        uint64 brought = day.number == today ? day.count : 0;
        uint64 most = parameter("proposalsPerDay");
        if (brought >= most) revert ProposalLimit(member, most);
        (day.number, day.count) = (today, brought + 1);
    }

    /// @dev Reverts unless a proposal could be executed now, with what is in the way.
    function _check(uint8 kind, bytes memory payload) private view {
        if (kind == ADMIT_MEMBER) {
            _checkReadable(abi.encodeCall(this.readAdmission, (payload)));
            (Card memory card, bytes memory proof) = abi.decode(payload, (Card, bytes));
            _checkCanonical(payload, abi.encode(card, proof));
            MEMBERS.checkAdmission(card.member, card.authority);
            CITIES.checkCard(card, proof);
        } else if (kind >= SUSPEND_MEMBER && kind <= REMOVE_MEMBER) _checkMember(kind, payload);
        else if (kind == RESTORE_AUTHORITY) {
            (uint256 member, uint256 authority) = _pair(payload);
            if (member > type(uint32).max || authority > type(uint160).max) revert PayloadNotCanonical();
            MEMBERS.checkAuthority(uint32(member), address(uint160(authority)));
        } else if (kind >= SUSPEND_CITY && kind <= REMOVE_CITY) _checkCity(kind, payload);
        else if (kind == SET_PARAMETER) {
            (uint256 name, uint256 value) = _pair(payload);
            if (value > type(uint64).max) revert PayloadNotCanonical();
            _checkParameter(bytes32(name), uint64(value));
        } else if (kind == ACTIVATE_FORK) _checkFork(payload);
        else revert UnknownKind(kind);
    }

    function _checkMember(uint8 kind, bytes memory payload) private view {
        uint32 member = _number(payload);
        if (kind == RESTORE_MEMBER) return MEMBERS.checkStatus(member, ACTIVE);
        MEMBERS.checkStatus(member, kind == SUSPEND_MEMBER ? SUSPENDED : REMOVED);
        VALIDATORS.checkHub(member, 0);
    }

    function _checkCity(uint8 kind, bytes memory payload) private view {
        uint32 city = _number(payload);
        if (kind == RESTORE_CITY) return CITIES.checkStatus(city, ACTIVE);
        CITIES.checkStatus(city, kind == SUSPEND_CITY ? SUSPENDED : REMOVED);
        VALIDATORS.checkHub(0, city);
    }

    function _checkParameter(bytes32 name, uint64 value) private view {
        for (uint256 i = 0; i < Parameters.COUNT; ++i) {
            Parameter memory known = Parameters.entry(i);
            if (known.name != name) continue;
            // So that the number in force is always one that the network had.
            if (name == "minimumMembers") known.most = MEMBERS.activeCount();
            if (value < known.least || value > known.most) {
                revert ParameterOutOfRange(name, value, known.least, known.most);
            }
            return;
        }
        revert UnknownParameter(name);
    }

    function _checkFork(bytes memory payload) private view {
        _checkReadable(abi.encodeCall(this.readFork, (payload)));
        (string memory name, uint64 activation) = abi.decode(payload, (string, uint64));
        _checkCanonical(payload, abi.encode(name, activation));
        if (_forks.length >= MAX_FORKS) revert TooMany(_forks.length + 1, MAX_FORKS);
        Words.checkApplicationName(name);
        if (_isFork[keccak256(bytes(name))]) revert ForkKnown(name);
        if (activation <= block.timestamp) revert ForkInThePast(name, activation);
    }

    /// @dev Reverts unless one of this contract's readers takes a payload: a decoder's own refusal has no words.
    function _checkReadable(bytes memory question) private view {
        (bool readable, ) = address(this).staticcall(question);
        if (!readable) revert PayloadNotCanonical();
    }

    /// @dev Votes of members that are in force. What cannot be undone, or gives power over a member or the rules,
    /// is measured against suspended members too: suspending some does not make it easier.
    function _tally(uint32 id, uint8 kind) private view returns (Tally memory tally) {
        bool grave =
            kind == REMOVE_MEMBER ||
                kind == RESTORE_AUTHORITY ||
                kind == REMOVE_CITY ||
                kind == SET_PARAMETER;
        uint32 words = (MEMBERS.count() >> 8) + 1;
        for (uint32 word = 0; word < words; ++word) {
            uint256 bits = MEMBERS.activeBits(word);
            tally.votesFor += _ones(_for[id][word] & bits);
            tally.votesAgainst += _ones(_against[id][word] & bits);
            tally.electorate += _ones(grave ? MEMBERS.presentBits(word) : bits);
        }
        uint64 threshold = parameter(grave ? bytes32("removalThreshold") : bytes32("threshold"));
        uint256 size = tally.electorate;
        tally.needed = uint32((size * threshold) / 1000 + 1);
        uint256 cast = uint256(tally.votesFor) + tally.votesAgainst;
        bool enough = cast * 1000 >= size * parameter("quorum");
        tally.passed = enough && tally.votesFor >= tally.needed;
        // Those that are not against are not enough.
        tally.lost = size - tally.votesAgainst < tally.needed;
    }

    /// @dev As it stands now: time alone ends a vote and lets what passed lapse.
    function _status(Row storage row) private view returns (uint8) {
        if (row.status == VOTING && block.timestamp > row.deadline) return EXPIRED;
        if (row.status == PASSED && block.timestamp > row.latest) return EXPIRED;
        return row.status;
    }

    function _row(uint32 id) private view returns (Row storage row) {
        row = _rows[id];
        if (row.status == 0) revert UnknownProposal(id);
    }

    function _checkCanonical(bytes memory payload, bytes memory encoded) private pure {
        if (keccak256(payload) != keccak256(encoded)) revert PayloadNotCanonical();
    }

    /// @dev The one number of a payload.
    function _number(bytes memory payload) private pure returns (uint32) {
        uint256 word = payload.length == 32 ? uint256(bytes32(payload)) : type(uint256).max;
        if (word > type(uint32).max) revert PayloadNotCanonical();
        return uint32(word);
    }

    /// @dev The two words of a payload.
    function _pair(bytes memory payload) private pure returns (uint256, uint256) {
        if (payload.length != 64) revert PayloadNotCanonical();
        return abi.decode(payload, (uint256, uint256));
    }

    /// @dev How many bits are one; 31 members are as many steps.
    function _ones(uint256 bits) private pure returns (uint32 count_) {
        for (; bits != 0; bits &= bits - 1) ++count_;
    }
}
