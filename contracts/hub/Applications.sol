// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, CITIES, GOVERNANCE, MEMBERS, VALIDATORS} from "./Hub.sol";
import {Application, Capacity, Rules, Specification, NotAllowed} from "./Hub.sol";
import {Changes} from "./Changes.sol";
import {Places} from "./Places.sol";

/// @title Which chains there are, and where
/// @notice One transaction places an application: it checks the cities' standing offers, takes capacity, gives out
/// the chain id and names record and validators. No human is asked: what a city will not host it says in its offer.
/// @dev Numbers are given from 1 and never again; 0 is the hub itself. Its state and the lists of cities are in
/// `Placements`, how cities change is in `Changes`; what needs no state of its own is asked of the other contracts,
/// whose code has room. Installed at 0x…ca02, without a constructor.
contract Applications is Changes {
    /// @dev Chains of one network: chain ids have 21 bits for them.
    uint64 private constant MAX_N = (1 << 21) - 1;
    /// @dev The greatest prefix keeps chain ids at what wallets can hold, 4,503,599,627,370,476.
    uint64 private constant LEAST_PREFIX = 1 << 11;
    uint64 private constant MOST_PREFIX = (1 << 31) - 2;
    uint64 private constant DEFAULT_GAS_LIMIT = 60_000_000;
    /// @dev A block has to hold some transfers; and a bound on what a city executes at once.
    uint64 private constant LEAST_GAS_LIMIT = 1_000_000;
    uint64 private constant MOST_GAS_LIMIT = 1_000_000_000;
    uint64 private constant MOST_INTERVAL_MS = 3_600_000;
    /// @dev A block's time grows by a millisecond at least.
    uint32 private constant MOST_BLOCKS_PER_SECOND = 1_000;
    /// @dev The hub's record is one of the same encoding, with some forks at most.
    uint256 private constant MOST_RECORD = 4_096;

    /// @notice An application has its place.
    event Created(uint64 indexed n, uint64 chainId, address indexed owner, string name);
    /// @notice It was suspended (3), resumed (1) or closed (4).
    event ApplicationStatus(uint64 indexed n, uint8 status);
    /// @notice Somebody else owns it.
    event OwnerChanged(uint64 indexed n, address indexed owner);
    /// @notice Other cities are the hub's validators from the next block on: their node keys, ascending. The hub's cities read
    /// it here when they make that block.
    event HubValidators(address[] validators);

    /// @notice Another application has the name, or had it until a short time ago.
    error ApplicationNameTaken(string name, uint64 n);
    /// @notice An application needs an owner.
    error NoOwner();
    /// @notice A number out of its bounds: field 0 gas limit, 1 gas a second, 2 bytes, 3 blocks a second, 4 fee rule,
    /// 5 admission, 6 readers, 7 minimum interval, 8 chain id prefix.
    error OutOfRange(uint8 field, uint256 value);
    /// @notice All chain ids of the network are given out.
    error ChainIdsExhausted();

    /// @notice Places an application.
    /// @dev A specification is copied to memory: reading its fields there takes less code than checking each in calldata.
    /// @return n its number
    function create(Specification memory specification) external returns (uint64 n) {
        uint32 member = MEMBERS.countCreation(msg.sender);
        _check(specification);
        n = ++_count;
        _byName[keccak256(bytes(specification.name))] = n;
        Row storage row = _rows[n];
        row.createdFor = member;
        _write(row, specification);

        uint256[] memory placed = CITIES.take(member, specification.cities, _wanted(specification));
        MEMBERS.checkInstitutions(placed, specification.allowConcentration);
        _write(row.cities, _place(n, placed));
        setHashOf[n] = GOVERNANCE.hashSet(placed);
        recordHashOf[n] = keccak256(GOVERNANCE.encodeRecord(_rules(n, row)));
        emit Created(n, chainIdOf(n), specification.owner, specification.name);
    }

    /// @notice Gives an application of the caller's to somebody else.
    function setOwner(uint64 n, address owner) external {
        Row storage row = _ownRow(n, 0, CLOSED);
        if (owner == address(0)) revert NoOwner();
        row.owner = owner;
        emit OwnerChanged(n, owner);
    }

    /// @notice Has the cities stop an application of the caller's. What it takes of them it keeps.
    function suspend(uint64 n) external {
        _setStatus(n, ACTIVE, SUSPENDED_CHAIN);
    }

    /// @notice Has the cities go on with an application of the caller's.
    function resume(uint64 n) external {
        _setStatus(n, SUSPENDED_CHAIN, ACTIVE);
    }

    /// @notice Ends an application of the caller's for ever, with a change that is not over, and gives its capacity
    /// back. Cities keep its data for the parameter `closedDataKept`; its name may be given again after `nameRest`.
    function close(uint64 n) external {
        Row storage row = _setStatus(n, 0, CLOSED);
        row.closedAt = uint64(block.timestamp);
        uint32[] memory apart = _end(n);
        _release(row, Places.join(_read(row.cities), apart));
    }

    /// @notice Once, by `Governance`: the hub's own chain.
    function found(uint64 prefix, bytes calldata hubRecord, uint32[] calldata cities) external {
        if (msg.sender != address(GOVERNANCE)) revert NotAllowed(msg.sender);
        _checkRange(8, prefix, LEAST_PREFIX, MOST_PREFIX);
        _checkLength(hubRecord.length, MOST_RECORD);
        chainIdPrefix = prefix;
        _hubRecord = hubRecord;
        Row storage row = _rows[0];
        row.owner = msg.sender;
        row.status = ACTIVE;
        row.createdBlock = uint64(block.number);
        row.createdAt = uint64(block.timestamp);
        row.name = "hub";
        _setHub(row, cities);
        recordHashOf[0] = keccak256(hubRecord);
    }

    /// @notice By `Validators`: other cities are the hub's. Its own next block's header names them.
    function setHub(uint32[] calldata cities) external {
        if (msg.sender != address(VALIDATORS)) revert NotAllowed(msg.sender);
        Row storage row = _rows[0];
        if (_first[0].words.length == 0) _write(_first[0], _read(row.cities));
        uint256[] memory placed = _setHub(row, cities);
        address[] memory validators = new address[](placed.length);
        for (uint256 i = 0; i < placed.length; ++i) validators[i] = address(uint160(placed[i] >> 64));
        emit HubValidators(validators);
    }

    /// @notice The greatest number of an application.
    function count() external view returns (uint64) {
        return _count;
    }

    /// @notice Application `n`; 0 is the hub, whose owner is `Governance`.
    function application(uint64 n) external view returns (Application memory found_) {
        Row storage row = _row(n);
        found_.n = n;
        found_.chainId = chainIdOf(n);
        found_.name = row.name;
        found_.owner = row.owner;
        found_.member = MEMBERS.idOf(row.owner);
        found_.status = row.status;
        found_.createdBlock = row.createdBlock;
        found_.cities = Places.citiesOf(_read(row.cities));
        (found_.validators, found_.powers) = _set(found_.cities);
        found_.record = _record(n, row);
        found_.setHash = setHashOf[n];
        found_.recordHash = recordHashOf[n];
        if (n != 0) found_.taken = _taken(row);
    }

    /// @notice Set and record with which the chain of application `n` began.
    function genesisOf(
        uint64 n
    ) external view returns (address[] memory validators, uint64[] memory powers, bytes memory record) {
        Row storage row = _row(n);
        uint32[] memory words = _read(_first[n].words.length == 0 ? row.cities : _first[n]);
        (validators, powers) = _set(Places.citiesOf(words));
        record = _record(n, row);
    }

    /// @notice Times of application `n`, in Unix seconds, and the member on whose account it was created.
    /// @return createdAt when it was created
    /// @return closedAt when it was closed; 0: it was not
    /// @return createdFor the member; 0 for the hub
    function history(uint64 n) external view returns (uint64 createdAt, uint64 closedAt, uint32 createdFor) {
        Row storage row = _row(n);
        return (row.createdAt, row.closedAt, row.createdFor);
    }

    /// @notice The application that has a name, or had it last; 0: none.
    function byName(string calldata name) external view returns (uint64) {
        return _byName[keccak256(bytes(name))];
    }

    /// @notice What `create` would do for the caller now; reverts with the same errors.
    /// @return price units of account a month
    /// @return cities how many host it
    /// @return institutions how many run these
    /// @return citiesMayFail any so many cities may fail and the chain goes on
    /// @return institutionsMayFail the same for institutions
    function quote(
        Specification memory specification
    )
        external
        view
        returns (
            uint256 price,
            uint32 cities,
            uint32 institutions,
            uint32 citiesMayFail,
            uint32 institutionsMayFail
        )
    {
        uint32 member = MEMBERS.creatorOf(msg.sender);
        _check(specification);
        uint256[] memory placed;
        (placed, price) = CITIES.look(member, specification.cities, _wanted(specification));
        (institutions, institutionsMayFail) = MEMBERS.checkInstitutions(
            placed,
            specification.allowConcentration
        );
        cities = uint32(placed.length);
        citiesMayFail = (cities - 1) / 3;
    }

    /// @dev The hub is in no city's list.
    function _setHub(Row storage row, uint32[] calldata cities) private returns (uint256[] memory placed) {
        uint32[] memory words = new uint32[](cities.length);
        for (uint256 i = 0; i < words.length; ++i) words[i] = Places.pack(cities[i], 0);
        placed = _sorted(words);
        _setCities(0, row, placed);
    }

    function _write(Row storage row, Specification memory specification) private {
        row.owner = specification.owner;
        row.status = ACTIVE;
        row.allowConcentration = specification.allowConcentration;
        row.gasLimit = specification.gasLimit == 0 ? DEFAULT_GAS_LIMIT : specification.gasLimit;
        row.gasPerSecond = specification.gasPerSecond;
        row.bytesStored = specification.bytesStored;
        row.minimumIntervalMs = specification.minimumIntervalMs;
        row.blocksPerSecond = specification.blocksPerSecond;
        row.createdBlock = uint64(block.number);
        row.createdAt = uint64(block.timestamp);
        row.feeRule = specification.feeRule;
        row.admission = specification.admission;
        row.readers = specification.readers;
        row.name = specification.name;
    }

    /// @dev Has an application of the caller's get from one status to another, as `_ownRow` says it.
    function _setStatus(uint64 n, uint8 from, uint8 status) private returns (Row storage row) {
        row = _ownRow(n, from, status);
        row.status = status;
        emit ApplicationStatus(n, status);
    }

    /// @dev Node keys of cities, which are of equal power.
    function _set(
        uint32[] memory cities
    ) private view returns (address[] memory validators, uint64[] memory powers) {
        validators = CITIES.nodes(cities);
        powers = new uint64[](validators.length);
        for (uint256 i = 0; i < powers.length; ++i) powers[i] = 1;
    }

    function _record(uint64 n, Row storage row) private view returns (bytes memory) {
        return n == 0 ? _hubRecord : GOVERNANCE.encodeRecord(_rules(n, row));
    }

    /// @dev Reverts unless there is room for one more application, and all of this one but its cities is sound.
    function _check(Specification memory specification) private view {
        if (_count >= MAX_N) revert ChainIdsExhausted();
        GOVERNANCE.checkName(specification.name);
        uint64 holder = _byName[keccak256(bytes(specification.name))];
        if (holder != 0) {
            Row storage row = _rows[holder];
            bool rested =
                row.status == CLOSED && block.timestamp >= row.closedAt + GOVERNANCE.parameter("nameRest");
            if (!rested) revert ApplicationNameTaken(specification.name, holder);
        }
        if (specification.owner == address(0)) revert NoOwner();
        uint64 limit = specification.gasLimit;
        if (limit != 0) _checkRange(0, limit, LEAST_GAS_LIMIT, MOST_GAS_LIMIT);
        _checkRange(1, specification.gasPerSecond, 1, type(uint64).max);
        _checkRange(2, specification.bytesStored, 1, type(uint64).max);
        _checkRange(3, specification.blocksPerSecond, 1, MOST_BLOCKS_PER_SECOND);
        _checkRange(4, specification.feeRule, 0, 1);
        // 1 is a list of senders, which needs a root.
        _checkRange(5, specification.admission, specification.admission == 0 ? 0 : 2, 2);
        _checkRange(6, specification.readers, 0, 1);
        _checkRange(7, specification.minimumIntervalMs, 0, MOST_INTERVAL_MS);
    }

    function _checkRange(uint8 field, uint256 value, uint256 least, uint256 most) private pure {
        if (value < least || value > most) revert OutOfRange(field, value);
    }

    function _wanted(Specification memory specification) private pure returns (Capacity memory) {
        return
            Capacity({
                gasPerSecond: specification.gasPerSecond,
                bytesStored: specification.bytesStored,
                chains: 1,
                blocksPerSecond: specification.blocksPerSecond
            });
    }

    function _rules(uint64 n, Row storage row) private view returns (Rules memory) {
        return
            Rules({
                chainId: chainIdOf(n),
                genesisMs: row.createdAt * 1000,
                gasLimit: row.gasLimit,
                feeRule: row.feeRule,
                admission: row.admission,
                readers: row.readers,
                minimumIntervalMs: row.minimumIntervalMs
            });
    }
}
