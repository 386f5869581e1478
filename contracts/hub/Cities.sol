// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.24;

import {ACTIVE, SUSPENDED, REMOVED, MAX_CITIES, MAX_LISTED, MAX_PAGE, MAX_PLACED} from "./Hub.sol";
import {APPLICATIONS, GOVERNANCE, MEMBERS, VALIDATORS, ICities, placedWord, sort} from "./Hub.sol";
import {Capacity, Card, City, Handover, Offer} from "./Hub.sol";
import {CityNotActive, NotAllowed, NotProven, NotTheCitysMember, TooMany} from "./Hub.sol";
import {UnknownCity, UnknownMember} from "./Hub.sol";
import {Cards} from "./Cards.sol";
import {Handovers} from "./Handovers.sol";
import {Signatures} from "./Signatures.sol";
import {Words} from "./Words.sol";

/// @title Which cities members run, and what these offer
/// @notice A city is a node key with a TLS fingerprint, a place and an endpoint; its member says in an offer what it
/// hosts, for whom, at which price. `Applications` takes capacity of it, never more than is offered.
/// @dev Numbers are given from 1 and never again; the founders' cities have the numbers of their members. Installed at 0x…ca01, without a constructor.
contract Cities is ICities {
    /// @dev One city. Placing on it reads the first three words and writes the second.
    struct Row {
        uint64 gasPerSecond;
        uint64 bytesStored;
        uint32 chains;
        uint32 blocksPerSecond;
        uint32 member;
        uint8 policy;
        uint8 status;
        Capacity taken;
        address node;
        uint64 since;
        bytes32 tlsFingerprint;
        uint128 pricePerGasSecond;
        string place;
        string endpoint;
        string rpc;
        uint32[] listed;
    }

    /// @dev More than any machine does; what is above is a slip of the pen.
    uint64 private constant MAX_GAS_PER_SECOND = 1e12;
    uint64 private constant MAX_BYTES = 1 << 60;
    uint32 private constant MAX_CHAINS = 1e6;
    uint32 private constant MAX_BLOCKS_PER_SECOND = 1e9;
    /// @dev Prices of 100 cities for the most gas stay far from 2²⁵⁶.
    uint128 private constant MAX_PRICE = 1e36;
    uint8 private constant POLICY_NOBODY = 0;
    uint8 private constant POLICY_MEMBERS = 1;
    uint8 private constant POLICY_LISTED = 2;

    mapping(uint32 id => Row row) private _rows;
    /// @dev A node key has its city for ever.
    mapping(address node => uint32 id) private _byNode;
    /// @dev So has a fingerprint.
    mapping(bytes32 tlsFingerprint => uint32 id) private _byFingerprint;
    /// @dev Cities that a member ever registered.
    mapping(uint32 member => uint32 count) private _ofMember;
    uint32 private _count;
    /// @notice The network, for which cards have to be.
    bytes32 public networkId;
    /// @dev The city that goes on under a new key.
    mapping(uint32 id => uint32 successor) private _successors;

    /// @notice A city was registered.
    event Registered(
        uint32 indexed city,
        uint32 indexed member,
        address indexed node,
        bytes32 tlsFingerprint
    );
    /// @notice A city was suspended, restored, removed or retired.
    event CityStatus(uint32 indexed city, uint8 status);
    /// @notice A city goes on as another one, under a new key.
    event Rotated(uint32 indexed city, uint32 indexed successor);
    /// @notice All cities of a member changed with it.
    event MemberOfCities(uint32 indexed member, uint8 status);
    /// @notice A city offers something else.
    event OfferChanged(uint32 indexed city, Offer offer);
    /// @notice A city is reached elsewhere.
    event EndpointChanged(uint32 indexed city, string endpoint, string rpc);

    /// @notice A key is used once for ever.
    error NodeKeyUsed(address node, uint32 city);
    /// @notice So is a fingerprint.
    error FingerprintUsed(bytes32 tlsFingerprint, uint32 city);
    /// @notice The card names another authority than the caller, or another member than the caller's.
    error NotTheCardsMember(address authority, string member);
    /// @notice From its present status a city cannot get to this one.
    error WrongCityStatus(uint32 city, uint8 present, uint8 wanted);
    /// @notice A number that no city can keep: field 0 gas, 1 bytes, 2 chains, 3 blocks, 4 price, 5 policy.
    error AbsurdOffer(uint8 field, uint256 value);
    /// @notice The list of members at this place is not ascending, or there is a list without policy 2.
    error BadList(uint256 index);
    /// @notice The city does not offer itself to this member.
    error NotOffered(uint32 city, uint32 member);
    /// @notice The city has less left: resource 0 gas, 1 bytes, 2 chains, 3 blocks, each a second where it flows.
    error NoCapacity(uint32 city, uint8 resource, uint64 wanted, uint64 left);
    /// @notice The same city twice.
    error CityTwice(uint32 city);
    /// @notice An application needs a city.
    error NoCities();
    /// @notice Something is placed on the city.
    error StillPlaced(uint32 city, uint32 chains);
    /// @notice The city is a validator of the hub.
    error HubValidator(uint32 city);

    modifier onlyGovernance() {
        if (msg.sender != address(GOVERNANCE)) revert NotAllowed(msg.sender);
        _;
    }

    modifier onlyApplications() {
        if (msg.sender != address(APPLICATIONS)) revert NotAllowed(msg.sender);
        _;
    }

    /// @notice A member registers a further city, which offers nothing yet.
    /// @param card names the caller as authority, and its member
    /// @param proof the node key's signature
    function register(Card calldata card, bytes calldata proof) external returns (uint32 id) {
        id = _registerOwn(card, proof);
    }

    /// @notice A city of the caller's member goes on under a new key: as another city at the same place, which offers
    /// what it offers, while it offers nothing any more. Its applications follow by `Applications.rotate`. If the new
    /// key is lost too, it is rotated again.
    /// @param card as for `register`
    /// @param proof the new node key's signature
    /// @return successor the number of the other city
    function rotate(uint32 id, Card calldata card, bytes calldata proof) external returns (uint32 successor) {
        Row storage row = _ownRow(id);
        if (keccak256(bytes(card.place)) != keccak256(bytes(row.place))) revert Words.BadPlace(card.place);
        successor = _registerOwn(card, proof);
        Offer memory offer = _offer(row);
        _setOffer(successor, _rows[successor], offer);
        offer.policy = POLICY_NOBODY;
        offer.listed = new uint32[](0);
        _setOffer(id, row, offer);
        _successors[id] = successor;
        emit Rotated(id, successor);
    }

    /// @notice Says what a city of the caller's member hosts. What is placed already stays, even above a lower offer.
    function setOffer(uint32 id, Offer calldata offer) external {
        Row storage row = _ownRow(id);
        _checkOffer(offer);
        _setOffer(id, row, offer);
    }

    /// @notice Says where a city of the caller's member is reached.
    function setEndpoint(uint32 id, string calldata endpoint, string calldata rpc) external {
        Row storage row = _ownRow(id);
        Words.checkEndpoint(endpoint);
        Words.checkRpc(rpc);
        row.endpoint = endpoint;
        row.rpc = rpc;
        emit EndpointChanged(id, endpoint, rpc);
    }

    /// @notice Takes a city of the caller's member out of service for ever, once nothing is placed on it.
    function retire(uint32 id) external {
        Row storage row = _ownRow(id);
        if (VALIDATORS.isServing(id)) revert HubValidator(id);
        if (row.taken.chains != 0) revert StillPlaced(id, row.taken.chains);
        _setStatus(id, row, REMOVED);
    }

    /// @notice Once, by `Governance`: gives the founders' cities, which are registered, their offer.
    function found(bytes32 network, Offer calldata offer) external onlyGovernance {
        networkId = network;
        uint32 last = _count;
        _checkOffer(offer);
        for (uint32 id = 1; id <= last; ++id) _setOffer(id, _rows[id], offer);
    }

    /// @notice Registers the first city of a new member, as members voted.
    /// @return id its number
    function admit(
        uint32 member,
        Card calldata card,
        bytes calldata proof
    ) external onlyGovernance returns (uint32 id) {
        id = _register(member, card, proof, networkId);
    }

    /// @notice Suspends (2), restores (1) or removes (3) a city, as members voted.
    function setStatus(uint32 id, uint8 status) external onlyGovernance {
        checkStatus(id, status);
        _setStatus(id, _rows[id], status);
    }

    /// @notice Says that all cities of a member changed with it: a city that reads this contract's events looks again.
    function memberChanged(uint32 member, uint8 status) external onlyGovernance {
        emit MemberOfCities(member, status);
    }

    /// @notice Takes capacity of cities for member `user`, of all or of none; for 0, whomever they offer it to.
    /// @return placed a word a city (`placedWord`), ascending
    function take(
        uint32 user,
        uint32[] calldata ids,
        Capacity calldata wanted
    ) external onlyApplications returns (uint256[] memory placed) {
        placed = _look(user, ids, wanted);
        for (uint256 i = 0; i < placed.length; ++i) {
            Capacity storage taken = _rows[uint32(placed[i])].taken;
            taken.gasPerSecond += wanted.gasPerSecond;
            taken.bytesStored += wanted.bytesStored;
            taken.chains += wanted.chains;
            taken.blocksPerSecond += wanted.blocksPerSecond;
        }
    }

    /// @notice Gives back what was taken of cities.
    function release(uint32[] calldata ids, Capacity calldata given) external onlyApplications {
        for (uint256 i = 0; i < ids.length; ++i) {
            Capacity storage taken = _rows[ids[i]].taken;
            taken.gasPerSecond -= given.gasPerSecond;
            taken.bytesStored -= given.bytesStored;
            taken.chains -= given.chains;
            taken.blocksPerSecond -= given.blocksPerSecond;
        }
    }

    /// @notice How many cities were ever registered: the greatest number.
    function count() external view returns (uint32) {
        return _count;
    }

    /// @notice City `id`.
    function city(uint32 id) external view returns (City memory) {
        _row(id);
        return _city(id);
    }

    /// @notice Cities from number `from` on, at most `limit` and 256 of them.
    function cities(uint32 from, uint32 limit) external view returns (City[] memory page) {
        if (from == 0) from = 1;
        uint256 length = from > _count ? 0 : uint256(_count) - from + 1;
        if (length > limit) length = limit;
        if (length > MAX_PAGE) length = MAX_PAGE;
        page = new City[](length);
        for (uint32 i = 0; i < length; ++i) page[i] = _city(from + i);
    }

    /// @notice The city of a node key, in force or not; 0: none ever.
    function idOf(address node) external view returns (uint32) {
        return _byNode[node];
    }

    /// @notice The city as which this one goes on under a new key; 0: it does not.
    function successorOf(uint32 id) external view returns (uint32) {
        return _successors[id];
    }

    /// @notice How many of these cities are suspended or removed.
    function countMissing(uint32[] calldata ids) external view returns (uint32 count_) {
        if (ids.length > MAX_PLACED) revert TooMany(ids.length, MAX_PLACED);
        for (uint256 i = 0; i < ids.length; ++i) {
            if (_status(_row(ids[i])) != ACTIVE) ++count_;
        }
    }

    /// @notice The node keys of cities.
    function nodes(uint32[] calldata ids) external view returns (address[] memory found_) {
        if (ids.length > MAX_PLACED) revert TooMany(ids.length, MAX_PLACED);
        found_ = new address[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) found_[i] = _row(ids[i]).node;
    }

    /// @notice A word a city (`placedWord`), in the order of `ids`.
    function words(uint32[] calldata ids) external view returns (uint256[] memory found_) {
        if (ids.length > MAX_PLACED) revert TooMany(ids.length, MAX_PLACED);
        found_ = new uint256[](ids.length);
        for (uint256 i = 0; i < ids.length; ++i) {
            Row storage row = _row(ids[i]);
            found_[i] = placedWord(row.node, row.member, ids[i]);
        }
    }

    /// @notice 1 active, 2 suspended, 3 removed: the worse of a city's own status and its member's.
    function statusOf(uint32 id) external view returns (uint8) {
        return _status(_row(id));
    }

    /// @notice Reverts unless a handover block names this set and record, and more than two thirds of the cities
    /// `signing` certified it on the chain of this id.
    /// @return blockHash the block's hash
    function checkHandover(
        Handover calldata handover,
        uint64 chainId,
        uint32[] calldata signing,
        bytes32 set,
        bytes32 record
    ) external view returns (bytes32 blockHash) {
        if (!Handovers.names(handover, set, record)) revert NotProven(handover.n, 1);
        if (3 * handover.signers.length <= 2 * signing.length) revert NotProven(handover.n, 2);
        blockHash = keccak256(handover.header);
        _checkSigners(handover, Handovers.digest(handover, blockHash, chainId, networkId), signing);
    }

    /// @notice Whether member `user` could take so much of each of these cities now; reverts with what is in the way.
    /// @return placed a word a city (`placedWord`), ascending
    /// @return price for the gas a second of all of them, rounded up
    function look(
        uint32 user,
        uint32[] calldata ids,
        Capacity calldata wanted
    ) external view returns (uint256[] memory placed, uint256 price) {
        placed = _look(user, ids, wanted);
        for (uint256 i = 0; i < ids.length; ++i) price += _rows[ids[i]].pricePerGasSecond;
        price = (price * wanted.gasPerSecond + 999_999) / 1e6;
    }

    /// @notice Reverts unless this card could be registered now.
    function checkCard(Card calldata card, bytes calldata proof) external view {
        _checkCard(card, proof, networkId);
    }

    /// @notice Reverts unless city `id` can get this status now.
    function checkStatus(uint32 id, uint8 status) public view {
        uint8 present = _row(id).status;
        bool allowed =
            (status == SUSPENDED && present == ACTIVE) ||
                (status == ACTIVE && present == SUSPENDED) ||
                (status == REMOVED && present != REMOVED);
        if (!allowed) revert WrongCityStatus(id, present, status);
    }

    /// @dev Registers a city of the caller's member.
    function _registerOwn(Card calldata card, bytes calldata proof) private returns (uint32 id) {
        uint32 member = MEMBERS.activeIdOf(msg.sender);
        bool own = keccak256(bytes(card.member)) == keccak256(bytes(MEMBERS.member(member).name));
        if (card.authority != msg.sender || !own) revert NotTheCardsMember(card.authority, card.member);
        uint256 most = GOVERNANCE.parameter("citiesPerMember");
        if (_ofMember[member] >= most) revert TooMany(uint256(_ofMember[member]) + 1, most);
        id = _register(member, card, proof, networkId);
    }

    function _register(
        uint32 member,
        Card calldata card,
        bytes calldata proof,
        bytes32 network
    ) private returns (uint32 id) {
        _checkCard(card, proof, network);
        id = ++_count;
        ++_ofMember[member];
        _byNode[card.node] = id;
        _byFingerprint[card.tlsFingerprint] = id;
        Row storage row = _rows[id];
        row.member = member;
        row.status = ACTIVE;
        row.node = card.node;
        row.since = uint64(block.timestamp);
        row.tlsFingerprint = card.tlsFingerprint;
        row.place = card.place;
        row.endpoint = card.endpoint;
        row.rpc = card.rpc;
        emit Registered(id, member, card.node, card.tlsFingerprint);
    }

    function _setOffer(uint32 id, Row storage row, Offer memory offer) private {
        row.gasPerSecond = offer.gasPerSecond;
        row.bytesStored = offer.bytesStored;
        row.chains = offer.chains;
        row.blocksPerSecond = offer.blocksPerSecond;
        row.pricePerGasSecond = offer.pricePerGasSecond;
        row.policy = offer.policy;
        row.listed = offer.listed;
        emit OfferChanged(id, offer);
    }

    function _setStatus(uint32 id, Row storage row, uint8 status) private {
        row.status = status;
        row.since = uint64(block.timestamp);
        emit CityStatus(id, status);
    }

    function _checkCard(Card calldata card, bytes calldata proof, bytes32 network) private view {
        if (_count >= MAX_CITIES) revert TooMany(uint256(_count) + 1, MAX_CITIES);
        Cards.check(card, proof, network);
        uint32 holder = _byNode[card.node];
        if (holder != 0) revert NodeKeyUsed(card.node, holder);
        holder = _byFingerprint[card.tlsFingerprint];
        if (holder != 0) revert FingerprintUsed(card.tlsFingerprint, holder);
    }

    function _checkOffer(Offer calldata offer) private view {
        if (offer.gasPerSecond > MAX_GAS_PER_SECOND) revert AbsurdOffer(0, offer.gasPerSecond);
        if (offer.bytesStored > MAX_BYTES) revert AbsurdOffer(1, offer.bytesStored);
        if (offer.chains > MAX_CHAINS) revert AbsurdOffer(2, offer.chains);
        if (offer.blocksPerSecond > MAX_BLOCKS_PER_SECOND) revert AbsurdOffer(3, offer.blocksPerSecond);
        if (offer.pricePerGasSecond > MAX_PRICE) revert AbsurdOffer(4, offer.pricePerGasSecond);
        if (offer.policy > POLICY_LISTED) revert AbsurdOffer(5, offer.policy);
        uint32[] calldata listed = offer.listed;
        if (listed.length > MAX_LISTED) revert TooMany(listed.length, MAX_LISTED);
        if (listed.length > 0 && offer.policy != POLICY_LISTED) revert BadList(0);
        uint32 before = 0;
        for (uint256 i = 0; i < listed.length; ++i) {
            if (listed[i] <= before) revert BadList(i);
            before = listed[i];
        }
        // Numbers ascend: if the last is a member's, all are.
        if (before > MEMBERS.count()) revert UnknownMember(before);
    }

    /// @dev What stands behind `take` and `look`: writes nothing.
    function _look(
        uint32 user,
        uint32[] calldata ids,
        Capacity calldata wanted
    ) private view returns (uint256[] memory placed) {
        if (ids.length == 0) revert NoCities();
        if (ids.length > MAX_PLACED) revert TooMany(ids.length, MAX_PLACED);
        placed = new uint256[](ids.length);
        // Most networks have all their members in the first word.
        uint256 active = MEMBERS.activeBits(0);
        for (uint256 i = 0; i < ids.length; ++i) {
            uint32 id = ids[i];
            Row storage row = _row(id);
            uint32 member = row.member;
            if (row.status != ACTIVE) revert CityNotActive(id, row.status);
            uint256 bits = member < 256 ? active : MEMBERS.activeBits(member >> 8);
            if ((bits >> (member & 0xff)) & 1 == 0) revert CityNotActive(id, MEMBERS.statusOf(member));
            if (user != 0 && !_isOffered(row, user)) revert NotOffered(id, user);
            _checkCapacity(id, row, wanted);
            placed[i] = placedWord(row.node, member, id);
        }
        sort(placed);
        for (uint256 i = 1; i < placed.length; ++i) {
            if (placed[i] == placed[i - 1]) revert CityTwice(uint32(placed[i]));
        }
    }

    function _checkSigners(
        Handover calldata handover,
        bytes32 digest,
        uint32[] calldata signing
    ) private view {
        uint64 n = handover.n;
        if (handover.signatures.length != handover.signers.length) revert NotProven(n, 5);
        // A bit for each that may sign, by its number; nobody has number 0, which stands for no city.
        uint256[MAX_CITIES / 256 + 1] memory bits;
        for (uint256 i = 0; i < signing.length; ++i) bits[signing[i] >> 8] |= 1 << (signing[i] & 0xff);
        address before = address(0);
        for (uint256 i = 0; i < handover.signers.length; ++i) {
            address signer = handover.signers[i];
            if (signer <= before) revert NotProven(n, 3);
            before = signer;
            uint32 id = _byNode[signer];
            if ((bits[id >> 8] >> (id & 0xff)) & 1 == 0) revert NotProven(n, 4);
            if (Signatures.recover(digest, handover.signatures[i]) != signer) revert NotProven(n, 5);
        }
    }

    function _isOffered(Row storage row, uint32 user) private view returns (bool) {
        uint8 policy = row.policy;
        if (policy == POLICY_NOBODY) return false;
        if (policy == POLICY_MEMBERS || row.member == user) return true;
        uint32[] storage listed = row.listed;
        uint256 low = 0;
        uint256 high = listed.length;
        while (low < high) {
            uint256 middle = (low + high) / 2;
            uint32 found_ = listed[middle];
            if (found_ == user) return true;
            if (found_ < user) low = middle + 1;
            else high = middle;
        }
        return false;
    }

    function _checkCapacity(uint32 id, Row storage row, Capacity calldata wanted) private view {
        Capacity memory taken = row.taken;
        _checkLeft(id, 0, row.gasPerSecond, taken.gasPerSecond, wanted.gasPerSecond);
        _checkLeft(id, 1, row.bytesStored, taken.bytesStored, wanted.bytesStored);
        _checkLeft(id, 2, row.chains, taken.chains, wanted.chains);
        _checkLeft(id, 3, row.blocksPerSecond, taken.blocksPerSecond, wanted.blocksPerSecond);
    }

    function _checkLeft(uint32 id, uint8 resource, uint64 offered, uint64 taken, uint64 wanted) private pure {
        // An offer may have been lowered below what was taken before.
        uint64 left = offered > taken ? offered - taken : 0;
        if (wanted > left) revert NoCapacity(id, resource, wanted, left);
    }

    /// @dev A city that is in force and of the caller's member, which is too.
    function _ownRow(uint32 id) private view returns (Row storage row) {
        row = _row(id);
        if (MEMBERS.activeIdOf(msg.sender) != row.member) revert NotTheCitysMember(id, msg.sender);
        if (row.status != ACTIVE) revert CityNotActive(id, row.status);
    }

    function _row(uint32 id) private view returns (Row storage row) {
        row = _rows[id];
        if (row.member == 0) revert UnknownCity(id);
    }

    /// @dev The worse of a city's own status and its member's.
    function _status(Row storage row) private view returns (uint8) {
        uint8 ofMember = MEMBERS.statusOf(row.member);
        return ofMember > row.status ? ofMember : row.status;
    }

    function _city(uint32 id) private view returns (City memory city_) {
        Row storage row = _rows[id];
        city_.id = id;
        city_.member = row.member;
        city_.node = row.node;
        city_.tlsFingerprint = row.tlsFingerprint;
        city_.place = row.place;
        city_.endpoint = row.endpoint;
        city_.rpc = row.rpc;
        city_.status = _status(row);
        city_.since = row.since;
        city_.offer = _offer(row);
        city_.taken = row.taken;
    }

    function _offer(Row storage row) private view returns (Offer memory) {
        return
            Offer({
                gasPerSecond: row.gasPerSecond,
                bytesStored: row.bytesStored,
                chains: row.chains,
                blocksPerSecond: row.blocksPerSecond,
                pricePerGasSecond: row.pricePerGasSecond,
                policy: row.policy,
                listed: row.listed
            });
    }
}
