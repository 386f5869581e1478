// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, REMOVED, MAX_PAGE, MAX_PLACED, MAX_SHOWN, CITIES, MEMBERS} from "./Hub.sol";
import {Change, Handover, Safety} from "./Hub.sol";
import {NotAllowed, NotProven, UnknownCity} from "./Hub.sol";
import {Placements} from "./Placements.sol";
import {Places} from "./Places.sol";

/// @title How the cities of an application change
/// @notice In two stages: those that join take in the chain; then the hub names the new set, and the chain's own
/// handover block, certified by the cities before, is shown here.
abstract contract Changes is Placements {
    /// @notice A change of its cities is in stage 1 or 2, or was called off (0).
    event Changing(uint64 indexed n, uint8 stage);
    /// @notice A joining city holds the chain.
    event Ready(uint64 indexed n, uint32 indexed city);
    /// @notice The chain went over to its new cities with this block.
    event HandedOver(uint64 indexed n, uint64 height, bytes32 blockHash);
    /// @notice A removed city left, and one institution's failure stops the chain from now on, which the owner did not
    /// allow.
    event Unsafe(uint64 indexed n);

    /// @notice A change in which nobody leaves or joins.
    error NothingChanges(uint64 n);
    /// @notice So many may leave at once, of cities of which more than two thirds go on: f, and one in any case.
    error TooManyLeave(uint64 n, uint256 leaving, uint256 most);
    /// @notice A city that is not among the application's, or is named twice, cannot leave.
    error NotPlaced(uint64 n, uint32 city);
    /// @notice A city that is among the application's cannot join.
    error PlacedAlready(uint64 n, uint32 city);
    /// @notice No city would be left.
    error NoCityLeft(uint64 n);
    /// @notice The new set is named, and stays.
    error TooLateToCancel(uint64 n);
    /// @notice Only a removed city is expelled.
    error CityNotRemoved(uint32 city, uint8 status);

    /// @notice Has the cities of an application of the caller's change. Those that join give capacity now, those that
    /// leave have it back when the handover is shown. If nobody joins, the new set is named at once.
    /// @param allowConcentration as when it was created
    function change(
        uint64 n,
        uint32[] memory leaving,
        uint32[] memory joining,
        bool allowConcentration
    ) external {
        Row storage row = _ownRow(n, ACTIVE, CHANGING);
        uint32[] memory rest = _read(row.cities);
        _checkSizes(n, rest.length, leaving.length, joining.length);
        for (uint256 i = 0; i < joining.length; ++i) {
            if (Places.find(rest, joining[i]) < rest.length) revert PlacedAlready(n, joining[i]);
        }
        uint32[] memory gone = new uint32[](leaving.length);
        for (uint256 i = 0; i < leaving.length; ++i) {
            bool found_;
            (found_, gone[i]) = Places.pick(rest, leaving[i]);
            if (!found_) revert NotPlaced(n, leaving[i]);
        }
        row.status = CHANGING;
        Pending storage pending = _pending[n];
        pending.allowConcentration = allowConcentration;
        _write(pending.leaving, gone);
        if (joining.length > 0) rest = Places.join(rest, _join(n, row, row.createdFor, joining));
        MEMBERS.checkInstitutions(_sorted(rest), allowConcentration);
        if (joining.length > 0) _setStage(n, pending, TAKING_IN);
        else _name(n, row, pending);
    }

    /// @notice Calls off a change of an application of the caller's whose new set is not named yet.
    function cancelChange(uint64 n) external {
        Row storage row = _ownRow(n, CHANGING, ACTIVE);
        if (_pending[n].stage != TAKING_IN) revert TooLateToCancel(n);
        _cancel(n, row);
    }

    /// @notice The caller, a city's node key, says that the city holds these chains, which it joins. With the last one
    /// of a chain that says so the new set is named. What is said already, or not asked, is passed over.
    function ready(uint64[] calldata ns) external {
        uint32 city = CITIES.idOf(msg.sender);
        if (city == 0) revert NotAllowed(msg.sender);
        _checkLength(ns.length, MAX_PAGE);
        for (uint256 i = 0; i < ns.length; ++i) {
            Pending storage pending = _pending[ns[i]];
            if (pending.stage != TAKING_IN) continue;
            uint32[] memory joining = _read(pending.joining);
            uint256 index = Places.find(joining, city);
            uint256 bits = pending.ready | (1 << index);
            if (index == joining.length || bits == pending.ready) continue;
            pending.ready = uint128(bits);
            emit Ready(ns[i], city);
            if (bits == (1 << joining.length) - 1) _name(ns[i], _rows[ns[i]], pending);
        }
    }

    /// @notice Has a removed city leave these applications; the new set is named at once, and a change whose set is
    /// not named yet is called off. Anybody may. What does not run, or would have no city left, is passed over. The
    /// city leaves even where one institution then holds more than its owner allowed: that is shown.
    function expel(uint32 city, uint64[] calldata ns) external {
        uint8 status = CITIES.statusOf(city);
        if (status != REMOVED) revert CityNotRemoved(city, status);
        _checkLength(ns.length, MAX_PAGE);
        for (uint256 i = 0; i < ns.length; ++i) {
            uint64 n = ns[i];
            Row storage row = _rows[n];
            Pending storage pending = _pending[n];
            bool changing = row.status == CHANGING && pending.stage == TAKING_IN;
            // The hub's own set does not change here.
            if (n == 0 || (row.status != ACTIVE && !changing)) continue;
            uint32[] memory words = _read(row.cities);
            if (words.length == 1 || Places.find(words, city) == words.length) continue;
            if (changing) _cancel(n, row);
            _leave(row, pending, city);
            uint256[] memory placed = _name(n, row, pending);
            (, uint32 mayFail) = MEMBERS.checkInstitutions(placed, true);
            if (mayFail == 0 && !row.allowConcentration) emit Unsafe(n);
        }
    }

    /// @notice Has a city that goes on under a new key leave these applications, and the city that it goes on as join
    /// them: the same member's at the same place, so that no owner is asked. Anybody may. What does not run, changes
    /// already, or has both, is passed over.
    function rotate(uint32 city, uint64[] calldata ns) external {
        uint32[] memory joining = new uint32[](1);
        joining[0] = CITIES.successorOf(city);
        if (joining[0] == 0) revert UnknownCity(0);
        _checkLength(ns.length, MAX_PAGE);
        for (uint256 i = 0; i < ns.length; ++i) {
            uint64 n = ns[i];
            Row storage row = _rows[n];
            if (n == 0 || row.status != ACTIVE) continue;
            uint32[] memory words = _read(row.cities);
            if (Places.find(words, city) == words.length || Places.find(words, joining[0]) < words.length) {
                continue;
            }
            Pending storage pending = _pending[n];
            pending.isRotation = true;
            _leave(row, pending, city);
            // What is placed on the city stays, whomever it offers itself to by now.
            _join(n, row, 0, joining);
            _setStage(n, pending, TAKING_IN);
        }
    }

    /// @notice Shows handover blocks of chains whose new set is named: each must name that set and the record in its
    /// header, be above the last one shown, and be certified by more than two thirds of the cities before. Anybody may.
    /// What is not to be shown is passed over.
    function show(Handover[] calldata handovers) external {
        _checkLength(handovers.length, MAX_SHOWN);
        for (uint256 i = 0; i < handovers.length; ++i) {
            if (_pending[handovers[i].n].stage == NAMED) _show(handovers[i]);
        }
    }

    /// @notice The change of application `n`'s cities that is not over.
    function changeOf(uint64 n) external view returns (Change memory found_) {
        _row(n);
        Pending storage pending = _pending[n];
        found_.stage = pending.stage;
        found_.since = pending.since;
        found_.leaving = Places.citiesOf(_read(pending.leaving));
        found_.joining = Places.citiesOf(_read(pending.joining));
        uint32[] memory holding = new uint32[](found_.joining.length);
        uint256 count_ = 0;
        for (uint256 i = 0; i < holding.length; ++i) {
            if ((pending.ready >> i) & 1 == 1) holding[count_++] = found_.joining[i];
        }
        assembly ("memory-safe") {
            mstore(holding, count_)
        }
        found_.ready = holding;
    }

    /// @notice What the cities bear that the hub names for application `n`.
    function safetyOf(uint64 n) external view returns (Safety memory found_) {
        Row storage row = _row(n);
        uint256[] memory placed = _sorted(_read(row.cities));
        found_.allowConcentration = row.allowConcentration;
        found_.cities = uint32(placed.length);
        found_.citiesMayFail = (found_.cities - 1) / 3;
        found_.missing = CITIES.countMissing(Places.citiesOf(_read(row.cities)));
        (found_.institutions, found_.institutionsMayFail) = MEMBERS.checkInstitutions(placed, true);
        found_.safe =
            found_.missing <= found_.citiesMayFail &&
            (found_.institutionsMayFail > 0 || found_.allowConcentration);
    }

    /// @notice The last handover block of application `n` that was shown; zero: none was.
    function handoverOf(uint64 n) external view returns (uint64 height, bytes32 blockHash) {
        _row(n);
        Shown storage shown = _shown[n];
        return (shown.height, shown.blockHash);
    }

    /// @dev An application of the caller's, which gets from status `from` to status `to`; from 0: from any but `to`. A
    /// rotation that is not named gives way to what the owner does with one that runs.
    function _ownRow(uint64 n, uint8 from, uint8 to) internal returns (Row storage row) {
        row = _row(n);
        if (row.owner != msg.sender) revert NotTheOwner(n, msg.sender);
        Pending storage pending = _pending[n];
        if (from == ACTIVE && pending.isRotation && pending.stage == TAKING_IN) _cancel(n, row);
        uint8 present = row.status;
        if (from == 0 ? present == to : present != from) revert WrongApplicationStatus(n, present, to);
    }

    /// @dev A change that the owner does not ask for begins, with a city that leaves.
    function _leave(Row storage row, Pending storage pending, uint32 city) private {
        row.status = CHANGING;
        pending.allowConcentration = row.allowConcentration;
        pending.leaving.words.push(Places.pack(city, 0));
    }

    /// @dev Takes capacity of cities that join, under what they offer to member `user`.
    /// @return added their words
    function _join(
        uint64 n,
        Row storage row,
        uint32 user,
        uint32[] memory joining
    ) private returns (uint32[] memory added) {
        added = _place(n, CITIES.take(user, joining, _taken(row)));
        _write(_pending[n].joining, added);
    }

    /// @dev Names the new set: what leaves stands apart from now on, what joins is among the cities.
    /// @return placed words of the new set, as `_sorted` gives them
    function _name(
        uint64 n,
        Row storage row,
        Pending storage pending
    ) private returns (uint256[] memory placed) {
        uint32[] memory rest = _read(row.cities);
        if (_first[n].words.length == 0) _write(_first[n], rest);
        uint32[] memory gone = _read(pending.leaving);
        for (uint256 i = 0; i < gone.length; ++i) (, gone[i]) = Places.pick(rest, Places.cityOf(gone[i]));
        _write(pending.leaving, gone);
        row.allowConcentration = pending.allowConcentration;
        placed = _sorted(Places.join(rest, _read(pending.joining)));
        _setCities(n, row, placed);
        _setStage(n, pending, NAMED);
    }

    function _setStage(uint64 n, Pending storage pending, uint8 stage) private {
        pending.stage = stage;
        pending.since = uint64(block.timestamp);
        emit Changing(n, stage);
    }

    function _cancel(uint64 n, Row storage row) private {
        _finish(n, row);
        emit Changing(n, 0);
    }

    function _show(Handover calldata handover) private {
        uint64 n = handover.n;
        Shown storage shown = _shown[n];
        if (handover.height <= shown.height) revert NotProven(n, 0);
        Row storage row = _rows[n];
        bytes32 blockHash = CITIES.checkHandover(
            handover,
            chainIdOf(n),
            _before(row, _pending[n]),
            setHashOf[n],
            recordHashOf[n]
        );
        shown.height = handover.height;
        shown.blockHash = blockHash;
        _finish(n, row);
        emit HandedOver(n, handover.height, blockHash);
    }

    /// @dev Ends a change: the cities that stand apart have their capacity back and the application leaves them.
    function _finish(uint64 n, Row storage row) private {
        uint32[] memory words = _end(n);
        row.status = ACTIVE;
        _release(row, words);
        for (uint256 i = 0; i < words.length; ++i) {
            uint32 city = Places.cityOf(words[i]);
            _drop(city, Places.placeOf(words[i], n, _placedOn[city]));
            emit Left(n, city);
        }
    }

    /// @dev The cities before a change whose new set is named.
    function _before(Row storage row, Pending storage pending) private view returns (uint32[] memory) {
        uint32[] memory words = _read(row.cities);
        uint32[] memory joined = _read(pending.joining);
        for (uint256 i = 0; i < joined.length; ++i) Places.pick(words, Places.cityOf(joined[i]));
        return Places.citiesOf(Places.join(words, _read(pending.leaving)));
    }

    /// @dev Reverts unless so many of so many cities may leave and join at once.
    function _checkSizes(uint64 n, uint256 present, uint256 leaving, uint256 joining) private pure {
        if (leaving == 0 && joining == 0) revert NothingChanges(n);
        uint256 most = present > 3 ? (present - 1) / 3 : 1;
        if (leaving > most) revert TooManyLeave(n, leaving, most);
        uint256 size = present - leaving + joining;
        if (size == 0) revert NoCityLeft(n);
        _checkLength(size, MAX_PLACED);
    }
}
