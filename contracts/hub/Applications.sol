// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, REMOVED, MAX_PAGE, MAX_PLACED, MAX_SHOWN, CITIES, GOVERNANCE, MEMBERS} from "./Hub.sol";
import {Application, Capacity, Change, Handover, Specification, IApplications, sort} from "./Hub.sol";
import {NotAllowed, NotAMember, NotProven, MemberNotActive, UnknownApplication, TooMany} from "./Hub.sol";
import {Institutions} from "./Institutions.sol";
import {Places} from "./Places.sol";
import {Records, Rules} from "./Records.sol";
import {Words} from "./Words.sol";

/// @title Which chains there are, and where
/// @notice One transaction places an application: it checks the cities' standing offers, takes capacity, gives out
/// the chain id and names record and validators. No human is asked: what a city will not host it says in its offer.
/// Its cities change in two stages: those that join take in the chain; then the hub names the new set, and the chain's
/// own handover block, certified by the cities before, is shown here.
/// @dev Numbers are given from 1 and never again; 0 is the hub itself. Set and record hash of chain n lie in the
/// slots keccak256(n ‖ 0) and keccak256(n ‖ 1), each a word of 32 bytes, for storage proofs. Installed at 0x…ca02,
/// without a constructor.
contract Applications is IApplications {
    /// @dev One application: three words, its name and its cities, in the order of their node keys.
    struct Row {
        address owner;
        uint32 createdFor;
        uint8 status;
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
        List leaving;
        List joining;
    }

    /// @dev The last handover that was shown.
    struct Shown {
        uint64 height;
        bytes32 blockHash;
    }

    /// @dev What a member lets an address create on its account.
    struct Sponsored {
        uint32 member;
        uint32 left;
    }

    /// @dev Creations of a member on one day of UTC.
    struct Day {
        uint64 number;
        uint64 created;
    }

    uint8 private constant CHANGING = 2;
    uint8 private constant SUSPENDED_CHAIN = 3;
    uint8 private constant CLOSED = 4;
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
    uint32 private constant MOST_SPONSORED = 10_000;
    /// @dev Stages of a change.
    uint8 private constant TAKING_IN = 1;
    uint8 private constant NAMED = 2;
    /// @dev The hub's record is one of the same encoding, with some forks at most.
    uint256 private constant MOST_RECORD = 4_096;

    /// @notice keccak256(RLP [[address, power], …]) of a chain's validators.
    mapping(uint64 n => bytes32 hash) public setHashOf;
    /// @notice keccak256 of a chain's record.
    mapping(uint64 n => bytes32 hash) public recordHashOf;
    mapping(uint64 n => Row row) private _rows;
    mapping(bytes32 nameHash => uint64 n) private _byName;
    mapping(uint32 city => uint64[] ns) private _placedOn;
    mapping(address account => Sponsored sponsored) private _sponsored;
    mapping(uint32 member => Day day) private _days;
    uint64 private _count;
    /// @notice Chain ids of this network are this × 2²¹ + n.
    uint64 public chainIdPrefix;
    bytes private _hubRecord;
    mapping(uint64 n => Pending pending) private _pending;
    /// @dev The cities with which a chain began; empty until its first change is named.
    mapping(uint64 n => List cities) private _first;
    mapping(uint64 n => Shown shown) private _shown;

    /// @notice An application has its place.
    event Created(uint64 indexed n, uint64 chainId, address indexed owner, string name);
    /// @notice The city is to host it.
    event Placed(uint64 indexed n, uint32 indexed city);
    /// @notice It was suspended (3), resumed (1) or closed (4).
    event ApplicationStatus(uint64 indexed n, uint8 status);
    /// @notice A change of its cities is in stage 1 or 2, or was called off (0).
    event Changing(uint64 indexed n, uint8 stage);
    /// @notice A joining city holds the chain.
    event Ready(uint64 indexed n, uint32 indexed city);
    /// @notice The city is not to host it any more.
    event Left(uint64 indexed n, uint32 indexed city);
    /// @notice The chain went over to its new cities with this block.
    event HandedOver(uint64 indexed n, uint64 height, bytes32 blockHash);
    /// @notice Somebody else owns it.
    event OwnerChanged(uint64 indexed n, address indexed owner);
    /// @notice A member lets an address create so many applications on its account.
    event SponsoredBy(uint32 indexed member, address indexed account, uint32 creations);
    /// @notice The time for which a city keeps a closed application's data is over.
    event Forgotten(uint64 indexed n, uint32 indexed city);

    /// @notice Another application has the name, or had it until a short time ago.
    error ApplicationNameTaken(string name, uint64 n);
    /// @notice An application needs an owner.
    error NoOwner();
    /// @notice A number out of its bounds: field 0 gas limit, 1 gas a second, 2 bytes, 3 blocks a second, 4 fee rule,
    /// 5 admission, 6 readers, 7 minimum interval, 8 chain id prefix.
    error OutOfRange(uint8 field, uint256 value);
    /// @notice The member created as many today as it may.
    error DailyLimit(uint32 member, uint64 most);
    /// @notice All chain ids of the network are given out.
    error ChainIdsExhausted();
    /// @notice The caller does not own the application.
    error NotTheOwner(uint64 n, address caller);
    /// @notice From its present status an application cannot get to this one.
    error WrongApplicationStatus(uint64 n, uint8 present, uint8 wanted);
    /// @notice Another member lets this address create already, or it is a member's own.
    error SponsoredElsewhere(address account, uint32 member);
    /// @notice Nothing at this place can be forgotten before `from`; 0: it is not closed.
    error NotYet(uint64 n, uint64 from);
    /// @notice Nothing lies at this place of the city's list.
    error NothingThere(uint32 city, uint64 index);
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

    /// @notice Places an application.
    /// @return n its number
    function create(Specification calldata specification) external returns (uint64 n) {
        uint32 member = _creator(msg.sender);
        _countCreation(member);
        Sponsored storage sponsored = _sponsored[msg.sender];
        if (MEMBERS.idOf(msg.sender) == 0) --sponsored.left;
        _check(specification);
        n = _count + 1;
        if (n > MAX_N) revert ChainIdsExhausted();
        _count = n;
        _byName[keccak256(bytes(specification.name))] = n;
        Row storage row = _rows[n];
        row.createdFor = member;
        _write(row, specification);

        uint256[] memory placed = CITIES.take(member, specification.cities, _wanted(specification));
        Institutions.check(placed, specification.allowConcentration);
        _write(row.cities, _place(n, placed));
        setHashOf[n] = Records.setHash(placed);
        recordHashOf[n] = keccak256(Records.encode(_rules(n, row)));
        emit Created(n, chainIdOf(n), specification.owner, specification.name);
    }

    /// @notice Lets `account` create so many applications on the account of the caller's member; 0: no more.
    function sponsor(address account, uint32 creations) external {
        uint32 member = MEMBERS.activeIdOf(msg.sender);
        _checkLength(creations, MOST_SPONSORED);
        uint32 own = MEMBERS.idOf(account);
        if (account == address(0) || own != 0) revert SponsoredElsewhere(account, own);
        Sponsored storage sponsored = _sponsored[account];
        uint32 other = sponsored.left == 0 ? member : sponsored.member;
        if (other != member && MEMBERS.statusOf(other) != REMOVED) {
            revert SponsoredElsewhere(account, other);
        }
        sponsored.member = member;
        sponsored.left = creations;
        emit SponsoredBy(member, account, creations);
    }

    /// @notice Gives up what a member lets the caller create, so that another member can sponsor it.
    function renounce() external {
        Sponsored storage sponsored = _sponsored[msg.sender];
        if (sponsored.left == 0) revert NotAMember(msg.sender);
        sponsored.left = 0;
        emit SponsoredBy(sponsored.member, msg.sender, 0);
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
        Row storage row = _ownRow(n, ACTIVE, SUSPENDED_CHAIN);
        _setStatus(n, row, SUSPENDED_CHAIN);
    }

    /// @notice Has the cities go on with an application of the caller's.
    function resume(uint64 n) external {
        Row storage row = _ownRow(n, SUSPENDED_CHAIN, ACTIVE);
        _setStatus(n, row, ACTIVE);
    }

    /// @notice Ends an application of the caller's for ever, with a change that is not over, and gives its capacity
    /// back. Cities keep its data for the parameter `closedDataKept`; its name may be given again after `nameRest`.
    function close(uint64 n) external {
        Row storage row = _ownRow(n, 0, CLOSED);
        row.closedAt = uint64(block.timestamp);
        _setStatus(n, row, CLOSED);
        uint32[] memory apart = _end(n);
        _release(row, Places.join(_read(row.cities), apart));
    }

    /// @notice Has the cities of an application of the caller's change. Those that join give capacity now, those that
    /// leave have it back when the handover is shown. If nobody joins, the new set is named at once.
    /// @param allowConcentration as when it was created
    function change(
        uint64 n,
        uint32[] calldata leaving,
        uint32[] calldata joining,
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
        _write(pending.leaving, gone);
        if (joining.length > 0) {
            uint32[] memory added = _place(n, CITIES.take(row.createdFor, joining, _taken(row)));
            _write(pending.joining, added);
            rest = Places.join(rest, added);
        }
        Institutions.check(_sorted(rest), allowConcentration);
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
    /// not named yet is called off. Anybody may. What does not run, or would have no city left, is passed over.
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
            row.status = CHANGING;
            pending.leaving.words.push(Places.pack(city, 0));
            _name(n, row, pending);
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

    /// @notice Once, by `Governance`: the hub's own chain.
    function found(uint64 prefix, bytes calldata hubRecord, uint32[] calldata cities) external {
        if (msg.sender != address(GOVERNANCE)) revert NotAllowed(msg.sender);
        if (prefix < LEAST_PREFIX || prefix > MOST_PREFIX) revert OutOfRange(8, prefix);
        _checkLength(hubRecord.length, MOST_RECORD);
        chainIdPrefix = prefix;
        _hubRecord = hubRecord;
        uint256[] memory placed = CITIES.words(cities);
        sort(placed);
        Row storage row = _rows[0];
        row.owner = msg.sender;
        row.status = ACTIVE;
        row.createdBlock = uint64(block.number);
        row.createdAt = uint64(block.timestamp);
        row.name = "hub";
        // The hub is in no city's list.
        for (uint256 i = 0; i < placed.length; ++i) row.cities.words.push(Places.pack(uint32(placed[i]), 0));
        setHashOf[0] = Records.setHash(placed);
        recordHashOf[0] = keccak256(hubRecord);
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

    /// @notice Set and record with which the chain of application `n` began.
    function genesisOf(
        uint64 n
    ) external view returns (address[] memory validators, uint64[] memory powers, bytes memory record) {
        Row storage row = _row(n);
        uint32[] memory words = _read(_first[n].words.length == 0 ? row.cities : _first[n]);
        (validators, powers) = _set(Places.citiesOf(words));
        record = _record(n, row);
    }

    /// @notice The last handover block of application `n` that was shown; zero: none was.
    function handoverOf(uint64 n) external view returns (uint64 height, bytes32 blockHash) {
        _row(n);
        Shown storage shown = _shown[n];
        return (shown.height, shown.blockHash);
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

    /// @notice For which member an address may create, and how many; of a member's own authority this knows nothing.
    function sponsorship(address account) external view returns (uint32 member, uint32 left) {
        Sponsored storage sponsored = _sponsored[account];
        return (sponsored.member, sponsored.left);
    }

    /// @notice What `create` would do for the caller now; reverts with the same errors.
    /// @return price units of account a month
    /// @return cities how many host it
    /// @return institutions how many run these
    /// @return citiesMayFail any so many cities may fail and the chain goes on
    /// @return institutionsMayFail the same for institutions
    function quote(
        Specification calldata specification
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
        uint32 member = _creator(msg.sender);
        _checkDay(member);
        _check(specification);
        if (_count >= MAX_N) revert ChainIdsExhausted();
        uint256[] memory placed;
        (placed, price) = CITIES.look(member, specification.cities, _wanted(specification));
        (institutions, institutionsMayFail) = Institutions.check(placed, specification.allowConcentration);
        cities = uint32(placed.length);
        citiesMayFail = (cities - 1) / 3;
    }

    /// @notice The chain id of application `n`.
    function chainIdOf(uint64 n) public view returns (uint64) {
        return (chainIdPrefix << 21) + n;
    }

    function _write(Row storage row, Specification calldata specification) private {
        row.owner = specification.owner;
        row.status = ACTIVE;
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

    function _setStatus(uint64 n, Row storage row, uint8 status) private {
        row.status = status;
        emit ApplicationStatus(n, status);
    }

    /// @dev Enters an application into the lists of cities.
    /// @return words their words for it
    function _place(uint64 n, uint256[] memory placed) private returns (uint32[] memory words) {
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
    function _drop(uint32 city, uint256 place) private {
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
    function _move(List storage list, uint32 city, uint256 place) private returns (bool) {
        uint32[] memory words = _read(list);
        uint256 index = Places.find(words, city);
        if (index == words.length) return false;
        list.words[index] = Places.pack(city, place);
        return true;
    }

    /// @dev Names the new set: what leaves stands apart from now on, what joins is among the cities.
    function _name(uint64 n, Row storage row, Pending storage pending) private {
        uint32[] memory rest = _read(row.cities);
        if (_first[n].words.length == 0) _write(_first[n], rest);
        uint32[] memory gone = _read(pending.leaving);
        for (uint256 i = 0; i < gone.length; ++i) (, gone[i]) = Places.pick(rest, Places.cityOf(gone[i]));
        _write(pending.leaving, gone);
        uint256[] memory placed = _sorted(Places.join(rest, _read(pending.joining)));
        rest = new uint32[](placed.length);
        for (uint256 i = 0; i < rest.length; ++i) rest[i] = uint32(placed[i]);
        _write(row.cities, rest);
        setHashOf[n] = Records.setHash(placed);
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

    /// @dev Forgets a change; what stood apart.
    function _end(uint64 n) private returns (uint32[] memory words) {
        words = _read(_apart(_pending[n]));
        delete _pending[n];
    }

    function _release(Row storage row, uint32[] memory words) private {
        CITIES.release(Places.citiesOf(words), _taken(row));
    }

    function _write(List storage list, uint32[] memory words) private {
        list.words = words;
    }

    function _countCreation(uint32 member) private {
        uint64 created = _checkDay(member);
        _days[member] = Day({number: uint64(block.timestamp / 1 days), created: created + 1});
    }

    /// @dev The cities on which an application is placed that are not among its cities: those that are to join, or have
    /// still to be left. Without a change there are none.
    function _apart(Pending storage pending) private view returns (List storage) {
        return pending.stage == TAKING_IN ? pending.joining : pending.leaving;
    }

    function _read(List storage list) private view returns (uint32[] memory) {
        return list.words;
    }

    /// @dev The cities before a change whose new set is named.
    function _before(Row storage row, Pending storage pending) private view returns (uint32[] memory) {
        uint32[] memory words = _read(row.cities);
        uint32[] memory joined = _read(pending.joining);
        for (uint256 i = 0; i < joined.length; ++i) Places.pick(words, Places.cityOf(joined[i]));
        return Places.citiesOf(Places.join(words, _read(pending.leaving)));
    }

    /// @dev Words as `Cities` gives them, with those of `Places` for the numbers; ascending.
    function _sorted(uint32[] memory words) private view returns (uint256[] memory placed) {
        placed = CITIES.words(Places.citiesOf(words));
        for (uint256 i = 0; i < words.length; ++i) {
            placed[i] = ((placed[i] >> 32) << 32) | words[i];
        }
        sort(placed);
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
        return n == 0 ? _hubRecord : Records.encode(_rules(n, row));
    }

    /// @dev How many the member created today, which is fewer than it may.
    function _checkDay(uint32 member) private view returns (uint64 created) {
        Day memory day = _days[member];
        created = day.number == block.timestamp / 1 days ? day.created : 0;
        uint64 most = GOVERNANCE.parameter("creationsPerDay");
        if (created >= most) revert DailyLimit(member, most);
    }

    /// @dev On which active member's account `account` creates.
    function _creator(address account) private view returns (uint32 member) {
        if (MEMBERS.idOf(account) != 0) return MEMBERS.activeIdOf(account);
        Sponsored storage sponsored = _sponsored[account];
        member = sponsored.member;
        if (sponsored.left == 0) revert NotAMember(account);
        uint8 status = MEMBERS.statusOf(member);
        if (status != ACTIVE) revert MemberNotActive(member, status);
    }

    /// @dev All of a specification but its cities.
    function _check(Specification calldata specification) private view {
        Words.checkApplicationName(specification.name);
        uint64 holder = _byName[keccak256(bytes(specification.name))];
        if (holder != 0) {
            Row storage row = _rows[holder];
            bool rested =
                row.status == CLOSED && block.timestamp >= row.closedAt + GOVERNANCE.parameter("nameRest");
            if (!rested) revert ApplicationNameTaken(specification.name, holder);
        }
        if (specification.owner == address(0)) revert NoOwner();
        uint64 limit = specification.gasLimit;
        if (limit != 0 && (limit < LEAST_GAS_LIMIT || limit > MOST_GAS_LIMIT)) revert OutOfRange(0, limit);
        if (specification.gasPerSecond == 0) revert OutOfRange(1, 0);
        if (specification.bytesStored == 0) revert OutOfRange(2, 0);
        uint32 blocks = specification.blocksPerSecond;
        if (blocks == 0 || blocks > MOST_BLOCKS_PER_SECOND) revert OutOfRange(3, blocks);
        if (specification.feeRule > 1) revert OutOfRange(4, specification.feeRule);
        // 1 is a list of senders, which needs a root.
        uint8 admission = specification.admission;
        if (admission != 0 && admission != 2) revert OutOfRange(5, admission);
        if (specification.readers > 1) revert OutOfRange(6, specification.readers);
        uint64 interval = specification.minimumIntervalMs;
        if (interval > MOST_INTERVAL_MS) revert OutOfRange(7, interval);
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

    function _wanted(Specification calldata specification) private pure returns (Capacity memory) {
        return
            Capacity({
                gasPerSecond: specification.gasPerSecond,
                bytesStored: specification.bytesStored,
                chains: 1,
                blocksPerSecond: specification.blocksPerSecond
            });
    }

    function _taken(Row storage row) private view returns (Capacity memory) {
        return
            Capacity({
                gasPerSecond: row.gasPerSecond,
                bytesStored: row.bytesStored,
                chains: 1,
                blocksPerSecond: row.blocksPerSecond
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

    function _row(uint64 n) private view returns (Row storage row) {
        row = _rows[n];
        if (row.status == 0) revert UnknownApplication(n);
    }

    /// @dev An application of the caller's, which gets from status `from` to status `to`; from 0: from any but `to`.
    function _ownRow(uint64 n, uint8 from, uint8 to) private view returns (Row storage row) {
        row = _row(n);
        if (row.owner != msg.sender) revert NotTheOwner(n, msg.sender);
        uint8 present = row.status;
        if (from == 0 ? present == to : present != from) revert WrongApplicationStatus(n, present, to);
    }

    function _checkLength(uint256 length, uint256 most) private pure {
        if (length > most) revert TooMany(length, most);
    }
}
