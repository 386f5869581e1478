// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, REMOVED, CITIES, GOVERNANCE, MEMBERS, MAX_PAGE, IApplications, sort} from "./Hub.sol";
import {Application, Capacity, Specification} from "./Hub.sol";
import {NotAllowed, NotAMember, MemberNotActive, UnknownApplication, TooMany} from "./Hub.sol";
import {Records, Rules} from "./Records.sol";
import {Words} from "./Words.sol";

/// @title Which chains there are, and where
/// @notice One transaction places an application: it checks the cities' standing offers, takes capacity, gives out
/// the chain id and names record and validators. No human is asked: what a city will not host it says in its offer.
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
        uint32[] cities;
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

    /// @notice An application has its place.
    event Created(uint64 indexed n, uint64 chainId, address indexed owner, string name);
    /// @notice The city is to host it.
    event Placed(uint64 indexed n, uint32 indexed city);
    /// @notice It was suspended (3), resumed (1) or closed (4).
    event ApplicationStatus(uint64 indexed n, uint8 status);
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
    /// @notice One institution would hold so many of the cities that the chain stands or lies with it, which only
    /// `allowConcentration` allows.
    error Concentrated(uint32 member, uint32 held, uint32 mayFail);
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
        _checkConcentration(placed, specification.allowConcentration);
        uint32[] memory ids = new uint32[](placed.length);
        for (uint256 i = 0; i < placed.length; ++i) {
            ids[i] = uint32(placed[i]);
            _placedOn[ids[i]].push(n);
            emit Placed(n, ids[i]);
        }
        row.cities = ids;
        setHashOf[n] = Records.setHash(placed);
        recordHashOf[n] = keccak256(Records.encode(_rules(n, row)));
        emit Created(n, chainIdOf(n), specification.owner, specification.name);
    }

    /// @notice Lets `account` create so many applications on the account of the caller's member; 0: no more.
    function sponsor(address account, uint32 creations) external {
        uint32 member = MEMBERS.activeIdOf(msg.sender);
        if (creations > MOST_SPONSORED) revert TooMany(creations, MOST_SPONSORED);
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
        Row storage row = _ownRow(n);
        if (row.status == CLOSED) revert WrongApplicationStatus(n, CLOSED, CLOSED);
        if (owner == address(0)) revert NoOwner();
        row.owner = owner;
        emit OwnerChanged(n, owner);
    }

    /// @notice Has the cities stop an application of the caller's. What it takes of them it keeps.
    function suspend(uint64 n) external {
        Row storage row = _ownRow(n);
        if (row.status != ACTIVE) revert WrongApplicationStatus(n, row.status, SUSPENDED_CHAIN);
        _setStatus(n, row, SUSPENDED_CHAIN);
    }

    /// @notice Has the cities go on with an application of the caller's.
    function resume(uint64 n) external {
        Row storage row = _ownRow(n);
        if (row.status != SUSPENDED_CHAIN) revert WrongApplicationStatus(n, row.status, ACTIVE);
        _setStatus(n, row, ACTIVE);
    }

    /// @notice Ends an application of the caller's for ever and gives its capacity back. Cities keep its data for the
    /// parameter `closedDataKept`; its name may be given again after `nameRest`.
    function close(uint64 n) external {
        Row storage row = _ownRow(n);
        if (row.status == CLOSED) revert WrongApplicationStatus(n, CLOSED, CLOSED);
        row.closedAt = uint64(block.timestamp);
        _setStatus(n, row, CLOSED);
        CITIES.release(row.cities, _taken(row));
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
        list[index] = list[list.length - 1];
        list.pop();
        emit Forgotten(n, city);
    }

    /// @notice Once, by `Governance`: the hub's own chain.
    function found(uint64 prefix, bytes calldata hubRecord, uint32[] calldata cities) external {
        if (msg.sender != address(GOVERNANCE)) revert NotAllowed(msg.sender);
        if (prefix < LEAST_PREFIX || prefix > MOST_PREFIX) revert OutOfRange(8, prefix);
        if (hubRecord.length > MOST_RECORD) revert TooMany(hubRecord.length, MOST_RECORD);
        chainIdPrefix = prefix;
        _hubRecord = hubRecord;
        address[] memory nodes = CITIES.nodes(cities);
        uint256[] memory placed = new uint256[](cities.length);
        for (uint256 i = 0; i < placed.length; ++i) {
            placed[i] = (uint256(uint160(nodes[i])) << 64) | cities[i];
        }
        sort(placed);
        Row storage row = _rows[0];
        row.owner = msg.sender;
        row.status = ACTIVE;
        row.createdBlock = uint64(block.number);
        row.createdAt = uint64(block.timestamp);
        row.name = "hub";
        for (uint256 i = 0; i < placed.length; ++i) row.cities.push(uint32(placed[i]));
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
        found_.cities = row.cities;
        found_.validators = CITIES.nodes(found_.cities);
        found_.powers = new uint64[](found_.cities.length);
        for (uint256 i = 0; i < found_.powers.length; ++i) found_.powers[i] = 1;
        found_.record = n == 0 ? _hubRecord : Records.encode(_rules(n, row));
        found_.setHash = setHashOf[n];
        found_.recordHash = recordHashOf[n];
        if (n != 0) found_.taken = _taken(row);
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
        (institutions, institutionsMayFail) = _checkConcentration(placed, specification.allowConcentration);
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

    function _countCreation(uint32 member) private {
        uint64 created = _checkDay(member);
        _days[member] = Day({number: uint64(block.timestamp / 1 days), created: created + 1});
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

    /// @dev How many institutions run the cities, and how many of them, whichever, may fail. Reverts if a single
    /// one may not and that is not allowed.
    function _checkConcentration(
        uint256[] memory placed,
        bool allowed
    ) private pure returns (uint32 institutions, uint32 mayFail) {
        uint256[] memory members = new uint256[](placed.length);
        for (uint256 i = 0; i < placed.length; ++i) members[i] = uint32(placed[i] >> 32);
        sort(members);
        // Runs of one member, as held << 32 | member, over the same memory: a run is read before it is written.
        uint256 held = 0;
        for (uint256 i = 0; i < members.length; ++i) {
            ++held;
            uint256 member = members[i];
            if (i + 1 < members.length && members[i + 1] == member) continue;
            members[institutions] = (held << 32) | member;
            ++institutions;
            held = 0;
        }
        uint32 count_ = institutions;
        assembly ("memory-safe") {
            mstore(members, count_)
        }
        sort(members);
        uint256 left = (placed.length - 1) / 3;
        uint256 most = members[count_ - 1];
        if (!allowed && most >> 32 > left) {
            revert Concentrated(uint32(most), uint32(most >> 32), uint32(left));
        }
        // The greatest first: if these may fail, any so many may.
        for (uint256 i = count_; i > 0 && members[i - 1] >> 32 <= left; --i) {
            left -= members[i - 1] >> 32;
            ++mayFail;
        }
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

    function _ownRow(uint64 n) private view returns (Row storage row) {
        row = _row(n);
        if (row.owner != msg.sender) revert NotTheOwner(n, msg.sender);
    }
}
