// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {MAX_PAGE, CITIES, GOVERNANCE} from "./Hub.sol";
import {Capacity, IApplications, sort} from "./Hub.sol";
import {UnknownApplication, TooMany} from "./Hub.sol";
import {Places} from "./Places.sol";

/// @title What is kept of applications, and where they are placed
/// @notice The registry of chains: all of its state, and the lists that say what is on a city. What may be done with
/// it is in the contracts that are built upon this one, `Changes` and `Applications`.
/// @dev Set and record hash of chain n lie in the slots keccak256(n ‖ 0) and keccak256(n ‖ 1), for storage proofs:
/// nothing comes before them.
abstract contract Placements is IApplications {
    /// @dev One application: three words, its name and its cities, in the order of their node keys.
    struct Row {
        address owner;
        uint32 createdFor;
        uint8 status;
        /// One institution may hold f + 1 cities or more.
        bool allowConcentration;
        uint64 gasLimit;
        uint64 gasPerSecond;
        uint64 bytesStored;
        uint64 minimumIntervalMs;
        uint32 blocksPerSecond;
        uint64 createdBlock;
        uint64 createdAt;
        uint64 closedAt;
        uint8 feeRule;
        uint8 admission;
        uint8 readers;
        string name;
        List cities;
    }

    /// @dev Words of `Places`.
    struct List {
        uint32[] words;
    }

    /// @dev A change that is not over. The places of `joining` are kept up in stage 1, those of `leaving` in stage 2:
    /// what the application has elsewhere is among its cities.
    struct Pending {
        uint8 stage;
        uint64 since;
        /// Bit i: `joining[i]` holds the chain. There are at most 100.
        uint128 ready;
        /// What the owner allows of the new set.
        bool allowConcentration;
        /// A city gets a new key, and the owner did not ask for it.
        bool isRotation;
        List leaving;
        List joining;
    }

    /// @dev The last handover that was shown.
    struct Shown {
        uint64 height;
        bytes32 blockHash;
    }

    uint8 internal constant CHANGING = 2;
    uint8 internal constant SUSPENDED_CHAIN = 3;
    uint8 internal constant CLOSED = 4;
    /// @dev Stages of a change.
    uint8 internal constant TAKING_IN = 1;
    uint8 internal constant NAMED = 2;

    /// @notice keccak256(RLP [[address, power], …]) of a chain's validators.
    mapping(uint64 n => bytes32 hash) public setHashOf;
    /// @notice keccak256 of a chain's record.
    mapping(uint64 n => bytes32 hash) public recordHashOf;
    mapping(uint64 n => Row row) internal _rows;
    mapping(bytes32 nameHash => uint64 n) internal _byName;
    mapping(uint32 city => uint64[] ns) internal _placedOn;
    uint64 internal _count;
    /// @notice Chain ids of this network are this × 2²¹ + n.
    uint64 public chainIdPrefix;
    bytes internal _hubRecord;
    mapping(uint64 n => Pending pending) internal _pending;
    /// @dev The cities with which a chain began; empty until its first change is named.
    mapping(uint64 n => List cities) internal _first;
    mapping(uint64 n => Shown shown) internal _shown;

    /// @notice The city is to host it.
    event Placed(uint64 indexed n, uint32 indexed city);
    /// @notice The city is not to host it any more.
    event Left(uint64 indexed n, uint32 indexed city);
    /// @notice The time for which a city keeps a closed application's data is over.
    event Forgotten(uint64 indexed n, uint32 indexed city);

    /// @notice Nothing at this place can be forgotten before `from`; 0: it is not closed.
    error NotYet(uint64 n, uint64 from);
    /// @notice Nothing lies at this place of the city's list.
    error NothingThere(uint32 city, uint64 index);
    /// @notice The caller does not own the application.
    error NotTheOwner(uint64 n, address caller);
    /// @notice From its present status an application cannot get to this one.
    error WrongApplicationStatus(uint64 n, uint8 present, uint8 wanted);

    /// @notice Takes a closed application, whose data need not be kept any more, from a city's list. Anybody may.
    /// @param index its place in the list; the last one takes it over
    function forget(uint32 city, uint64 index) external {
        uint64[] storage list = _placedOn[city];
        if (index >= list.length) revert NothingThere(city, index);
        uint64 n = list[index];
        Row storage row = _rows[n];
        if (row.status != CLOSED) revert NotYet(n, 0);
        uint64 from = row.closedAt + GOVERNANCE.parameter("closedDataKept");
        if (block.timestamp < from) revert NotYet(n, from);
        _drop(city, index);
        emit Forgotten(n, city);
    }

    /// @notice Numbers of the applications on a city, closed ones that are not forgotten too: those at the places
    /// `from`, `from` + 1, …, at most `limit` and 256 of them. Their order changes when one is forgotten.
    function placedOn(uint32 city, uint64 from, uint64 limit) external view returns (uint64[] memory page) {
        uint64[] storage list = _placedOn[city];
        uint256 length = from < list.length ? list.length - from : 0;
        if (length > limit) length = limit;
        if (length > MAX_PAGE) length = MAX_PAGE;
        page = new uint64[](length);
        for (uint256 i = 0; i < length; ++i) page[i] = list[from + i];
    }

    /// @notice Length of that list.
    function placedCount(uint32 city) external view returns (uint64) {
        return uint64(_placedOn[city].length);
    }

    /// @notice The chain id of application `n`.
    function chainIdOf(uint64 n) public view returns (uint64) {
        return (chainIdPrefix << 21) + n;
    }

    /// @dev Enters an application into the lists of cities.
    /// @return words their words for it
    function _place(uint64 n, uint256[] memory placed) internal returns (uint32[] memory words) {
        words = new uint32[](placed.length);
        for (uint256 i = 0; i < words.length; ++i) {
            uint32 city = uint32(placed[i]);
            uint64[] storage list = _placedOn[city];
            words[i] = Places.pack(city, list.length);
            list.push(n);
            emit Placed(n, city);
        }
    }

    /// @dev Takes what is at a place from a city's list; the last one takes it over.
    function _drop(uint32 city, uint256 place) internal {
        uint64[] storage list = _placedOn[city];
        uint256 last = list.length - 1;
        if (place != last) {
            uint64 n = list[last];
            list[place] = n;
            Row storage row = _rows[n];
            // A closed one is forgotten by its place, and has no other use of it.
            if (row.status != CLOSED && !_move(row.cities, city, place)) {
                _move(_apart(_pending[n]), city, place);
            }
        }
        list.pop();
    }

    /// @dev Writes another place into the city's word, if there is one.
    function _move(List storage list, uint32 city, uint256 place) internal returns (bool) {
        uint32[] memory words = _read(list);
        uint256 index = Places.find(words, city);
        if (index == words.length) return false;
        list.words[index] = Places.pack(city, place);
        return true;
    }

    /// @dev What the hub names for an application from now on.
    /// @param placed as `_sorted` gives them
    function _setCities(uint64 n, Row storage row, uint256[] memory placed) internal {
        uint32[] memory words = new uint32[](placed.length);
        for (uint256 i = 0; i < words.length; ++i) words[i] = uint32(placed[i]);
        _write(row.cities, words);
        setHashOf[n] = GOVERNANCE.hashSet(placed);
    }

    /// @dev Forgets a change; what stood apart.
    function _end(uint64 n) internal returns (uint32[] memory words) {
        words = _read(_apart(_pending[n]));
        delete _pending[n];
    }

    function _release(Row storage row, uint32[] memory words) internal {
        CITIES.release(Places.citiesOf(words), _taken(row));
    }

    function _write(List storage list, uint32[] memory words) internal {
        list.words = words;
    }

    /// @dev The cities on which an application is placed that are not among its cities: those that are to join, or have
    /// still to be left. Without a change there are none.
    function _apart(Pending storage pending) internal view returns (List storage) {
        return pending.stage == TAKING_IN ? pending.joining : pending.leaving;
    }

    function _read(List storage list) internal view returns (uint32[] memory) {
        return list.words;
    }

    /// @dev Words as `Cities` gives them, with those of `Places` for the numbers; ascending.
    function _sorted(uint32[] memory words) internal view returns (uint256[] memory placed) {
        placed = CITIES.words(Places.citiesOf(words));
        for (uint256 i = 0; i < words.length; ++i) {
            placed[i] = ((placed[i] >> 32) << 32) | words[i];
        }
        sort(placed);
    }

    function _taken(Row storage row) internal view returns (Capacity memory) {
        return
            Capacity({
                gasPerSecond: row.gasPerSecond,
                bytesStored: row.bytesStored,
                chains: 1,
                blocksPerSecond: row.blocksPerSecond
            });
    }

    function _row(uint64 n) internal view returns (Row storage row) {
        row = _rows[n];
        if (row.status == 0) revert UnknownApplication(n);
    }

    function _checkLength(uint256 length, uint256 most) internal pure {
        if (length > most) revert TooMany(length, most);
    }
}
